import t from 'tap'
import {
  Aggregate,
  type AnyAggregate,
  clearPending,
  collectPending,
  copyOf,
  fromSnapshot,
  replay,
  snapshotOf,
} from '../../plugins/events/aggregate.ts'
import type { DomainEvent } from '../../plugins/events/domain-event.ts'
import { Mapper } from '../../plugins/events/mapper.ts'
import { EventTopics } from '../../plugins/events/topics.ts'
import { decimal } from '../../plugins/events/transcodings.ts'
import { Dog } from './dogs.ts'

const topics = new EventTopics([Dog])
const mapper = new Mapper(topics)

/** As a database would give them back. */
function stored(events: readonly DomainEvent[], through = mapper): DomainEvent[] {
  return events.map(event => through.toDomain(through.toStored(event)))
}

t.test('an aggregate is what its events have made of it', async t => {
  const before = Date.now()
  const dog = Dog.register('Fido')
  dog.addTrick('roll over')
  dog.bark()
  t.equal(dog.id, Dog.idOf('Fido'))
  t.equal(dog.version, 3)
  t.match(dog, { name: 'Fido', tricks: ['roll over'], barks: 1 })
  const [registered, trickAdded, barked] = dog.pendingEvents
  t.match(registered, {
    originatorId: dog.id,
    originatorVersion: 1,
    topic: 'Dog.Registered',
    data: { name: 'Fido' },
  })
  t.match(trickAdded, { originatorVersion: 2, topic: 'Dog.TrickAdded', data: { trick: 'roll over' } })
  t.match(barked, { originatorVersion: 3, topic: 'Dog.Barked', data: undefined })
  t.same(dog.createdOn, registered?.timestamp)
  t.same(dog.modifiedOn, barked?.timestamp)
  t.ok(dog.createdOn.getTime() >= before)
})

t.test('an id is a UUID, in lower case whatever was given', async t => {
  const id = 'ABCDEF01-2345-6789-ABCD-EF0123456789'
  t.equal(Dog.create('Registered', { name: 'Rex' }, { id }).id, id.toLowerCase())
  t.match(Dog.create('Registered', { name: 'Rex' }).id, /^[\da-f-]{36}$/)
  t.not(Dog.create('Registered', { name: 'Rex' }).id, Dog.create('Registered', { name: 'Rex' }).id)
  for (const wrong of ['Fido', '', `${id}0`, `{${id}}`, id.replaceAll('-', ''), `${id}\n`]) {
    t.throws(() => Dog.create('Registered', { name: 'Rex' }, { id: wrong }), {
      code: 'SQLA_ERR_INVALID_OPTION',
    })
  }
})

t.test('an applier that throws leaves the version and the pending events as they were', async t => {
  const dog = Dog.register('Fido')
  const { modifiedOn } = dog
  t.throws(() => dog.addTrick('fly'), RangeError)
  t.equal(dog.version, 1)
  t.equal(dog.pendingEvents.length, 1)
  t.same(dog.modifiedOn, modifiedOn)
  dog.addTrick('sit')
  t.match(dog.pendingEvents[1], { originatorVersion: 2, data: { trick: 'sit' } })
})

t.test('what the caller does to the data afterwards changes neither the event nor the aggregate', async t => {
  const dog = Dog.register('Fido')
  const address = { city: 'Bern' }
  dog.move(address)
  address.city = 'Basel'
  t.same(dog.pendingEvents[1]?.data, { address: { city: 'Bern' } })
  t.same(dog.address, { city: 'Bern' })
})

t.test('what the aggregate does to the data afterwards does not change the event', async t => {
  const dog = Dog.register('Fido')
  dog.move({ city: 'Bern' })
  if (dog.address !== undefined) dog.address.city = 'Basel'
  t.same(dog.pendingEvents[1]?.data, { address: { city: 'Bern' } })
})

t.test('an event that is not declared is refused where the compiler was not asked', async t => {
  const dog = Dog.register('Fido') as unknown as { trigger(name: string, data?: unknown): void }
  for (const name of ['TrickRemoved', 'constructor', 'toString', '__proto__', '']) {
    t.throws(() => dog.trigger(name, {}), { code: 'SQLA_ERR_EVENT_UNKNOWN', message: /Dog\.TrickAdded/ })
  }
  t.equal((dog as unknown as Dog).version, 1)
})

t.test('an aggregate is not made by new', async t => {
  const Class = Dog as unknown as new (birth?: unknown) => Dog
  t.throws(() => new Class(), { code: 'SQLA_ERR_AGGREGATE_INVALID' })
  t.throws(() => new Class({ id: Dog.idOf('Fido') }), { code: 'SQLA_ERR_AGGREGATE_INVALID' })
})

const loopAppliers = {
  Begun: () => {},
  Looped: (loop: Loop) => loop.loop(),
  Awaited: async () => {
    throw new RangeError('too late')
  },
}
class Loop extends Aggregate<typeof loopAppliers> {
  static override readonly appliers = loopAppliers
  loop() {
    this.trigger('Looped')
  }
  await() {
    this.trigger('Awaited')
  }
}

t.test('an applier neither triggers an event nor takes its time', async t => {
  const loop = Loop.create('Begun')
  t.throws(() => loop.loop(), { code: 'SQLA_ERR_AGGREGATE_INVALID', message: /'Looped'/ })
  t.throws(() => loop.await(), { code: 'SQLA_ERR_AGGREGATE_INVALID', message: /asynchronous/ })
  t.equal(loop.version, 1)
  t.equal(loop.pendingEvents.length, 1)
})

t.test('events that happen while others are recorded stay pending', async t => {
  const dog = Dog.register('Fido')
  const recorded = collectPending(dog)
  dog.bark()
  t.equal(recorded.length, 1)
  clearPending(dog, recorded.at(-1)?.originatorVersion ?? 0)
  t.same(
    dog.pendingEvents.map(event => event.originatorVersion),
    [2],
  )
  t.equal(dog.version, 2)
})

t.test('replaying the events makes the same aggregate', async t => {
  const dog = Dog.register('Fido')
  dog.addTrick('sit')
  dog.move({ city: 'Bern' })
  const again = replay(topics, undefined, stored(dog.pendingEvents)) as Dog
  t.ok(again instanceof Dog)
  t.same({ ...again, greet: null }, { ...dog, greet: null })
  t.match(again, { id: dog.id, version: 3, createdOn: dog.createdOn, modifiedOn: dog.modifiedOn })
  t.same(again.pendingEvents, [])
  again.bark()
  t.equal(again.pendingEvents[0]?.originatorVersion, 4)
  t.equal(replay(topics, undefined, []), undefined)
  t.equal(replay(topics, dog, []), dog)
})

t.test('events that do not follow each other are no aggregate', async t => {
  class Cat extends Dog {}
  const both = new EventTopics([Dog, Cat])
  const dog = Dog.register('Fido')
  dog.bark()
  dog.bark()
  const [first, second, third] = dog.pendingEvents as [DomainEvent, DomainEvent, DomainEvent]
  const wrong = { code: 'SQLA_ERR_EVENT_UNREADABLE' }
  t.throws(() => replay(both, undefined, [first, third]), wrong, 'a gap')
  t.throws(() => replay(both, undefined, [second]), wrong, 'no beginning')
  t.throws(() => replay(both, undefined, [first, first]), wrong, 'twice')
  t.throws(() => replay(both, dog, [first]), wrong, 'before the base')
  const foreign = { ...second, originatorId: Dog.idOf('Rex') }
  t.throws(() => replay(both, undefined, [first, foreign]), wrong, "another one's")
  t.throws(() => replay(both, undefined, [first, { ...second, topic: 'Cat.Barked' }]), wrong, 'another class')
  t.throws(() => replay(both, undefined, [first, { ...second, topic: 'Dog.Gone' }]), {
    code: 'SQLA_ERR_EVENT_UNKNOWN',
  })
  t.equal(replay(both, undefined, [first, second, third])?.version, 3)
})

const puppyAppliers = {
  ...Dog.appliers,
  Chewed: (puppy: Puppy, { what }: { what: string }) => {
    puppy.chewed.push(what)
  },
}
class Puppy extends Dog<typeof puppyAppliers> {
  static override readonly appliers = puppyAppliers
  chewed: string[] = []
  chew(what: string) {
    this.trigger('Chewed', { what })
  }
}

t.test('a class that extends an aggregate has its events and its own', async t => {
  const puppy = Puppy.create('Registered', { name: 'Fifi' })
  puppy.chew('shoe')
  puppy.addTrick('sit')
  t.same(
    puppy.pendingEvents.map(event => event.topic),
    ['Puppy.Registered', 'Puppy.Chewed', 'Puppy.TrickAdded'],
  )
  const again = replay(new EventTopics([Dog, Puppy]), undefined, stored(puppy.pendingEvents)) as Puppy
  t.ok(again instanceof Puppy && again instanceof Dog)
  t.match(again, { name: 'Fifi', chewed: ['shoe'], tricks: ['sit'] })
})

t.test('a static topic stands for the name of the class, for this class only', async t => {
  class Minified extends Dog {
    static override readonly topic = 'school.Dog'
  }
  class Other extends Minified {}
  t.equal(Minified.create('Registered', { name: 'Fido' }).pendingEvents[0]?.topic, 'school.Dog.Registered')
  t.equal(Other.create('Registered', { name: 'Fido' }).pendingEvents[0]?.topic, 'Other.Registered')
})

// Former data: 1 was a name, 2 first and last name, 3 has both in one object.
const personAppliers = {
  Named: {
    version: 3,
    upcast: {
      1: (name: string) => ({ first: name.split(' ')[0], last: name.split(' ')[1] }),
      2: ({ first, last }: { first: string; last: string }) => ({ name: { first, last } }),
    },
    apply(person: Person, { name }: { name: { first: string; last: string } }) {
      person.name = name
    },
  },
}
class Person extends Aggregate<typeof personAppliers> {
  static override readonly appliers = personAppliers
  name = { first: '', last: '' }
}

t.test('data of former versions is brought to the present one, step by step', async t => {
  const personMapper = new Mapper(new EventTopics([Person]))
  const name = { first: 'Ada', last: 'Lovelace' }
  const person = Person.create('Named', { name })
  const present = personMapper.toStored(person.pendingEvents[0] as DomainEvent)
  t.match(JSON.parse(Buffer.from(present.state).toString()), { version: 3, data: { name } })
  const former = (version: unknown, data: unknown) =>
    personMapper.toDomain({
      ...present,
      state: Buffer.from(JSON.stringify({ data, timestamp: '2026-01-31T12:00:00.000Z', version })),
    })
  t.same(former(1, 'Ada Lovelace').data, { name })
  t.same(former(2, name).data, { name })
  t.same(former(3, { name }).data, { name })
  t.throws(() => former(4, { name }), { code: 'SQLA_ERR_EVENT_UNREADABLE', message: /version 4/ })
  t.throws(() => former(1, null), { code: 'SQLA_ERR_EVENT_UNREADABLE', cause: TypeError })
  for (const version of [0, -1, 1.5, '1', null]) {
    t.throws(() => former(version, { name }), { code: 'SQLA_ERR_EVENT_UNREADABLE', message: /no version/ })
  }
})

class Money {
  readonly amount: string
  constructor(amount: string) {
    this.amount = amount
  }
  valueOf() {
    return this.amount
  }
}
const walletAppliers = {
  Opened: (wallet: Wallet, { balance }: { balance: Money }) => {
    wallet.balance = balance
  },
}
class Wallet extends Aggregate<typeof walletAppliers> {
  static override readonly appliers = walletAppliers
  balance: Money | undefined
  opened = new Date(0)
  notes = new Map<string, { text: string }[]>()
  tags = new Set<unknown>()
  bytes = new Uint8Array([1, 2])
  secret: Buffer | undefined = Buffer.from('x')
  limit: number | undefined = 5

  open(balance: Money) {
    this.trigger('Opened', { balance })
  }
}

function filledWallet(): Wallet {
  const wallet = Wallet.create('Opened', { balance: new Money('12.50') })
  wallet.opened = new Date(7)
  wallet.notes.set('a', [{ text: 'b' }])
  wallet.tags.add(wallet.notes.get('a'))
  wallet.limit = undefined
  return wallet
}

t.test('a snapshot keeps all public fields, through a database', async t => {
  const walletTopics = new EventTopics([Wallet])
  const walletMapper = new Mapper(walletTopics, { transcodings: [decimal(Money, 'money')] })
  const wallet = filledWallet()
  const snapshot = snapshotOf(wallet)
  t.match(snapshot, { originatorId: wallet.id, originatorVersion: 1, topic: 'Wallet' })
  wallet.notes.clear()
  const [read] = stored([snapshot], walletMapper)
  const again = fromSnapshot(walletTopics, read as DomainEvent) as Wallet
  t.ok(again instanceof Wallet)
  t.same({ ...again }, { ...filledWallet() })
  t.ok(again.balance instanceof Money)
  t.ok(Object.hasOwn(again, 'limit'), 'a field that was undefined is undefined again')
  t.match(again, {
    id: wallet.id,
    version: 1,
    createdOn: wallet.createdOn,
    modifiedOn: wallet.modifiedOn,
    pendingEvents: [],
  })
})

t.test('functions among the fields are no state', async t => {
  const dog = Dog.register('Fido')
  const again = fromSnapshot(topics, stored([snapshotOf(dog)])[0] as DomainEvent) as Dog
  const copy = copyOf(dog)
  for (const other of [again, copy]) {
    other.name = 'Rex'
    t.equal(other.greet(), 'I am Rex')
  }
})

t.test('a snapshot of another snapshotVersion is not used, one of no class is refused', async t => {
  const snapshot = snapshotOf(Dog.register('Fido'))
  const Later = class Dog2 extends Dog {
    static override readonly topic = 'Dog'
    static override readonly snapshotVersion = 2
  }
  t.equal(fromSnapshot(new EventTopics([Later]), snapshot), undefined)
  t.ok(fromSnapshot(topics, snapshot) instanceof Dog)
  t.throws(() => fromSnapshot(new EventTopics([Person]), snapshot), { code: 'SQLA_ERR_EVENT_UNKNOWN' })
})

t.test('a copy has nothing in common with the original that could change', async t => {
  const wallet = filledWallet()
  const keepMoney = (instance: object) => instance
  const copy = copyOf(wallet, keepMoney)
  t.ok(copy instanceof Wallet)
  t.same({ ...copy }, { ...wallet })
  t.match(copy, { id: wallet.id, version: 1, modifiedOn: wallet.modifiedOn })
  t.same(copy.pendingEvents, wallet.pendingEvents)
  t.equal(copy.balance, wallet.balance)
  t.ok(copy.tags.has(copy.notes.get('a')), 'what was the same object is the same object')

  copy.notes.get('a')?.push({ text: 'c' })
  copy.notes.set('b', [])
  copy.tags.clear()
  copy.opened.setTime(8)
  copy.bytes[0] = 9
  if (copy.secret !== undefined) copy.secret[0] = 9
  clearPending(copy, 1)
  const other = copyOf(wallet, keepMoney)
  other.open(new Money('1.00'))
  t.equal(other.pendingEvents.length, 2)
  t.same({ ...wallet }, { ...filledWallet() })
  t.equal(wallet.pendingEvents.length, 1)
})

t.test('a copy is refused where an instance could change under it', async t => {
  const wallet = filledWallet()
  t.throws(() => copyOf(wallet), { code: 'SQLA_ERR_AGGREGATE_INVALID', message: /Money/ })
  if (wallet.balance !== undefined) Object.freeze(wallet.balance)
  t.equal(copyOf(wallet).balance, wallet.balance)
})

t.test('state that contains itself can be copied', async t => {
  const dog = Dog.register('Fido') as Dog & { self?: unknown }
  const loop: { self?: unknown } = {}
  loop.self = loop
  dog.self = loop
  const copy = copyOf<AnyAggregate>(dog) as typeof dog
  t.not(copy.self, loop)
  t.equal((copy.self as typeof loop).self, copy.self)
})
