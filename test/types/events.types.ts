// What compiles, and what does not, of events. `npm run typecheck` is the test: an unused @ts-expect-error is an error.
import { expectTypeOf } from 'expect-type'
import { Aggregate, type AggregateClass } from '../../plugins/events/aggregate.ts'
import type { Appliers, DataOf } from '../../plugins/events/appliers.ts'
import type { DomainEvent } from '../../plugins/events/domain-event.ts'
import { decimal, type Transcoding } from '../../plugins/events/transcodings.ts'
import { NAMESPACE_URL, uuid5 } from '../../plugins/events/uuid5.ts'

const appliers = {
  Registered: (dog: Dog, { name }: { name: string }) => {
    dog.name = name
  },
  TrickAdded: {
    version: 2,
    upcast: { 1: (old: { name: string }) => ({ trick: old.name }) },
    apply(dog: Dog, { trick }: { trick: string }) {
      dog.tricks.push(trick)
    },
  },
  Barked: (dog: Dog) => {
    dog.barks += 1
  },
  Renamed: (dog: Dog, name: string | undefined) => {
    dog.name = name ?? ''
  },
}

class Dog<More extends Appliers = Record<never, never>> extends Aggregate<typeof appliers, More> {
  static override readonly appliers = appliers

  name = ''
  tricks: string[] = []
  barks = 0

  static register(name: string) {
    return Dog.create('Registered', { name }, { id: uuid5(NAMESPACE_URL, `/dogs/${name}`) })
  }

  addTrick(trick: string) {
    this.trigger('TrickAdded', { trick })
  }

  bark() {
    this.trigger('Barked')
    this.trigger('Renamed')
    this.trigger('Renamed', 'Rex')
  }

  wrong() {
    // @ts-expect-error: there is no such event
    this.trigger('TrickRemoved', { trick: 'sit' })
    // @ts-expect-error: the trick is a text
    this.trigger('TrickAdded', { trick: 1 })
    // @ts-expect-error: data of a former version
    this.trigger('TrickAdded', { name: 'sit' })
    // @ts-expect-error: it has data
    this.trigger('TrickAdded')
    // @ts-expect-error: the name is a text
    this.trigger('Renamed', 1)
    // @ts-expect-error: known only to the bookkeeping
    this.version = 7
    // @ts-expect-error: an aggregate is what it is
    this.id = 'other'
  }
}

const dog = Dog.register('Fido')
expectTypeOf(dog).toEqualTypeOf<Dog>()
expectTypeOf(dog.version).toBeNumber()
expectTypeOf(dog.createdOn).toEqualTypeOf<Date>()
expectTypeOf(dog.pendingEvents).toEqualTypeOf<readonly DomainEvent[]>()
expectTypeOf(Dog).toExtend<AggregateClass>()
expectTypeOf<DataOf<typeof appliers.Registered>>().toEqualTypeOf<{ name: string }>()
expectTypeOf<DataOf<typeof appliers.TrickAdded>>().toEqualTypeOf<{ trick: string }>()

void Dog.create('Registered', { name: 'Fido' })
void Dog.create('Barked')
// @ts-expect-error: there is no such event
void Dog.create('Born', { name: 'Fido' })
// @ts-expect-error: the name is a text
void Dog.create('Registered', { name: 1 })
// @ts-expect-error: it has data
void Dog.create('Registered')
// @ts-expect-error: there is no such option
void Dog.create('Registered', { name: 'Fido' }, { uuid: 'x' })
// @ts-expect-error: only the aggregate itself says what happens to it
void dog.trigger('TrickAdded', { trick: 'sit' })
// @ts-expect-error: aggregates are created, or loaded
void new Dog()
// @ts-expect-error: of no class
void Aggregate.create('Registered', { name: 'Fido' })

// A class that extends an aggregate has its events, and may have more.
const puppyAppliers = {
  ...appliers,
  Chewed: (puppy: Puppy, { what }: { what: string }) => {
    puppy.chewed.push(what)
  },
}

class Puppy extends Dog<typeof puppyAppliers> {
  static override readonly appliers = puppyAppliers
  chewed: string[] = []

  chew(what: string) {
    this.trigger('Chewed', { what })
    this.trigger('TrickAdded', { trick: 'chewing' })
    // @ts-expect-error: there is no such event
    this.trigger('Slept')
    // @ts-expect-error: it has data
    this.trigger('Chewed')
  }
}
const puppy = Puppy.create('Chewed', { what: 'shoe' })
expectTypeOf(puppy).toEqualTypeOf<Puppy>()
expectTypeOf(puppy).toExtend<Dog>()
void Puppy.create('Registered', { name: 'Fifi' }).chew('sock')

const catAppliers = {
  Born: (cat: Cat, { name }: { name: string }) => {
    cat.name = name
  },
}

class Cat extends Aggregate<typeof catAppliers> {
  static override readonly appliers = catAppliers
  static override readonly topic = 'Cat'
  static override readonly snapshotVersion = 2

  name = ''

  again() {
    this.trigger('Born', { name: 'Tom' })
    // @ts-expect-error: there is no such event
    this.trigger('Chewed', { what: 'shoe' })
    // @ts-expect-error: not all of its data
    this.trigger('Born', {})
  }
}
expectTypeOf(Cat.create('Born', { name: 'Tom' })).toEqualTypeOf<Cat>()
expectTypeOf(Cat).toExtend<AggregateClass>()
// @ts-expect-error: it has no appliers of that shape
class Bird extends Aggregate<{ Born: string }> {}
void Bird

class Money {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  valueOf() {
    return this.text
  }
}
expectTypeOf(decimal(Money)).toEqualTypeOf<Transcoding<Money, string>>()
// @ts-expect-error: a decimal number is made of a text
void decimal(Intl.NumberFormat.prototype)
