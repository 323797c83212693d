import { errors as coreErrors, type Engine } from '../../src/index.ts'
import { pauseFor, silent, withEither } from './abortable.ts'
import type { ApplicationLog } from './application.ts'
import { Arrival, type WaitOptions } from './arrival.ts'
import { Checkpoint } from './checkpoint.ts'
import type { Datastore } from './datastore.ts'
import { tellFollowed } from './diagnostics.ts'
import type { RecordedEvent } from './domain-event.ts'
import { outside } from './engine-connection.ts'
import { errors } from './errors.ts'
import type { Recording } from './event-store.ts'
import { Leadership } from './leadership.ts'
import type { Settled } from './log-poller.ts'
import { LogReader } from './log-reader.ts'
import { isPassing } from './passing-errors.ts'
import { assertFollowerName } from './projection.ts'
import { TrackingRecorder } from './recorders/tracking-recorder.ts'
import type { RunnerOptions, RunnerState, RunnerStatus } from './runner-options.ts'
import { type AnyApplication, type Source, sourceOf } from './source.ts'
import type { EventTable } from './tables.ts'

/** Milliseconds between two attempts after an error that passes. */
const FIRST_PAUSE = 50
const LAST_PAUSE = 5_000
/** Milliseconds, at most, before somebody else's progress is tried to be overtaken again. */
const CONFLICT_PAUSE = 20
/** Milliseconds until it is written down how far was looked, when there was nothing to do. */
const SCAN_PAUSE = 100
/** Milliseconds without news, after which it is looked whether somebody has moved the tracking. */
const IDLE = 2_000
/** Milliseconds that `start` waits for a database that does not answer. */
const START_PATIENCE = 5_000

export type { RunnerOptions, RunnerState, RunnerStatus, WaitOptions }

/** What a kind of runner is made of. */
export interface RunnerParts {
  /** Under which it is tracked. */
  readonly name: string
  /** Whose log it follows. */
  readonly upstream: AnyApplication
  readonly topics: readonly string[] | undefined
  /** Where the tracking is. */
  readonly engine: Engine
  readonly datastore: Datastore
  /** The tracking table. */
  readonly table: EventTable
}

/** One life of a runner, from a start to its end. */
interface Life {
  readonly controller: AbortController
  /** It knows where to begin. */
  readonly ready: PromiseWithResolvers<void>
  readonly ended: Promise<void>
}

const NOTHING: Settled = { epoch: 0, settled: 0 }

/**
 * What everybody who follows a log has in common: it reads the events in their order from where it has come to, waits for new
 * ones, stands by while somebody else is elected, tries again after errors that pass, and stops at others.
 */
export abstract class Runner implements AsyncDisposable {
  /** Under which it is tracked. */
  readonly name: string
  protected readonly checkpoint: Checkpoint
  protected readonly log: ApplicationLog | undefined
  readonly #parts: RunnerParts
  readonly #options: RunnerOptions
  readonly #source: Source
  readonly #reader: LogReader
  readonly #arrival: Arrival
  #life: Life | undefined
  #done = silent(Promise.withResolvers<void>())
  #isDone = false
  #state: RunnerState = 'stopped'
  #position: number | undefined
  #error: unknown
  #pause = FIRST_PAUSE
  /** Whether it was the work on events that could not be done. */
  #isStuck = false
  /** Those who wait here. */
  readonly #waiting = new Set<(failure: Error) => void>()

  constructor(parts: RunnerParts, options: RunnerOptions) {
    assertFollowerName(parts.name)
    assertNumber('batch', options.batch)
    assertNumber('stopTimeout', options.stopTimeout)
    const { name, upstream, topics, datastore, table } = parts
    this.name = name
    this.log = options.log ?? upstream.options.log
    this.checkpoint = new Checkpoint({ datastore, table, name })
    this.#source = sourceOf(upstream)
    this.#reader = new LogReader(this.#source, {
      topics,
      batch: options.batch ?? 100,
      failure: (error, id) => this.failure(error, id),
    })
    this.#arrival = new Arrival(name, this.#source, new TrackingRecorder({ datastore, table }))
    this.#parts = parts
    this.#options = options
  }

  /**
   * Works on events that follow each other, and tracks them.
   *
   * @param events at least one
   * @param position where the tracking is
   * @param signal when it is aborted, no further event is begun
   * @returns how far it has come
   * @throws what passes, SQLA_ERR_TRACKING_CONFLICT, or whatever it stops at
   */
  protected abstract process(
    events: readonly RecordedEvent[],
    position: number,
    signal: AbortSignal,
  ): Promise<number>

  /** What is to be there before the first event. */
  protected async prepare(): Promise<void> {
    await this.checkpoint.begin()
  }

  /** How it is. */
  get status(): RunnerStatus {
    return { name: this.name, state: this.#state, position: this.#position, error: this.#error }
  }

  /**
   * Ends with the runner: when it was stopped, or with the error that it has stopped at. Nobody needs to look at it.
   *
   * @throws SQLA_ERR_PROJECTION_FAILED
   */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /**
   * Begins, or goes on where it was. A second call does nothing.
   *
   * @returns when it knows where to begin; after five seconds also when the database does not answer: then it goes on trying
   * @throws SQLA_ERR_PROJECTION_FAILED when it cannot begin: there is no tracking table, say
   * @throws SQLA_ERR_CLOSED when the application that it follows has been closed
   */
  async start(): Promise<void> {
    if (this.#state === 'failed' || this.#life?.controller.signal.aborted) await this.#life?.ended
    if (this.#options.signal?.aborted) return
    this.#life ??= this.#begin()
    const { ready } = this.#life
    const waited = new AbortController()
    try {
      await Promise.race([ready.promise, pauseFor(START_PATIENCE, waited.signal)])
    } finally {
      waited.abort()
    }
  }

  #begin(): Life {
    if (this.#isDone) this.#done = silent(Promise.withResolvers<void>())
    this.#isDone = false
    const controller = new AbortController()
    const ready = silent(Promise.withResolvers<void>())
    const stop = () => controller.abort()
    const endings = [this.#options.signal, this.#source.log.closing]
    for (const ending of endings) ending?.addEventListener('abort', stop)
    this.#isStuck = false
    this.#pause = FIRST_PAUSE
    this.#become('candidate', undefined)
    const release = this.#source.log.hold()
    // Whatever starts it, a request say, must not lend it its transaction.
    const ended = outside(() => this.#live(controller.signal, ready)).finally(() => {
      release()
      for (const ending of endings) ending?.removeEventListener('abort', stop)
    })
    return { controller, ready, ended }
  }

  /**
   * Ends it, after the event that is under way. A second call does nothing.
   *
   * @returns when it has ended, or after `stopTimeout`
   */
  async stop(): Promise<void> {
    const life = this.#life
    if (life === undefined) return
    life.controller.abort()
    const waited = new AbortController()
    const { stopTimeout = 10_000 } = this.#options
    const late = pauseFor(stopTimeout, waited.signal).then(() => 'late')
    if ((await Promise.race([life.ended, late])) === 'late') {
      this.log?.warn({ name: this.name, stopTimeout }, 'what a runner does takes longer than stopTimeout')
    }
    waited.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Never throws. */
  async #live(signal: AbortSignal, ready: PromiseWithResolvers<void>): Promise<void> {
    const { engine, table } = this.#parts
    const { elect = true } = this.#options
    const leadership = elect ? Leadership.of({ engine, table, name: this.name, log: this.log }) : undefined
    let failure: Error | undefined
    try {
      await this.#persistently(signal, () => this.prepare())
      ready.resolve()
      while (!signal.aborted) {
        const term = leadership === undefined ? signal : await leadership.elected(signal)
        if (term === undefined) break
        await withEither(signal, term, async either => {
          while (!either.aborted) await this.#persistently(either, () => this.#follow(either))
        })
        if (!signal.aborted) this.#become('candidate', this.#error)
      }
    } catch (error) {
      if (!isClosed(error)) failure = this.failure(error)
    }
    if (failure !== undefined) {
      this.log?.error({ err: failure, name: this.name }, 'a runner has stopped at an error')
    }
    this.#become(failure === undefined ? 'stopped' : 'failed', failure)
    if (failure === undefined) ready.resolve()
    else for (const reject of [ready.reject, ...this.#waiting]) reject(failure)
    await leadership?.close()
    this.#life = undefined
    if (failure === undefined) this.#done.resolve()
    else this.#done.reject(failure)
    this.#isDone = true
  }

  /**
   * What an error means for the runner: that it stops at a notification; or the error itself, when there is something better to
   * do than to stop.
   */
  protected failure(error: unknown, id: number = this.#position ?? 0): Error {
    if (error instanceof errors.SQLA_ERR_PROJECTION_FAILED || isConflict(error) || isClosed(error))
      return error
    if (isPassing(error)) return error as Error
    const message = error instanceof Error ? error.message : String(error)
    return new errors.SQLA_ERR_PROJECTION_FAILED(this.name, id, message, { cause: error })
  }

  /** Does it again after what passes. */
  async #persistently(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      try {
        await work()
        return
      } catch (error) {
        if (isConflict(error)) {
          this.#isStuck = false
          await pauseFor(Math.random() * CONFLICT_PAUSE, signal)
        } else if (isPassing(error)) {
          await this.retrying(error, signal)
        } else throw error
      }
    }
  }

  /** Says that something has failed that passes, and pauses, longer each time. */
  protected async retrying(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    if (this.#state !== 'retrying') {
      this.log?.warn({ err: error, name: this.name }, 'a runner could not go on; it tries again')
    }
    this.#become('retrying', error)
    await pauseFor(this.#pause * (0.75 + Math.random() / 4), signal)
    this.#pause = Math.min(this.#pause * 2, LAST_PAUSE)
  }

  /** It has come to that position, or there is nothing to do behind it. */
  protected arrived(position: number): void {
    const isNews = position !== this.#position || this.#state !== 'running'
    this.#position = position
    this.#isStuck = false
    this.#pause = FIRST_PAUSE
    if (isNews) this.#become('running', undefined)
  }

  #become(state: RunnerState, error: unknown): void {
    this.#state = state
    this.#error = error
    tellFollowed(this.#parts.engine, this.status)
  }

  async #follow(signal: AbortSignal): Promise<void> {
    let position = await this.checkpoint.read()
    if (position === undefined) {
      // Somebody has made it forget everything.
      await this.prepare()
      position = (await this.checkpoint.read()) ?? 0
    }
    // That it could be read says nothing of work that has failed.
    if (!this.#isStuck) this.arrived(position)
    let scanned = NOTHING
    /** When it has to be written down that there was nothing to do. */
    let due: number | undefined
    while (!signal.aborted) {
      const now = await this.#reader.advance(scanned, due ?? performance.now() + IDLE, signal)
      if (signal.aborted) return
      if (now !== undefined) {
        const reached = await this.#catchUp(position, now, signal)
        if (signal.aborted) return
        position = reached.position
        // What could not be confirmed is looked at again.
        scanned = reached.isConfirmed ? now : NOTHING
        if (this.#parts.topics !== undefined && scanned.settled > position) {
          due ??= performance.now() + SCAN_PAUSE
        }
      }
      if (due !== undefined) {
        if (performance.now() < due) continue
        due = undefined
        position = await this.#trackScanned(position, scanned)
      } else if (now === undefined && (await this.checkpoint.read()) !== position) return
    }
  }

  /** Works on everything up to where the log is settled. */
  async #catchUp(
    from: number,
    now: Settled,
    signal: AbortSignal,
  ): Promise<{ position: number; isConfirmed: boolean }> {
    let position = from
    while (position < now.settled && !signal.aborted) {
      const page = await this.#reader.page(position, now)
      if (page === undefined) return { position, isConfirmed: false }
      const last = page.events.at(-1)
      if (last === undefined) break
      this.#isStuck = true
      position = await this.process(page.events, position, signal)
      this.arrived(position)
      if (page.isLast && position === last.id) break
    }
    return { position, isConfirmed: true }
  }

  /** Nothing of its topics was there up to a settled position. */
  async #trackScanned(position: number, scanned: Settled): Promise<number> {
    const to = await this.#reader.lastingPlace(scanned)
    if (to <= position) return position
    await this.checkpoint.move(position, to)
    this.arrived(to)
    return to
  }

  /**
   * Waits until it has come to a position, in whichever process it runs: then what it does for the events up to there is done.
   * Positions without an event of its topics count.
   *
   * @param target a position: the id of a notification, or `application.settled()`; or what `application.save()` has returned,
   *   after the commit
   * @throws SQLA_ERR_WAIT_TIMEOUT; SQLA_ERR_PROJECTION_FAILED at once when it has failed in this process; the reason of `signal`
   *
   * @example
   * ```ts
   * const recordings = await application.save(dog)
   * await runner.wait(recordings, { timeout: 500 })
   * ```
   */
  async wait(target: number | readonly Recording[], options: WaitOptions = {}): Promise<void> {
    if (this.#state === 'failed') throw this.#error
    const { signal } = options
    signal?.throwIfAborted()
    // Whoever is told of a failure asks the database no more.
    const ended = new AbortController()
    const fail = (failure: Error) => ended.abort(failure)
    const giveUp = () => ended.abort(signal?.reason)
    this.#waiting.add(fail)
    signal?.addEventListener('abort', giveUp)
    try {
      await this.#arrival.wait(target, { ...options, signal: ended.signal })
    } finally {
      this.#waiting.delete(fail)
      signal?.removeEventListener('abort', giveUp)
    }
  }
}

/** Somebody else has done it. */
function isConflict(error: unknown): error is Error {
  return error instanceof errors.SQLA_ERR_TRACKING_CONFLICT
}

/** The application that the database belongs to ends. */
function isClosed(error: unknown): error is Error {
  return error instanceof coreErrors.SQLA_ERR_CLOSED
}

function assertNumber(option: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return
  throw new coreErrors.SQLA_ERR_INVALID_OPTION(option, 'must be a whole number, 1 or more')
}
