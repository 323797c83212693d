import type { Engine, SqlEm } from '../../src/index.ts'
import {
  type AggregateClass,
  type AnyAggregate,
  clearPending,
  collectPending,
  snapshotOf,
} from './aggregate.ts'
import { AggregateRepository } from './aggregate-repository.ts'
import { assertOrdering, createEventTables, type EventStorageOptions } from './create-tables.ts'
import { Datastore } from './datastore.ts'
import type { DomainEvent } from './domain-event.ts'
import { errors, OriginatorVersionConflictError } from './errors.ts'
import { EventStore, type Recording } from './event-store.ts'
import type { Log } from './log.ts'
import type { MapperOptions } from './mapper.ts'
import { NotificationLog } from './notification-log.ts'
import { ApplicationRecorder, type ApplicationRecorderOptions } from './recorders/application-recorder.ts'
import { type Shared, sharedParts } from './shared.ts'
import { SnapshotRecorder } from './snapshot-recorder.ts'
import { type SubscribeOptions, Subscription } from './subscription.ts'
import { aggregateTopic } from './topics.ts'

/** Who is told what goes wrong in the background; Fastify's logger is one. */
export interface ApplicationLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Options of an {@link Application}. */
export interface ApplicationOptions<C extends AggregateClass = AggregateClass>
  extends EventStorageOptions,
    MapperOptions {
  /** An engine: each call is a transaction of its own. A session: all is part of its transaction. */
  readonly on: Engine | SqlEm
  /** The classes of its aggregates: all whose events are in these tables. */
  readonly aggregates: readonly C[]
  /** After how many versions a snapshot is taken: for all aggregates, or by their topics. Default: never. */
  readonly snapshotEvery?: number | Readonly<Record<string, number>>
  /** Keeps the `max` aggregates that were used last in memory; only what has happened since is read. Default: none. */
  readonly cache?: { readonly max: number }
  /** Whether commits notify other processes, and are notified of (PostgreSQL). Default true. */
  readonly notify?: boolean
  /** How long new events may stay unknown to subscriptions when nobody tells, in milliseconds. Default 1,000. */
  readonly pollInterval?: number
  /** Default: nobody. */
  readonly log?: ApplicationLog
}

/** How {@link Application.at} hands on what is not to be made again. */
const kShared = Symbol('fastify-sqlassist.events')

interface Inner {
  readonly [kShared]?: Shared
}

/**
 * Event-sourced aggregates in a database: records what has happened to them, gets them from it, and tells others. A
 * subclass gives what your application does its names.
 *
 * @example
 * ```ts
 * class TrainingSchool extends Application<typeof Dog> {
 *   async register(name: string): Promise<void> {
 *     await this.save(Dog.register(name))
 *   }
 *   async addTrick(name: string, trick: string): Promise<void> {
 *     const dog = await this.repository.get(Dog.idOf(name))
 *     dog.addTrick(trick)
 *     await this.save(dog)
 *   }
 * }
 *
 * const school = new TrainingSchool({ on: app.sqlAssist.engines.get('writer'), aggregates: [Dog] })
 * await school.register('Fido')
 * ```
 */
export class Application<C extends AggregateClass = AggregateClass> {
  readonly options: ApplicationOptions<C>
  /** Gets aggregates. */
  readonly repository: AggregateRepository<C>
  /** The events of all aggregates, by their places. */
  readonly notificationLog: NotificationLog
  /** The events of single aggregates. */
  readonly events: EventStore
  /** The rows of the events. */
  readonly recorder: ApplicationRecorder
  protected readonly datastore: Datastore
  protected readonly shared: Shared
  readonly #snapshots: EventStore

  /**
   * @param options a subclass's constructor takes them, and nothing else: {@link at} makes one for each session
   * @throws SQLA_ERR_INVALID_OPTION
   * @throws SQLA_ERR_AGGREGATE_INVALID
   * @throws SQLA_ERR_EVENTS_STORAGE
   */
  constructor(options: ApplicationOptions<C>) {
    this.options = options
    this.shared = (options as Inner)[kShared] ?? sharedParts(options)
    const { engine, tables, ordering, mapper, topics, cache, log } = this.shared
    const datastore = new Datastore(options.on, engine)
    this.datastore = datastore
    this.recorder = this.createRecorder({
      datastore,
      tables,
      ordering,
      onRecorded: recorded => log?.announce(recorded),
    })
    this.events = new EventStore({ mapper, recorder: this.recorder })
    const snapshots = new SnapshotRecorder({ datastore, table: tables.snapshots })
    this.#snapshots = new EventStore({ mapper, recorder: snapshots })
    this.repository = new AggregateRepository({
      datastore,
      events: this.events,
      snapshots: this.#snapshots,
      topics,
      cache,
    })
    this.notificationLog = new NotificationLog({
      datastore,
      recorder: this.recorder,
      mapper,
      log: () => this.log,
    })
  }

  /** For subclasses that record more than events. The constructor calls it, before a subclass's own fields are there. */
  protected createRecorder(options: ApplicationRecorderOptions): ApplicationRecorder {
    return new ApplicationRecorder(options)
  }

  /** @throws SQLA_ERR_EVENTS_STORAGE where only a session is known */
  protected get log(): Log {
    if (this.shared.log !== undefined) return this.shared.log
    throw new errors.SQLA_ERR_EVENTS_STORAGE('an application that was made of a session cannot follow a log')
  }

  /**
   * Records what has happened to aggregates since they were saved, all of it or nothing. Outside a transaction that is
   * committed when it returns.
   *
   * In a transaction that is rolled back later, the aggregates believe that they are saved: get them again.
   *
   * @returns the events with their places in the log; empty when nothing has happened
   * @throws OriginatorVersionConflictError (`SQLA_ERR_VERSION_CONFLICT`, status 409) when somebody else was quicker: get
   *   the aggregate again, and decide again. A transaction of PostgreSQL is lost then.
   * @throws SQLA_ERR_EVENT_NOT_STORABLE
   *
   * @example
   * ```ts
   * const [{ id } = {}] = await school.save(Dog.register('Fido'))
   * ```
   */
  async save(...aggregates: readonly AnyAggregate[]): Promise<Recording[]> {
    const changes = [...new Set(aggregates)].map(aggregate => ({
      aggregate,
      events: collectPending(aggregate),
    }))
    const events = changes.flatMap(change => change.events)
    if (events.length === 0) return []
    const due = changes.filter(change => this.#isSnapshotDue(change))
    try {
      const recordings =
        due.length === 0
          ? await this.events.put(events)
          : await this.datastore.together(async session => {
              const here = this.at(session)
              const recorded = await here.events.put(events)
              for (const { aggregate } of due) await here.takeSnapshot(aggregate.id)
              return recorded
            })
      // Not before: after an error they are still to be saved.
      for (const { aggregate, events } of changes)
        clearPending(aggregate, events.at(-1)?.originatorVersion ?? 0)
      return recordings
    } catch (error) {
      if (error instanceof OriginatorVersionConflictError) {
        for (const { aggregate } of changes) this.shared.cache?.delete(aggregate.id)
      }
      throw error
    }
  }

  /**
   * Keeps an aggregate as it is, or was, so that it need not be made of all its events again.
   *
   * @param options version: as it was then. Default: as it is now
   * @throws AggregateNotFoundError
   */
  async takeSnapshot(id: string, options: { readonly version?: number } = {}): Promise<void> {
    // Made of events, not of an aggregate at hand, whose fields somebody may have set.
    await this.#snapshots.put([snapshotOf(await this.repository.get(id, options))])
  }

  /**
   * A transaction: commits when `work` returns, rolls back when it throws. What `work` and all that it calls records or
   * reads by applications on the same engine meanwhile is part of it; other engines are not concerned. One inside of it
   * is a savepoint: when it throws, it is undone alone. Inside of it, wait for one thing before you do the next.
   *
   * @param work gets the session, for entities that are to be committed together with the events. What is pending in it
   *   is flushed before the commit.
   * @throws what `work` throws
   * @throws SQLA_ERR_COMMIT_ROLLED_BACK when a statement had failed and `work` has swallowed its error
   * @throws SQLA_ERR_POOL_TIMEOUT
   *
   * @example
   * ```ts
   * await school.transaction(async session => {
   *   session.persist(new Invoice('Buster'))
   *   await school.register('Buster')
   * })
   * ```
   */
  transaction<R>(work: (session: SqlEm) => Promise<R>): Promise<R> {
    return this.datastore.transaction(work)
  }

  /**
   * The same application in the transaction of a session, which it never begins, commits or closes. In a request,
   * `request.events` is that already.
   *
   * @example
   * ```ts
   * await app.sqlAssist.run(async db => school.at(db.writer).register('Fido'))
   * ```
   */
  at(session: SqlEm): this {
    const Same = this.constructor as new (options: ApplicationOptions<C> & Inner) => this
    return new Same({ ...this.options, on: session, [kShared]: this.shared })
  }

  /**
   * The events from a place on, and those to come, until it is ended. Whatever transaction it is called in: it delivers
   * what is committed.
   *
   * @throws SQLA_ERR_EVENTS_STORAGE where only a session is known
   *
   * @example
   * ```ts
   * for await (const event of school.subscribe({ after: position, topics: ['Dog.Registered'] })) console.log(event.data)
   * ```
   */
  subscribe(options: SubscribeOptions = {}): Subscription {
    const { log } = this
    const { engine, tables, ordering, mapper } = this.shared
    const recorder = new ApplicationRecorder({ datastore: new Datastore(engine as Engine), tables, ordering })
    return new Subscription({ log, recorder, mapper }, options)
  }

  /**
   * How far the log is settled: nothing can appear any more at that place or before it.
   *
   * @returns 0 when nothing is known to be
   */
  settled(): Promise<number> {
    return this.log.settled()
  }

  /** Creates the tables, if they are missing. @throws SQLA_ERR_EVENTS_STORAGE */
  createTables(): Promise<void> {
    return createEventTables(this.datastore, this.options)
  }

  /**
   * Checks that the table of the events, if there is one, was made for the ordering of this application.
   *
   * @throws SQLA_ERR_EVENTS_STORAGE
   */
  assertOrdering(): Promise<void> {
    const { tables, ordering } = this.shared
    return this.datastore.run(em => assertOrdering(em, tables, ordering))
  }

  /** Ends its subscriptions, and what they need. An engine stays open. */
  async close(): Promise<void> {
    await this.shared.log?.close()
  }

  #isSnapshotDue({
    aggregate,
    events,
  }: {
    aggregate: AnyAggregate
    events: readonly DomainEvent[]
  }): boolean {
    const { snapshotEvery } = this.options
    const [first] = events
    const last = events.at(-1)
    if (snapshotEvery === undefined || first === undefined || last === undefined) return false
    const every =
      typeof snapshotEvery === 'number'
        ? snapshotEvery
        : snapshotEvery[aggregateTopic(aggregate.constructor as AggregateClass)]
    if (every === undefined) return false
    return Math.floor(last.originatorVersion / every) > Math.floor((first.originatorVersion - 1) / every)
  }
}
