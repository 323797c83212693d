import type { Options } from '@mikro-orm/core'
import { defineEntity, p } from '@mikro-orm/sql'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import {
  Aggregate,
  Application,
  type EventsOptions,
  events,
  NAMESPACE_URL,
  uuid5,
} from '../../plugins/events/index.ts'
import sqlAssist, { type EngineOptions, type SqlAssistOptions } from '../../src/index.ts'
import type { TestBackend } from '../support/backends.ts'

// The school of the README of eventsourcing_sqlalchemy, with entities beside it.

const appliers = {
  Registered(dog: Dog, { name }: { name: string }) {
    dog.name = name
  },
  TrickAdded(dog: Dog, { trick }: { trick: string }) {
    dog.tricks.push(trick)
  },
}

export class Dog extends Aggregate<typeof appliers> {
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

export class TrainingSchool extends Application<typeof Dog> {
  async register(name: string): Promise<Dog> {
    const dog = Dog.register(name)
    await this.save(dog)
    return dog
  }

  async addTrick(name: string, trick: string): Promise<void> {
    const dog = await this.get(name)
    dog.addTrick(trick)
    await this.save(dog)
  }

  async tricks(name: string): Promise<string[]> {
    return (await this.get(name)).tricks
  }

  get(name: string): Promise<Dog> {
    return this.repository.get(Dog.idOf(name))
  }
}

const InvoiceSchema = defineEntity({
  name: 'Invoice',
  tableName: 'invoice',
  properties: { id: p.integer().primary(), dog: p.string().unique() },
})

/** What is written beside the events. */
export class Invoice extends InvoiceSchema.class {}
InvoiceSchema.setClass(Invoice)

export interface School {
  readonly app: FastifyInstance
  readonly school: TrainingSchool
  /** The dogs with an invoice that has been committed. */
  invoiced(): Promise<string[]>
  /** The dogs that have been registered and committed. */
  registered(): Promise<string[]>
}

export interface SchoolOptions extends Partial<EventsOptions<typeof Dog>> {
  readonly engine?: string
  readonly plugin?: Partial<Omit<SqlAssistOptions, 'engines'>>
  readonly writer?: Partial<EngineOptions>
  readonly orm?: Partial<Options>
  /** What is registered before the application is ready. */
  routes?(app: FastifyInstance): void
}

let places = 0

/** A school in tables of its own, in an application that `t` closes. */
export async function schoolOn(
  t: Test,
  backend: Pick<TestBackend, 'options'>,
  { plugin = {}, writer = {}, orm = {}, routes, ...options }: SchoolOptions = {},
): Promise<School> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, {
    ...plugin,
    engines: {
      writer: {
        orm: backend.options({ entities: [Invoice], ...orm }),
        createAll: true,
        ...writer,
      } as EngineOptions,
    },
  })
  await app.register(events, {
    application: TrainingSchool,
    aggregates: [Dog],
    createTables: true,
    name: `school_${++places}`,
    ...options,
  })
  routes?.(app)
  await app.ready()
  const engine = app.sqlAssist.engines.get('writer')
  const before = new Set((await engine.orm.em.fork().find(Invoice, {})).map(({ dog }) => dog))
  return {
    app,
    school: app.events as TrainingSchool,
    invoiced: async () =>
      (await engine.orm.em.fork().find(Invoice, {}, { orderBy: { id: 'asc' } }))
        .map(({ dog }) => dog)
        .filter(dog => !before.has(dog)),
    registered: async () => {
      const found = await (app.events as TrainingSchool).recorder.selectNotifications({
        limit: 1_000,
        topics: ['Dog.Registered'],
      })
      const dogs = await Promise.all(
        found.map(({ originatorId }) =>
          (app.events as TrainingSchool).repository.get(originatorId, { version: 1 }),
        ),
      )
      return dogs.map(({ name }) => name)
    },
  }
}
