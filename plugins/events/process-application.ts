import { setTimeout as sleep } from 'node:timers/promises'
import type { Aggregate, AggregateClass } from './aggregate.ts'
import { Application } from './application.ts'
import type { Datastore } from './datastore.ts'
import type { RecordedEvent } from './domain-event.ts'
import { errors } from './errors.ts'
import type { ApplicationRecorderOptions } from './recorders/application-recorder.ts'
import { ProcessRecorder } from './recorders/process-recorder.ts'
import { Runner, type RunnerOptions } from './runner.ts'
import { type AnyApplication, engineOf } from './source.ts'

/** How often a policy is tried while others record events of the same aggregates. */
const ATTEMPTS = 10
/** Milliseconds, at most, between two of them. */
const PAUSE = 50

/** What a policy makes of one event. */
export class ProcessingEvent {
  /** The event. */
  readonly event: RecordedEvent
  readonly #collected = new Set<Aggregate>()

  constructor(event: RecordedEvent) {
    this.event = event
  }

  /** These have new events, which are to be recorded together with how far the process has come. */
  collect(...aggregates: readonly Aggregate[]): void {
    for (const aggregate of aggregates) this.#collected.add(aggregate)
  }

  /** What was collected, in that order. */
  get aggregates(): readonly Aggregate[] {
    return [...this.#collected]
  }
}

/** How an application is followed. */
export interface FollowOptions extends RunnerOptions {
  /** Under which name that is tracked. Default: the name of the upstream application's class. */
  readonly name?: string
  /** Only these events reach the policy. Default: all. */
  readonly topics?: readonly string[]
}

/**
 * An application that follows another one, or itself: its policy makes new events of theirs. What one event leads to is recorded
 * in one transaction with how far it has come, so each event has its effect exactly once.
 *
 * @example
 * ```ts
 * class Counters extends ProcessApplication<typeof Counter> {
 *   override async policy(event: RecordedEvent, process: ProcessingEvent) {
 *     if (event.topic !== 'Dog.TrickAdded') return
 *     const counter = await this.repository.get(COUNTER_ID)
 *     counter.increment()
 *     process.collect(counter)
 *   }
 * }
 * const runner = counters.follow(school, { topics: ['Dog.TrickAdded'] })
 * await runner.start()
 * ```
 */
export abstract class ProcessApplication<C extends AggregateClass = AggregateClass> extends Application<C> {
  declare readonly recorder: ProcessRecorder

  /**
   * Decides what an event leads to. It may be called more than once for an event: what counts is what it collects, so it must
   * do nothing else.
   *
   * @throws whatever it likes: the runner stops
   */
  abstract policy(event: RecordedEvent, process: ProcessingEvent): Promise<void> | void

  protected override createRecorder(options: ApplicationRecorderOptions): ProcessRecorder {
    return new ProcessRecorder(options)
  }

  /**
   * Follows an application.
   *
   * @returns what does it, once it is started
   * @throws SQLA_ERR_EVENTS_STORAGE when one of both was made on a session
   */
  follow(upstream: AnyApplication, options: FollowOptions = {}): ProcessRunner {
    return new ProcessRunner(this, upstream, options, this.datastore)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: of whatever aggregates
type AnyProcessApplication = ProcessApplication<any>

/** Calls the policy of a {@link ProcessApplication} with the events of another application, one after the other. */
export class ProcessRunner extends Runner {
  readonly #application: AnyProcessApplication

  constructor(
    application: AnyProcessApplication,
    upstream: AnyApplication,
    options: FollowOptions,
    datastore: Datastore,
  ) {
    super(
      {
        name: options.name ?? upstream.constructor.name,
        upstream,
        topics: options.topics,
        engine: engineOf(application),
        datastore,
        table: application.recorder.tables.tracking,
      },
      options,
    )
    this.#application = application
  }

  protected override async process(
    events: readonly RecordedEvent[],
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    let reached = position
    for (const event of events) {
      if (signal.aborted) break
      try {
        await this.#processOne(event, reached)
      } catch (error) {
        throw this.failure(error, event.id)
      }
      reached = event.id
      this.arrived(reached)
    }
    return reached
  }

  async #processOne(event: RecordedEvent, position: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#attempt(event, position)
        return
      } catch (error) {
        // Somebody else was quicker; from what the aggregates are now, the policy may decide otherwise.
        if (!(error instanceof errors.SQLA_ERR_VERSION_CONFLICT) || attempt === ATTEMPTS) throw error
        await sleep(Math.random() * PAUSE)
      }
    }
  }

  async #attempt(event: RecordedEvent, position: number): Promise<void> {
    const application = this.#application
    const processing = new ProcessingEvent(event)
    await application.policy(event, processing)
    const { aggregates } = processing
    if (aggregates.every(({ pendingEvents }) => pendingEvents.length === 0)) {
      await this.checkpoint.move(position, event.id)
      return
    }
    await application.transaction(async session => {
      // First: whoever else works on the same waits here.
      await this.checkpoint.at(session).move(position, event.id)
      await application.save(...aggregates)
    })
  }
}
