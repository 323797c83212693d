import t from 'tap'
import { Aggregate, type AggregateClass } from '../../plugins/events/aggregate.ts'
import { EventTopics } from '../../plugins/events/topics.ts'
import { Dog } from './dogs.ts'

/** A class that the compiler would refuse. */
function declared(appliers: unknown, statics: object = {}): AggregateClass {
  const Class = class Thing extends Aggregate {}
  Object.defineProperty(Class, 'appliers', { value: appliers })
  for (const [name, value] of Object.entries(statics)) Object.defineProperty(Class, name, { value })
  return Class
}

t.test('topics are found by name, and belong to a class', async t => {
  const topics = new EventTopics([Dog])
  t.same(topics.list(), ['Dog.Registered', 'Dog.TrickAdded', 'Dog.Moved', 'Dog.Barked'])
  t.match(topics.find('Dog.TrickAdded'), { aggregate: Dog, name: 'TrickAdded', version: 1 })
  t.equal(topics.find('Dog.Gone'), undefined)
  t.equal(topics.find('Dog.toString'), undefined)
  t.equal(topics.find('Dog'), undefined)
  t.equal(topics.aggregateOf('Dog'), Dog)
  t.equal(topics.aggregateOf('Dog.Barked'), Dog)
  t.equal(topics.aggregateOf('Cat'), undefined)
  t.equal(topics.topicOf(Dog, 'Barked'), 'Dog.Barked')
  t.throws(() => topics.topicOf(Dog, 'Gone'), { code: 'SQLA_ERR_EVENT_UNKNOWN', message: /Dog\.Barked/ })
  class Cat extends Dog {}
  t.throws(() => topics.topicOf(Cat, 'Barked'), { code: 'SQLA_ERR_EVENT_UNKNOWN' })
  class Impostor extends Dog {
    static override readonly topic = 'Dog'
  }
  t.throws(() => topics.topicOf(Impostor, 'Barked'), { code: 'SQLA_ERR_EVENT_UNKNOWN' })
})

t.test('there may be no aggregates at all', async t => {
  const topics = new EventTopics([])
  t.same(topics.list(), [])
  t.match(topics.unknown('Dog.Barked'), { code: 'SQLA_ERR_EVENT_UNKNOWN', message: /none/ })
})

t.test('what is not declared right is refused at once', async t => {
  const apply = () => {}
  const up = (data: unknown) => data
  const cases: [string, AggregateClass[]][] = [
    ['no appliers', [declared({})]],
    ['appliers that are none', [declared(undefined)]],
    ['an applier that is none', [declared({ Done: 'yes' })]],
    ['an applier that is null', [declared({ Done: null })]],
    ['an applier without apply', [declared({ Done: { version: 1, upcast: {} } })]],
    ['a version that is none', [declared({ Done: { version: 0, upcast: {}, apply } })]],
    ['a version in between', [declared({ Done: { version: 1.5, upcast: {}, apply } })]],
    ['no upcast at all', [declared({ Done: { version: 2, apply } })]],
    ['an upcast that is missing', [declared({ Done: { version: 3, upcast: { 2: up }, apply } })]],
    ['an upcast that is none', [declared({ Done: { version: 2, upcast: { 1: 'x' }, apply } })]],
    ['a class without a name', [declared({ Done: apply }, { name: '' })]],
    ['a topic that is empty', [declared({ Done: apply }, { topic: '' })]],
    ['a snapshot version that is none', [declared({ Done: apply }, { snapshotVersion: 0 })]],
    ['the same class twice', [Dog, Dog]],
    ['two of one topic', [Dog, declared({ Done: apply }, { topic: 'Dog' })]],
    ['an event that is an aggregate', [declared({ Done: apply }, { topic: 'Dog.Barked' }), Dog]],
    [
      'the same event of two',
      [declared({ 'b.c': apply }, { topic: 'a' }), declared({ c: apply }, { topic: 'a.b' })],
    ],
  ]
  for (const [name, aggregates] of cases) {
    t.throws(() => new EventTopics(aggregates), { code: 'SQLA_ERR_AGGREGATE_INVALID' }, name)
  }
  t.ok(new EventTopics([declared({ Done: { version: 3, upcast: { 1: up, 2: up }, apply } })]))
})
