import type {
  AggregateStreamOptions,
  AggregateStreamResult,
  AppendToStreamOptions,
  AppendToStreamResult,
  BigIntStreamPosition,
  Event,
  EventStore,
  ExpectedStreamVersion,
  ReadEvent,
  ReadStreamOptions,
  ReadStreamResult,
} from '@event-driven-io/emmett'
import type { SqlEm } from '../../src/index.ts'
import { Application } from './application.ts'
import type { EventStorageOptions } from './create-tables.ts'
import { domainEventOf, type EmmettEventMetadata, originatorOf, readEventOf } from './emmett-events.ts'
import { type Emmett, emmettPackage } from './emmett-package.ts'
import { errors } from './errors.ts'
import type { Mapper, MapperOptions } from './mapper.ts'
import type { ApplicationRecorder } from './recorders/application-recorder.ts'
import { dialectOf } from './recorders/dialect.ts'
import { COLUMNS, type EventRow, notificationOf } from './recorders/rows.ts'
import type { Notification } from './stored-event.ts'
import type { EventTopics } from './topics.ts'

/** Where the events of streams are, when only a session is given. */
export interface EmmettEventStoreOptions extends EventStorageOptions, MapperOptions {}

/** What an append tells. */
export interface EmmettAppendResult extends AppendToStreamResult {
  /** Undefined where places are given at COMMIT: with `ordering: 'strict'` on PostgreSQL. */
  readonly lastEventGlobalPosition: bigint | undefined
}

/** The `EventStore` of Emmett, on a log of events. */
export interface EmmettEventStore extends EventStore<EmmettEventMetadata> {
  appendToStream<EventType extends Event, EventPayloadType extends Event = EventType>(
    streamName: string,
    events: EventType[],
    options?: AppendToStreamOptions<BigIntStreamPosition, EventType, EventPayloadType>,
  ): Promise<EmmettAppendResult>
}

/**
 * An `EventStore` of Emmett (`@event-driven-io/emmett` 0.42, an optional peer) in somebody's transaction: what it appends
 * is committed and rolled back together with all else of the request, and it reads what it has appended.
 *
 * The expected version is enforced: a position, `STREAM_EXISTS` and `STREAM_DOES_NOT_EXIST` fail with Emmett's own
 * `ExpectedVersionConflictError` (with a `statusCode` of 412), whoever was quicker; with `NO_CONCURRENCY_CHECK` everybody
 * appends, one after the other. In a transaction on PostgreSQL a stream is locked from its first append until COMMIT, so
 * that a conflict leaves the transaction as it was and a command can be tried again in it.
 *
 * A stream is the aggregate whose id is made of its name, and the type of an event is its topic: subscriptions and
 * projections follow both kinds, see {@link emmettEventOf}. `from` and `to` are positions, both inclusive. Numbers, dates,
 * bigints and whatever else the mapper knows come back as they were.
 *
 * @param on an application: `request.events`, in the transaction of the request, or `app.events`, where each append is
 *   a transaction of its own; or a session, whose commits wake nobody: readers find the events when they look next
 * @param options of the tables and the mapper, for a session
 * @throws SQLA_ERR_EVENTS_STORAGE when a name of a table cannot be one
 *
 * @example
 * ```ts
 * import { CommandHandler } from '@event-driven-io/emmett'
 *
 * const handle = CommandHandler({ evolve, initialState })
 * app.post('/carts/:id/items', async request => {
 *   const store = emmettEventStore(request.events)
 *   await handle(store, `cart-${request.params.id}`, cart => addItem(cart, request.body))
 * })
 * ```
 * @see https://event-driven-io.github.io/emmett/api-reference/
 */
export function emmettEventStore(application: Application): EmmettEventStore
export function emmettEventStore(session: SqlEm, options?: EmmettEventStoreOptions): EmmettEventStore
export function emmettEventStore(
  on: Application | SqlEm,
  options: EmmettEventStoreOptions = {},
): EmmettEventStore {
  return new StreamStore(on instanceof Application ? on : new Application({ ...options, on, aggregates: [] }))
}

/** No stream has it: positions begin at 1. */
const NONE = 0n

class StreamStore implements EmmettEventStore {
  readonly #recorder: ApplicationRecorder
  readonly #topics: EventTopics
  readonly #mapper: Mapper

  constructor(application: Application) {
    this.#recorder = application.recorder
    // biome-ignore lint/complexity/useLiteralKeys: it is protected, and this is part of the application
    const { topics, mapper } = application['shared']
    this.#topics = topics
    this.#mapper = mapper
  }

  async readStream<EventType extends Event, EventPayloadType extends Event = EventType>(
    streamName: string,
    options: ReadStreamOptions<BigIntStreamPosition, EventType, EventPayloadType> = {},
  ): Promise<ReadStreamResult<EventType, EmmettEventMetadata>> {
    const emmett = await emmettPackage()
    const id = originatorOf(streamName)
    const rows = await this.#select(id, options)
    const last = rows.at(-1)
    // What is read up to the end tells where that is.
    const isToEnd = options.to === undefined && options.maxCount === undefined
    const isTold = isToEnd && (last !== undefined || (options.from ?? NONE) <= 1n)
    const current = isTold ? BigInt(last?.originatorVersion ?? NONE) : await this.#currentVersion(id)
    check(emmett, current, options.expectedStreamVersion)
    const events = rows.map(row => readEventOf(this.#mapper.toDomain(row), row.id))
    return {
      currentStreamVersion: current,
      events: emmett.upcastRecordedMessages(
        events as unknown as ReadEvent<EventPayloadType, EmmettEventMetadata>[],
        options.schema?.versioning,
      ) as unknown as ReadEvent<EventType, EmmettEventMetadata>[],
      streamExists: current > NONE,
    }
  }

  async aggregateStream<State, EventType extends Event, EventPayloadType extends Event = EventType>(
    streamName: string,
    options: AggregateStreamOptions<State, EventType, EmmettEventMetadata, EventPayloadType>,
  ): Promise<AggregateStreamResult<State>> {
    const { events, ...stream } = await this.readStream<EventType, EventPayloadType>(streamName, options.read)
    let state = options.initialState()
    for (const event of events) state = options.evolve(state, event)
    return { ...stream, state }
  }

  async streamExists(streamName: string): Promise<boolean> {
    return (await this.#currentVersion(originatorOf(streamName))) > NONE
  }

  async appendToStream<EventType extends Event, EventPayloadType extends Event = EventType>(
    streamName: string,
    events: EventType[],
    options: AppendToStreamOptions<BigIntStreamPosition, EventType, EventPayloadType> = {},
  ): Promise<EmmettAppendResult> {
    const emmett = await emmettPackage()
    const expected = options.expectedStreamVersion ?? emmett.NO_CONCURRENCY_CHECK
    const cast = emmett.downcastRecordedMessages(events, options.schema?.versioning)
    for (const { type } of cast) this.#assertType(type)
    const id = originatorOf(streamName)
    const isLocked = await this.#lock(id)
    const isNew = expected === emmett.STREAM_DOES_NOT_EXIST || expected === NONE
    // Where a conflict harms nothing else, who creates a stream need not look whether it is there.
    let current = isNew && !this.#isInTransaction && events.length > 0 ? NONE : await this.#currentVersion(id)
    const timestamp = new Date()
    for (;;) {
      check(emmett, current, expected)
      const first = Number(current) + 1
      const stored = cast.map((event, place) =>
        this.#mapper.toStored(domainEventOf(streamName, id, event, first + place, timestamp)),
      )
      try {
        const last = (await this.#recorder.insertEvents(stored))?.at(-1)
        return {
          nextExpectedStreamVersion: current + BigInt(stored.length),
          createdNewStream: current === NONE && stored.length > 0,
          lastEventGlobalPosition: last === undefined ? undefined : BigInt(last),
        }
      } catch (error) {
        if (!(error instanceof errors.SQLA_ERR_VERSION_CONFLICT)) throw error
        // Its version is there now. A snapshot of the transaction may still not have it.
        const atLeast = current + 1n
        // Locked, and there all the same: an old snapshot, in a transaction that PostgreSQL has failed by now.
        if (isLocked) throw conflict(emmett, atLeast, expected, error)
        const found = await this.#currentVersion(id)
        current = found > atLeast ? found : atLeast
        const isUnchecked = expected === emmett.NO_CONCURRENCY_CHECK || expected === emmett.STREAM_EXISTS
        if (!isUnchecked) throw conflict(emmett, current, expected, error)
      }
    }
  }

  get #isInTransaction(): boolean {
    return this.#recorder.datastore.isJoined && this.#recorder.datastore.em.isInTransaction()
  }

  /** Others that append to the stream wait until COMMIT, as they would at the unique index, but before they have failed. */
  async #lock(id: string): Promise<boolean> {
    const { em } = this.#recorder.datastore
    if (!this.#isInTransaction || dialectOf(em) !== 'postgresql') return false
    await em.execute('select pg_advisory_xact_lock(?::bigint)', [lockKeyOf(id)])
    return true
  }

  async #currentVersion(id: string): Promise<bigint> {
    const rows: { version: number | string | null }[] = await this.#recorder.datastore.run(em =>
      em.execute(
        `select max(originator_version) as version from ${this.#recorder.tables.events.sql} where originator_id = ?`,
        [id],
      ),
    )
    return BigInt(rows[0]?.version ?? NONE)
  }

  async #select(
    id: string,
    { from, to, maxCount }: Pick<ReadStreamOptions, 'from' | 'to' | 'maxCount'>,
  ): Promise<Notification[]> {
    const conditions: [sql: string, value: unknown][] = [['originator_id = ?', id]]
    if (from !== undefined) conditions.push(['originator_version >= ?', Number(from)])
    if (to !== undefined) conditions.push(['originator_version <= ?', Number(to)])
    const values = conditions.map(([, value]) => value)
    const limit = maxCount === undefined ? '' : ' limit ?'
    if (maxCount !== undefined) values.push(Number(maxCount))
    const rows: EventRow[] = await this.#recorder.datastore.run(em =>
      em.execute(
        `select id, ${COLUMNS} from ${this.#recorder.tables.events.sql} where ${conditions.map(([sql]) => sql).join(' and ')} order by originator_version${limit}`,
        values,
      ),
    )
    return rows.map(notificationOf)
  }

  /** What an aggregate's applier would upcast is not Emmett's. */
  #assertType(type: string): void {
    if (this.#topics.find(type) === undefined) return
    throw new errors.SQLA_ERR_EVENT_NOT_STORABLE(type, 'its type', 'is that of an event of an aggregate')
  }
}

/** Of the stream in all locks of the database: 64 of the random bits of its id. */
function lockKeyOf(id: string): string {
  return BigInt.asIntN(64, BigInt(`0x${id.replaceAll('-', '').slice(0, 16)}`)).toString()
}

function check(emmett: Emmett, current: bigint, expected: ExpectedStreamVersion | undefined): void {
  if (expected === undefined || emmett.matchesExpectedVersion(current, expected, NONE)) return
  throw conflict(emmett, current, expected)
}

/** Emmett's own error, which Fastify answers as it should. */
function conflict(emmett: Emmett, current: bigint, expected: ExpectedStreamVersion, cause?: unknown): Error {
  const error = new emmett.ExpectedVersionConflictError(current, expected)
  return Object.assign(error, { statusCode: error.errorCode, ...(cause === undefined ? {} : { cause }) })
}
