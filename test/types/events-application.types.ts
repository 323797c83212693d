// What compiles, and what does not, of applications and the plugin `events`. `npm run typecheck` is the test: a
// `@ts-expect-error` that is not needed is an error.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import {
  Aggregate,
  Application,
  type ApplicationOptions,
  type EventsApplication,
  events,
  type RecordedEvent,
  type Recording,
} from '../../plugins/events/index.ts'
import type { SqlEm } from '../../src/index.ts'

const barking = {
  Barked(dog: Dog, { times }: { times: number }) {
    dog.barks += times
  },
}
const purring = {
  Purred(cat: Cat) {
    cat.purrs++
  },
}

class Dog extends Aggregate<typeof barking> {
  static override readonly appliers = barking
  barks = 0
}

class Cat extends Aggregate<typeof purring> {
  static override readonly appliers = purring
  purrs = 0
}

class Shelter extends Application<typeof Dog | typeof Cat> {
  barks(id: string): Promise<number> {
    return this.repository.get(id, { as: Dog }).then(({ barks }) => barks)
  }
}

declare const options: Omit<ApplicationOptions<typeof Dog | typeof Cat>, 'aggregates'>
declare const session: SqlEm
const shelter = new Shelter({ ...options, aggregates: [Dog, Cat] })

expectTypeOf(await shelter.repository.get('id')).toEqualTypeOf<Dog | Cat>()
expectTypeOf(await shelter.repository.get('id', { as: Cat })).toEqualTypeOf<Cat>()
expectTypeOf(await shelter.save()).toEqualTypeOf<Recording[]>()
expectTypeOf(shelter.at(session)).toEqualTypeOf<Shelter>()
expectTypeOf(await shelter.transaction(async em => em)).toEqualTypeOf<SqlEm>()
for await (const event of shelter.subscribe()) expectTypeOf(event).toEqualTypeOf<RecordedEvent>()

const kennel = new Application({ ...options, aggregates: [Dog] })
expectTypeOf(await kennel.repository.get('id')).toEqualTypeOf<Dog>()
// @ts-expect-error: there are no cats
kennel.repository.get('id', { as: Cat })
// @ts-expect-error: there is nothing to save of a plain object
kennel.save({ id: 'id', version: 1 })
// @ts-expect-error: there are no aggregates
new Application({ ...options })
// @ts-expect-error: a typo
new Application({ ...options, aggregates: [Dog], snapshotsEvery: 10 })
// @ts-expect-error: an object with `max`
new Application({ ...options, aggregates: [Dog], cache: 100 })

const app = Fastify()
app.register(events, { application: Shelter, aggregates: [Dog, Cat], createTables: true })
app.register(events, { aggregates: [Dog], snapshotEvery: { Dog: 100 }, ordering: 'strict' })
// @ts-expect-error: the plugin knows the engine
app.register(events, { aggregates: [Dog], on: session })
// @ts-expect-error: there is no such ordering
app.register(events, { aggregates: [Dog], ordering: 'loose' })
// @ts-expect-error: there are no aggregates
app.register(events, {})
expectTypeOf(app.events).toEqualTypeOf<EventsApplication>()
app.get('/', async request => {
  expectTypeOf(request.events).toEqualTypeOf<EventsApplication>()
})
