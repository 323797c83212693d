import { randomUUID } from 'node:crypto'
import { type Event, type EventStore, STREAM_DOES_NOT_EXIST } from '@event-driven-io/emmett'
import { getPostgreSQLEventStore, type PostgresEventStore } from '@event-driven-io/emmett-postgresql'
import { emmettEventStore } from 'fastify-sqlassist/events'
import pg from 'pg'
import type { Comparison } from '../lib/bench.ts'
import { Dog, type Store } from './store.ts'
import type { Candidate } from './turns.ts'

type Registered = Event<'Registered', { name: string; breed: string }>

const REGISTERED: Registered = {
  type: 'Registered',
  data: { name: 'Fido', breed: 'Australian Cattle Dog' },
}

/** As many as ours has. */
const CONNECTIONS = 24

/** Emmett's own store, with its tables. */
export interface TheirStore extends AsyncDisposable {
  readonly store: PostgresEventStore
}

/** @param inTransaction run in the transaction of each append, after its events were inserted */
export async function openEmmett(url: string, inTransaction?: () => Promise<void>): Promise<TheirStore> {
  const pool = new pg.Pool({ connectionString: url, max: CONNECTIONS, idleTimeoutMillis: 3_600_000 })
  pool.on('error', () => {})
  const handle = inTransaction ?? (async () => {})
  const store = getPostgreSQLEventStore(url, {
    connectionOptions: { connectionString: url, pool },
    projections:
      inTransaction === undefined
        ? []
        : [{ type: 'inline', projection: { canHandle: ['Registered'], handle } }],
  })
  await store.schema.migrate()
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close()
      if (!pool.ended) await pool.end()
    },
  }
}

export function registered(count: number): Registered[] {
  return Array(count).fill(REGISTERED)
}

/** Appends of one event to a new stream, each a transaction of its own. */
export async function emmettCandidates(ours: Store, { store: theirs }: TheirStore): Promise<Candidate[]> {
  const log = await ours.log('emmett')
  const store = emmettEventStore(log)
  const append = (to: EventStore, options?: Parameters<EventStore['appendToStream']>[2]) => () =>
    to.appendToStream(`dog-${randomUUID()}`, [REGISTERED], options)
  return [
    { name: 'emmett-postgresql', work: append(theirs as EventStore) },
    { name: 'emmettEventStore', work: append(store) },
    {
      name: 'emmettEventStore, new streams',
      work: append(store, { expectedStreamVersion: STREAM_DOES_NOT_EXIST }),
    },
    {
      name: 'emmettEventStore in a request',
      work: () => ours.app.sqlAssist.run(db => append(emmettEventStore(log.at(ours.session(db))))()),
    },
    { name: 'Application.save', work: () => log.save(Dog.register()) },
  ]
}

export const EMMETT_COMPARISONS: readonly Comparison[] = [
  'emmettEventStore',
  'emmettEventStore, new streams',
  'emmettEventStore in a request',
  'Application.save',
].map(name => ({
  name: `${name}: emmett-postgresql`,
  ours: [name],
  theirs: ['emmett-postgresql'],
  target: null,
}))
