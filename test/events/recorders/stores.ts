import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { createEventTables, type EventStorageOptions } from '../../../plugins/events/create-tables.ts'
import { Datastore } from '../../../plugins/events/datastore.ts'
import { AggregateRecorder } from '../../../plugins/events/recorders/aggregate-recorder.ts'
import { ApplicationRecorder } from '../../../plugins/events/recorders/application-recorder.ts'
import { ProcessRecorder } from '../../../plugins/events/recorders/process-recorder.ts'
import { TrackingRecorder } from '../../../plugins/events/recorders/tracking-recorder.ts'
import type { StoredEvent } from '../../../plugins/events/stored-event.ts'
import { type EventTables, eventTables, type Ordering } from '../../../plugins/events/tables.ts'
import sqlAssist, { type Engine } from '../../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../../support/backends.ts'

// Recorders on every database, in every ordering that it has.

/** One log: its tables, and recorders on them. */
export interface TestStore {
  readonly tables: EventTables
  readonly options: EventStorageOptions
  readonly datastore: Datastore
  readonly snapshots: AggregateRecorder
  readonly application: ApplicationRecorder
  readonly tracking: TrackingRecorder
  readonly process: ProcessRecorder
}

/** A database and an ordering. */
export interface TestStores {
  readonly backend: TestBackend
  readonly ordering: Ordering
  readonly app: FastifyInstance
  readonly engine: Engine
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** An empty log in tables of its own. */
  make(options?: EventStorageOptions): Promise<TestStore>
}

export async function onEveryStore(
  t: Test,
  suite: (t: Test, stores: TestStores) => void | Promise<void>,
): Promise<void> {
  await onEveryBackend(t, async (t, backend) => {
    const orderings: Ordering[] = backend.dialect === 'postgresql' ? ['watermark', 'strict'] : ['strict']
    const { app, engine } = await engineOn(t, backend)
    let made = 0
    for (const ordering of orderings) {
      await t.test(`ordering ${ordering}`, async t => {
        await suite(t, {
          backend,
          ordering,
          app,
          engine,
          sql: (text, values = []) => engine.orm.em.fork().execute(text, values),
          make: (options = {}) => {
            made++
            return storeOn(engine, { name: `Log ${made}`, ordering, ...options })
          },
        })
      })
    }
  })
}

/** An application with the engine `writer`. */
export async function engineOn(
  t: Test,
  backend: TestBackend,
  routes: (app: FastifyInstance) => void = () => {},
): Promise<{ app: FastifyInstance; engine: Engine }> {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = backend.options({ entities: [], discovery: { warnWhenNoEntities: false } }) as never
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  routes(app)
  await app.ready()
  return { app, engine: app.sqlAssist.engines.get('writer') }
}

/** Makes the tables. */
export async function storeOn(engine: Engine, options: EventStorageOptions): Promise<TestStore> {
  const datastore = new Datastore(engine)
  await createEventTables(datastore, options)
  return recordersOn(datastore, options)
}

export function recordersOn(datastore: Datastore, options: EventStorageOptions): TestStore {
  const tables = eventTables(datastore.em, options)
  const ordering = options.ordering ?? 'strict'
  return {
    tables,
    options,
    datastore,
    snapshots: new AggregateRecorder({ datastore, table: tables.snapshots }),
    application: new ApplicationRecorder({ datastore, tables, ordering }),
    tracking: new TrackingRecorder({ datastore, table: tables.tracking }),
    process: new ProcessRecorder({ datastore, tables, ordering }),
  }
}

/** @param version of the originator */
export function event(originatorId: string, version: number, more: Partial<StoredEvent> = {}): StoredEvent {
  return {
    originatorId,
    originatorVersion: version,
    topic: 'Dog.Registered',
    state: Buffer.from(`state ${version}`),
    ...more,
  }
}

/** The first versions of a new originator. */
export function events(count: number, originatorId: string = randomUUID(), first = 1): StoredEvent[] {
  return Array.from({ length: count }, (_, place) => event(originatorId, first + place))
}
