import { Aggregate } from '../../plugins/events/aggregate.ts'
import type { Appliers } from '../../plugins/events/appliers.ts'
import { NAMESPACE_URL, uuid5 } from '../../plugins/events/uuid5.ts'

const appliers = {
  Registered: (dog: Dog, { name }: { name: string }) => {
    dog.name = name
  },
  TrickAdded: (dog: Dog, { trick }: { trick: string }) => {
    if (trick === 'fly') throw new RangeError('dogs do not fly')
    dog.tricks.push(trick)
  },
  Moved: (dog: Dog, { address }: { address: { city: string } }) => {
    dog.address = address
  },
  Barked: (dog: Dog) => {
    dog.barks += 1
  },
}

/** The dog of the reference's training school. */
export class Dog<More extends Appliers = Record<never, never>> extends Aggregate<typeof appliers, More> {
  static override readonly appliers: typeof appliers = appliers

  name = ''
  tricks: string[] = []
  address: { city: string } | undefined
  barks = 0
  /** A function is no state. */
  greet = () => `I am ${this.name}`

  static register(name: string): Dog {
    return Dog.create('Registered', { name }, { id: Dog.idOf(name) })
  }

  static idOf(name: string): string {
    return uuid5(NAMESPACE_URL, `/dogs/${name}`)
  }

  addTrick(trick: string) {
    this.trigger('TrickAdded', { trick })
  }

  move(address: { city: string }) {
    this.trigger('Moved', { address })
  }

  bark() {
    this.trigger('Barked')
  }
}
