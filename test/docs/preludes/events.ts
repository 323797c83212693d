// What the fragments of docs/events.md and docs/events-following.md stand on: an application with dogs and their tricks.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist, { type SqlEm } from 'fastify-sqlassist'
import {
  Aggregate,
  AggregateNotFoundError,
  Application,
  type ApplicationOptions,
  events,
  NAMESPACE_URL,
  type RecordedEvent,
  uuid5,
} from 'fastify-sqlassist/events'

const appliers = {
  Registered: (dog: Dog, { name }: { name: string }) => {
    dog.name = name
  },
  TrickAdded: (dog: Dog, { trick }: { trick: string }) => {
    dog.tricks.push(trick)
  },
}
class Dog extends Aggregate<typeof appliers> {
  static override readonly appliers = appliers
  name = ''
  tricks: string[] = []

  static idOf(name: string): string {
    return uuid5(NAMESPACE_URL, `/dogs/${name}`)
  }

  static register(name: string): Dog {
    return Dog.create('Registered', { name }, { id: Dog.idOf(name) })
  }

  addTrick(trick: string): void {
    this.trigger('TrickAdded', { trick })
  }
}

const Booking = defineEntity({
  name: 'Booking',
  tableName: 'bookings',
  properties: { id: p.integer().primary(), dog: p.string() },
})
const app = Fastify()
await app.register(sqlAssist, {
  commitMode: 'autocommit',
  engines: {
    writer: {
      orm: defineConfig({ clientUrl: process.env.WRITER_URL ?? '', entities: [Booking] }),
      createAll: true,
    },
  },
})
await app.register(events, { aggregates: [Dog], createTables: true })
const engine = app.sqlAssist.engines.get('writer')
void [AggregateNotFoundError, Application, engine]

export type { ApplicationOptions, RecordedEvent, SqlEm }
