import type { FastifyInstance, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Db, Engine } from '../../src/index.ts'
import type { AggregateClass } from './aggregate.ts'
import { Application, type ApplicationOptions } from './application.ts'
import { errors } from './errors.ts'
import { assertOptions } from './plugin-options.ts'
import type { AnyApplication } from './source.ts'

/**
 * The application class, for the compiler. Empty until yours is declared; then `app.events` and `request.events` are
 * of it.
 *
 * @example
 * ```ts
 * declare module 'fastify-sqlassist/events' {
 *   interface SqlAssistEvents {
 *     application: TrainingSchool
 *   }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications fill it
export interface SqlAssistEvents {}

/** The class that {@link SqlAssistEvents} has been told of; {@link Application} until then. */
export type EventsApplication = SqlAssistEvents extends { application: infer Own extends AnyApplication }
  ? Own
  : AnyApplication

// biome-ignore lint/suspicious/noExplicitAny: a subclass may want certain ones
type AnyOptions = ApplicationOptions<any>

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The event-sourced application: each call is a transaction of its own, in a request as well. (On MariaDB, MySQL and
     * SQLite only one transaction at a time can record: there it would wait for a request that has recorded.)
     */
    events: EventsApplication
  }
  interface FastifyRequest {
    /** The event-sourced application, in the transaction of this request: committed or rolled back with it. */
    events: EventsApplication
  }
}

/** Options of the plugin. */
export interface EventsOptions<C extends AggregateClass = AggregateClass>
  extends Omit<ApplicationOptions<C>, 'on'> {
  /** A subclass of {@link Application}, to call things by their names. */
  readonly application?: new (
    options: AnyOptions,
  ) => AnyApplication
  /** The engine with the tables. Default `'writer'` if there is such an engine, else the default one. */
  readonly engine?: string
  /** Whether missing tables are created. Default false: make them with a migration, or with this. */
  readonly createTables?: boolean
  /** What `request.db` is called: the option of the same name of `sqlAssist`. Default `'db'`. */
  readonly requestProperty?: string
}

const kEvents = Symbol('fastify-sqlassist.events')

interface Slot {
  [kEvents]: EventsApplication | null
}

async function register(app: FastifyInstance, options: EventsOptions): Promise<void> {
  assertOptions(options)
  const {
    application: Own = Application,
    engine: name,
    createTables = false,
    requestProperty = 'db',
    ...rest
  } = options
  const engine = engineOf(app, name)
  if (createTables && engine.readOnly) {
    throw new errors.SQLA_ERR_EVENTS_STORAGE(`engine '${engine.name}' is read-only`)
  }
  const application: AnyApplication = new Own({ log: app.log, ...rest, on: engine })
  if (createTables) await application.createTables()
  app.decorate('events', application)
  app.decorateRequest(kEvents as never, null as never)
  app.decorateRequest('events', {
    getter(this: FastifyRequest) {
      const slot = this as unknown as Slot
      const db = () => (this as unknown as Record<string, Db>)[requestProperty] as Db
      slot[kEvents] ??= application.at(db().get(engine.name as never))
      return slot[kEvents]
    },
  })
  // A table of the other ordering would be followed wrongly.
  app.addHook('onReady', () => application.assertOrdering())
  app.addHook('preClose', () => application.close())
}

function engineOf(app: FastifyInstance, name: string | undefined): Engine {
  if (!app.hasDecorator('sqlAssist')) {
    throw new errors.SQLA_ERR_EVENTS_STORAGE('register sqlAssist before events')
  }
  const { engines } = app.sqlAssist
  return engines.get(name ?? (engines.has('writer') ? 'writer' : undefined))
}

/**
 * Event sourcing on the application's own database: `request.events` records in the transaction of the request, so that
 * events and entities are committed together; `app.events` is for everything outside of requests.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines })
 * await app.register(events, { application: TrainingSchool, aggregates: [Dog], createTables: true })
 * app.post('/dogs/:name', async request => {
 *   request.db.writer.create(Invoice, { name: request.params.name })
 *   await request.events.register(request.params.name)
 *   return { ok: true }
 * })
 * ```
 */
export const events = fastifyPlugin(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-events',
})
