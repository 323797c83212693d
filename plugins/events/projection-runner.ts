import type { Engine, SqlEm } from '../../src/index.ts'
import { Datastore } from './datastore.ts'
import type { RecordedEvent } from './domain-event.ts'
import { errors } from './errors.ts'
import type { Projection } from './projection.ts'
import { dialectOf } from './recorders/dialect.ts'
import { Runner, type RunnerOptions } from './runner.ts'
import { type AnyApplication, engineOf } from './source.ts'
import { type EventTablesOptions, eventTables } from './tables.ts'

/** Milliseconds after which a transaction of a view is committed, and another one begun. */
const LONGEST_TRANSACTION = 200

/** What a {@link ProjectionRunner} needs. */
export interface ProjectionRunnerOptions extends RunnerOptions {
  /** Whose events are projected. */
  readonly application: AnyApplication
  readonly projection: Projection
  /** Where the view and its tracking are. Default: where the events are. */
  readonly on?: Engine
  /** What the tracking table is called. Default: as the application's. */
  readonly storage?: EventTablesOptions
  /** Whether the tracking table is created when it is missing. Default false. */
  readonly createTables?: boolean
}

/**
 * Keeps the view of a {@link Projection} up to date. Events and their tracking are committed in one transaction of the view's
 * database, so each of them counts exactly once, whatever is killed when; many that are waiting share one.
 *
 * A projection that throws stops the runner: what came before that event stays, `done` and `wait` reject. Errors that pass are
 * no reason to stop: connections that were lost, serialization failures, deadlocks; it tries again.
 *
 * @example
 * ```ts
 * const runner = new ProjectionRunner({ application: school, projection: tricks })
 * await runner.start()
 * await runner.wait(await school.save(dog)) // read your own projection
 * await runner.stop()
 * ```
 */
export class ProjectionRunner extends Runner {
  readonly projection: Projection
  readonly #view: Datastore
  readonly #createTables: boolean

  /** @throws SQLA_ERR_EVENTS_STORAGE, SQLA_ERR_INVALID_OPTION */
  constructor(options: ProjectionRunnerOptions) {
    const { application, projection, storage = application.options, createTables = false } = options
    const engine = options.on ?? engineOf(application)
    if (engine.readOnly) throw new errors.SQLA_ERR_EVENTS_STORAGE(`engine '${engine.name}' is read-only`)
    const datastore = new Datastore(engine)
    const { tracking } = eventTables(datastore.em, storage)
    super(
      {
        name: projection.trackingName,
        upstream: application,
        topics: projection.topics,
        engine,
        datastore,
        table: tracking,
      },
      options,
    )
    this.projection = projection
    this.#view = datastore
    this.#createTables = createTables
  }

  protected override async prepare(): Promise<void> {
    if (this.#createTables) await this.checkpoint.createTable()
    if ((await this.checkpoint.read()) !== undefined) return
    await this.#view.transaction(em => this.#create(em))
  }

  async #create(em: SqlEm): Promise<void> {
    const checkpoint = this.checkpoint.at(em)
    const { create } = this.projection.options
    if (dialectOf(em) === 'mysql') {
      // DDL commits. Whoever sees that it has begun must see the tables, so they come first, perhaps twice.
      await create?.(em)
      await checkpoint.begin()
    } else if (await checkpoint.begin()) await create?.(em)
  }

  protected override async process(
    events: readonly RecordedEvent[],
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    try {
      return await this.#together(events, position, signal)
    } catch (error) {
      const failure = this.failure(error, events[0]?.id)
      if (events.length === 1 || failure === error) throw failure
    }
    // One by one: those before the one that fails are committed, and it is known which one that is.
    let reached = position
    for (const event of events) {
      if (signal.aborted) break
      try {
        reached = await this.#together([event], reached, signal)
      } catch (error) {
        throw this.failure(error, event.id)
      }
      this.arrived(reached)
    }
    return reached
  }

  async #together(events: readonly RecordedEvent[], position: number, signal: AbortSignal): Promise<number> {
    const last = (events.at(-1) as RecordedEvent).id
    return this.#view.transaction(async em => {
      const checkpoint = this.checkpoint.at(em)
      // First: whoever else works on the same waits here, instead of doing it in vain.
      await checkpoint.move(position, last)
      const until = performance.now() + LONGEST_TRANSACTION
      let reached = position
      for (const event of events) {
        await this.projection.options.handle(event, em)
        await em.flush()
        // The next one must not see more than what is in the database, as if it had a transaction of its own.
        em.clear()
        reached = event.id
        if (signal.aborted || performance.now() > until) break
      }
      if (reached !== last) await checkpoint.move(last, reached)
      return reached
    })
  }

  /**
   * Forgets how far it had come, and drops and creates the tables of the view: all events will be projected again. Runners
   * that are at work, here or elsewhere, begin again within seconds.
   */
  async reset(): Promise<void> {
    const isStarted = this.status.state !== 'stopped'
    await this.stop()
    await this.#view.transaction(async em => {
      await this.checkpoint.at(em).forget()
      await this.projection.options.drop?.(em)
      await this.#create(em)
    })
    if (isStarted) await this.start()
  }

  /** Forgets how far it had come, and drops the tables of the view. For an old version that nobody reads any more. */
  async drop(): Promise<void> {
    await this.stop()
    await this.#view.transaction(async em => {
      await this.checkpoint.at(em).forget()
      await this.projection.options.drop?.(em)
    })
  }
}
