// The class of an application that has declared its own, on the built package, as users have it.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import { Aggregate, Application, events, NAMESPACE_URL, uuid5 } from 'fastify-sqlassist/events'

const appliers = {
  Registered(dog: Dog, { name }: { name: string }) {
    dog.name = name
  },
}

class Dog extends Aggregate<typeof appliers> {
  static override readonly appliers = appliers
  name = ''
}

class TrainingSchool extends Application<typeof Dog> {
  async register(name: string): Promise<Dog> {
    const dog = Dog.create('Registered', { name }, { id: uuid5(NAMESPACE_URL, name) })
    await this.save(dog)
    return dog
  }
}

declare module 'fastify-sqlassist/events' {
  interface SqlAssistEvents {
    application: TrainingSchool
  }
}

const app = Fastify()
app.register(events, { application: TrainingSchool, aggregates: [Dog] })

expectTypeOf(app.events).toEqualTypeOf<TrainingSchool>()
app.get('/', async request => {
  expectTypeOf(request.events).toEqualTypeOf<TrainingSchool>()
  expectTypeOf(await request.events.register('Fido')).toEqualTypeOf<Dog>()
  expectTypeOf((await request.events.repository.get('id')).name).toBeString()
  // @ts-expect-error: not declared
  request.events.unregister('Fido')
})
