import { setTimeout as sleep } from 'node:timers/promises'
import { errors as coreErrors } from '../../src/index.ts'
import { Datastore } from './datastore.ts'
import type { RecordedEvent } from './domain-event.ts'
import { outside } from './engine-connection.ts'
import type { Log } from './log.ts'
import type { Settled } from './log-poller.ts'
import type { Mapper } from './mapper.ts'
import { ApplicationRecorder } from './recorders/application-recorder.ts'
import type { Notification } from './stored-event.ts'

/** Which events, and from where on. */
export interface SubscribeOptions {
  /** The id of the last event that is not wanted. Default 0: from the beginning. */
  readonly after?: number
  /** Only events of these topics. Default: of all. */
  readonly topics?: readonly string[]
  /** Ends it, quietly. */
  readonly signal?: AbortSignal
  /** How many events are read at once, which are then in memory. Default 500. */
  readonly batch?: number
}

/** What a {@link Subscription} reads with. */
export interface SubscriptionParts {
  readonly log: Log
  readonly recorder: ApplicationRecorder
  readonly mapper: Mapper
}

/** Milliseconds between two attempts to read. */
const FIRST_PAUSE = 50
const LAST_PAUSE = 1_000

const NOTHING: Settled = { epoch: 0, settled: 0 }

/**
 * The events of a log, those that are there and those to come. It skips none that is committed, in whatever order
 * transactions commit, and the events of each aggregate come in the order of their versions. It waits while there is
 * nothing new, reads ahead one page at most, and when the database has been away it goes on by itself.
 *
 * To go on after a restart of the process, store {@link position} together with what was done with the event.
 *
 * @example
 * ```ts
 * for await (const event of application.subscribe({ after: position, topics: ['Dog.Registered'] })) {
 *   console.log(event.id, event.topic, event.data)
 * }
 * ```
 */
export class Subscription implements AsyncIterableIterator<RecordedEvent> {
  readonly #log: Log
  readonly #recorder: ApplicationRecorder
  readonly #mapper: Mapper
  readonly #topics: readonly string[] | undefined
  readonly #batch: number
  readonly #signal: AbortSignal | undefined
  readonly #ending = new AbortController()
  readonly #onEnd = (): void => this.#end()
  #position: number
  #page: readonly Notification[] = []
  /** How many of the page have been delivered. */
  #delivered = 0
  /** Up to where has been read, though perhaps none of it was wanted. That is true in its epoch only. */
  #scanned = NOTHING
  /** Milliseconds; longer with each attempt to read that fails. */
  #pause = 0
  #release: (() => void) | undefined
  #turn: Promise<unknown> = Promise.resolve()

  /** @throws SQLA_ERR_INVALID_OPTION */
  constructor({ log, recorder, mapper }: SubscriptionParts, options: SubscribeOptions = {}) {
    const { after = 0, topics, signal, batch = 500 } = options
    if (!(Number.isSafeInteger(after) && after >= 0)) throw invalid('after', 'must be an id, or 0')
    if (!(Number.isSafeInteger(batch) && batch > 0)) throw invalid('batch', 'must be a number from 1 on')
    if (topics?.length === 0) throw invalid('topics', 'must not be empty: nothing would ever come')
    this.#log = log
    this.#recorder = onEngine(recorder)
    this.#mapper = mapper
    this.#topics = topics
    this.#batch = batch
    this.#position = after
    this.#signal = signal
    signal?.addEventListener('abort', this.#onEnd)
    log.closing.addEventListener('abort', this.#onEnd)
    if (signal?.aborted || log.closing.aborted) this.#end()
  }

  /** The id of the last event that was delivered. */
  get position(): number {
    return this.#position
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** @throws SQLA_ERR_EVENT_UNREADABLE; the subscription has ended then, before that event */
  next(): Promise<IteratorResult<RecordedEvent, undefined>> {
    // One at a time, for those too who do not wait.
    const turn = this.#turn.then(() => this.#next())
    this.#turn = turn.catch(() => {})
    return turn
  }

  async return(): Promise<IteratorResult<RecordedEvent, undefined>> {
    this.#end()
    return { done: true, value: undefined }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
  }

  async #next(): Promise<IteratorResult<RecordedEvent, undefined>> {
    const ended = this.#ending.signal
    try {
      while (!ended.aborted) {
        const stored = this.#page[this.#delivered]
        if (stored !== undefined) return { done: false, value: this.#deliver(stored) }
        this.#release ??= this.#log.hold()
        await unlessAborted(this.#readNext(), ended)
      }
    } catch (error) {
      if (!ended.aborted) {
        this.#end()
        throw error
      }
    }
    return { done: true, value: undefined }
  }

  #deliver(stored: Notification): RecordedEvent {
    const event = { ...this.#mapper.toDomain(stored), id: stored.id }
    this.#position = stored.id
    this.#delivered++
    return event
  }

  /** Waits for something new and reads the next page of it, in which there may be nothing that is wanted. */
  async #readNext(): Promise<void> {
    const ended = this.#ending.signal
    const now = await this.#log.advance(this.#scanned, ended)
    const start = Math.max(this.#position, this.#scanned.epoch === now.epoch ? this.#scanned.settled : 0)
    const page = start < now.settled ? await this.#readIn(now, start) : []
    // A server that has crashed may give numbers again which were settled before: whatever was read is no page then.
    if (ended.aborted || page === undefined || !(await this.#log.confirm(now.epoch))) return
    const last = page.length < this.#batch ? undefined : page.at(-1)
    this.#scanned = { epoch: now.epoch, settled: last?.id ?? now.settled }
    this.#page = page
    this.#delivered = 0
  }

  /** @returns undefined when that could not be read, or the log was lost meanwhile: then the answer may never come */
  async #readIn({ epoch, settled }: Settled, start: number): Promise<Notification[] | undefined> {
    const read = new AbortController()
    const lost = this.#log.lost(epoch, read.signal)
    try {
      return await Promise.race([this.#read(start, settled), lost.then(() => undefined)])
    } finally {
      lost.catch(() => {})
      read.abort()
    }
  }

  /** @returns undefined when it could not be read, after a pause */
  async #read(start: number, stop: number): Promise<Notification[] | undefined> {
    const range = { start, inclusiveOfStart: false, stop, limit: this.#batch }
    const topics = this.#topics
    try {
      const page = await outside(() =>
        this.#recorder.selectNotifications(topics === undefined ? range : { ...range, topics }),
      )
      this.#pause = 0
      return page
    } catch (error) {
      this.#log.distrust(this.#pause === 0 ? error : undefined)
      this.#pause = Math.min(Math.max(this.#pause * 2, FIRST_PAUSE), LAST_PAUSE)
      await sleep(this.#pause, undefined, { signal: this.#ending.signal, ref: false })
      return undefined
    }
  }

  #end(): void {
    this.#ending.abort()
    this.#signal?.removeEventListener('abort', this.#onEnd)
    this.#log.closing.removeEventListener('abort', this.#onEnd)
    this.#release?.()
    this.#release = undefined
    this.#page = []
    this.#delivered = 0
  }
}

/** A transaction may not see what is new, and would end before the subscription does. */
function onEngine(recorder: ApplicationRecorder): ApplicationRecorder {
  const { engine } = recorder.datastore
  if (engine === undefined) return recorder
  const { tables, ordering } = recorder
  return new ApplicationRecorder({ datastore: new Datastore(engine), tables, ordering })
}

/** Whoever has ended waits for no database. */
function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    const settled = () => signal.removeEventListener('abort', onAbort)
    signal.addEventListener('abort', onAbort)
    work.finally(settled).then(resolve, reject)
  })
}

function invalid(option: string, problem: string): Error {
  return new coreErrors.SQLA_ERR_INVALID_OPTION(`subscribe: ${option}`, problem)
}
