import { type Engine, listen } from '../../src/index.ts'
import { onConnection, outside } from './engine-connection.ts'
import { type LogLook, logLook } from './log-look.ts'
import type { EventTables, Ordering } from './tables.ts'

/** What is told when a log cannot be looked at. */
export interface LogLogger {
  warn(fields: object, message: string): void
}

/** How somebody wants to follow. */
export interface PollerUse {
  /** Milliseconds. */
  readonly pollInterval: number
  /** Whether it is worth a connection that listens. */
  readonly listens: boolean
  readonly log: LogLogger | undefined
}

/** How far the log was settled, at some time. */
export type Settled = Pick<LogLook, 'epoch' | 'settled'>

/** Milliseconds between the beginnings of two looks. Those who write much wake it often. */
const SHORTEST_GAP = 5
/** Milliseconds between looks for what is about to come: the first pause, doubled until the last. */
const FIRST_PAUSE = 5
const LAST_PAUSE = 100
/** Milliseconds between looks that fail. */
const FIRST_RETRY = 50
const LAST_RETRY = 1_000
/** For how long somebody is expected who may commit at any moment, and will not tell: milliseconds. */
const EXPECTATION = 1_000
/** Milliseconds. */
const NOTIFY_PATIENCE = 10_000

/**
 * Looks at one log of one engine for everybody in this process, for as long as somebody wants to know: at once when it is
 * woken, every few milliseconds while something is not settled, and from time to time in case that nobody tells.
 */
export class LogPoller {
  readonly #engine: Engine
  readonly #channel: string | undefined
  readonly #look: LogLook
  readonly #uses = new Set<PollerUse>()
  readonly #waiting = new Set<() => void>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  /** How many looks have begun, and when the last one has, and has ended. */
  #looks = 0
  #begunAt = Number.NEGATIVE_INFINITY
  #endedAt = Number.NEGATIVE_INFINITY
  #isAsked = false
  #expectsUntil = Number.NEGATIVE_INFINITY
  #pause = FIRST_PAUSE
  #retry = FIRST_RETRY
  #failure: unknown
  #unlisten: (() => Promise<void>) | undefined
  #unlistening: Promise<void> | undefined
  #confirming: Promise<boolean> | undefined
  #nextConfirming: Promise<boolean> | undefined

  constructor(engine: Engine, tables: EventTables, ordering: Ordering) {
    this.#engine = engine
    this.#channel = engine.dialect === 'postgresql' ? tables.channel : undefined
    this.#look = logLook(engine, tables.events, ordering)
  }

  get state(): Settled {
    const { epoch, settled } = this.#look
    return { epoch, settled }
  }

  /** Why the last look has failed; undefined when it has not. */
  get failure(): unknown {
    return this.#failure
  }

  /** Keeps looking. @returns ends it */
  use(use: PollerUse): () => void {
    this.#uses.add(use)
    this.#listenOrNot()
    this.wake()
    return () => {
      if (!this.#uses.delete(use)) return
      this.#listenOrNot()
      if (this.#uses.size === 0) clearTimeout(this.#timer)
    }
  }

  /**
   * Looks soon: something has happened.
   *
   * @param isCertain whether that look will find it; else it may come any moment, and nobody will tell
   */
  wake(isCertain = true): void {
    this.#isAsked = true
    this.#pause = FIRST_PAUSE
    if (!isCertain) this.#expectsUntil = performance.now() + EXPECTATION
    this.#schedule()
  }

  /**
   * What was known may be true no more: the database has been lost out of sight.
   *
   * @param error told as that of a look would be
   */
  distrust(error?: unknown): void {
    this.#look.forget()
    if (error !== undefined) this.#fail(error)
    this.wake()
  }

  /** Resolves when there is more to know than what was `seen`. */
  async advance(seen: Settled, signal: AbortSignal): Promise<Settled> {
    for (;;) {
      const now = this.state
      if (now.settled > 0 && (now.epoch !== seen.epoch || now.settled > seen.settled)) return now
      await this.#nextLook(signal)
    }
  }

  /** Resolves when an epoch has ended. */
  async lost(epoch: number, signal: AbortSignal): Promise<void> {
    while (this.#look.epoch === epoch) await this.#nextLook(signal)
  }

  /** Resolves when all is settled that a look has found which begins from now on. */
  async settle(signal: AbortSignal): Promise<number> {
    const first = this.#looks + 1
    this.wake()
    let target: number | undefined
    for (;;) {
      await this.#nextLook(signal)
      if (this.#looks < first || this.#failure !== undefined) continue
      const { settled, highest } = this.#look
      // In a new epoch it may have begun again at a smaller number.
      target = Math.min(target ?? highest, highest)
      if (settled >= target) return settled
    }
  }

  /** Whether an epoch has gone on until now. Those who ask at once share the question. */
  async confirm(epoch: number): Promise<boolean> {
    // The answer to what is under way may have been given already.
    this.#nextConfirming ??= (this.#confirming ?? Promise.resolve()).then(() => {
      this.#confirming = this.#nextConfirming
      this.#nextConfirming = undefined
      return this.#confirm().finally(() => {
        this.#confirming = undefined
      })
    })
    return (await this.#nextConfirming) && this.#look.epoch === epoch
  }

  async #confirm(): Promise<boolean> {
    const { epoch } = this.#look
    const goesOn = await outside(() => this.#look.goesOn()).catch(() => false)
    if (!goesOn && this.#look.epoch === epoch) this.distrust()
    return goesOn
  }

  /** Waits until nothing is under way, where nobody wants to know any more. */
  async idle(): Promise<void> {
    if (this.#uses.size === 0) await Promise.all([this.#looking, this.#unlistening, this.#confirming])
  }

  #nextLook(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const ended = () => {
        this.#waiting.delete(ended)
        signal.removeEventListener('abort', ended)
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      this.#waiting.add(ended)
      signal.addEventListener('abort', ended)
      if (signal.aborted) ended()
    })
  }

  #listenOrNot(): void {
    const channel = this.#channel
    if (channel === undefined) return
    const isWanted = [...this.#uses].some(({ listens }) => listens)
    if (isWanted && this.#unlisten === undefined) {
      this.#unlisten = outside(() => listen(this.#engine, channel, () => this.wake()))
    } else if (!isWanted && this.#unlisten !== undefined) {
      this.#unlistening = Promise.all([this.#unlistening, this.#unlisten()]).then(() => {})
      this.#unlisten = undefined
    }
  }

  #schedule(): void {
    if (this.#uses.size === 0 || this.#looking !== undefined) return
    clearTimeout(this.#timer)
    const wait = this.#dueAt() - performance.now()
    if (wait <= 0) {
      this.#begin()
      return
    }
    // It keeps the process alive, as whoever follows a log waits for something: on SQLite nothing else would.
    this.#timer = outside(() => setTimeout(() => this.#begin(), wait))
  }

  #dueAt(): number {
    if (this.#failure !== undefined) return this.#endedAt + this.#retry
    if (this.#isAsked) return this.#begunAt + SHORTEST_GAP
    const interval = Math.min(...[...this.#uses].map(({ pollInterval }) => pollInterval))
    const { settled, highest } = this.#look
    const isExpecting = highest > settled || performance.now() < this.#expectsUntil
    return this.#endedAt + (isExpecting ? Math.min(this.#pause, interval) : interval)
  }

  #begin(): void {
    this.#looking = outside(() => this.#lookOnce()).finally(() => {
      this.#looking = undefined
      this.#schedule()
    })
  }

  async #lookOnce(): Promise<void> {
    this.#looks++
    this.#isAsked = false
    this.#begunAt = performance.now()
    const { settled } = this.#look
    const failure = this.#failure
    try {
      await this.#look.look()
      // What has failed meanwhile, has failed later.
      if (this.#failure === failure) {
        this.#failure = undefined
        this.#retry = FIRST_RETRY
      }
    } catch (error) {
      this.#look.forget()
      if (this.#failure !== undefined) this.#retry = Math.min(this.#retry * 2, LAST_RETRY)
      this.#fail(error)
    }
    this.#endedAt = performance.now()
    this.#pause = this.#look.settled === settled ? Math.min(this.#pause * 2, LAST_PAUSE) : FIRST_PAUSE
    for (const ended of [...this.#waiting]) ended()
  }

  #fail(err: unknown): void {
    const isFirst = this.#failure === undefined
    this.#failure = err
    if (!isFirst) return
    for (const log of new Set([...this.#uses].map(use => use.log))) {
      log?.warn({ err, engine: this.#engine.name }, 'the log of events could not be read; it is tried again')
    }
  }
}

/** Tells whoever listens to a channel, in a transaction of its own. */
export async function notify(engine: Engine, channel: string): Promise<void> {
  await outside(() =>
    onConnection(engine, NOTIFY_PATIENCE, ask => ask("select pg_notify($1, '')", [channel])),
  )
}
