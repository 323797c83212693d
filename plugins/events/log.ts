import { errors as coreErrors, type Engine, patiently } from '../../src/index.ts'
import { CommitSignal } from './commit-signal.ts'
import type { Datastore } from './datastore.ts'
import { type LogLogger, LogPoller, notify, type Settled } from './log-poller.ts'
import type { EventTables, Ordering } from './tables.ts'

/** How a log is followed. */
export interface LogOptions {
  readonly ordering: Ordering
  /** How long new events may stay unknown when nobody tells, in milliseconds. Default 1,000. */
  readonly pollInterval?: number | undefined
  /** Whether commits notify other processes, and whether this one listens to theirs. Default true; PostgreSQL only. */
  readonly notify?: boolean | undefined
  /** Told when the log cannot be read, once for each outage. */
  readonly log?: LogLogger | undefined
}

/** What all who follow one log in this process share. */
interface Shared {
  readonly poller: LogPoller
  readonly signal: CommitSignal
}

/** Milliseconds. */
const SETTLE_PATIENCE = 250
const CLOSE_PATIENCE = 1_000
/** Milliseconds; a longer timer would fire at once. */
const LONGEST_INTERVAL = 2 ** 31 - 1

/** By engine, table and ordering. */
const shared = new WeakMap<Engine, Map<string, Shared>>()
const logs = new WeakMap<EventTables, Log>()

/**
 * How far a log of events is settled: up to where they may be read by somebody who must not skip one. However many follow
 * the log of an engine and table in this process, it is looked at once for all of them, and only while somebody does.
 *
 * @example
 * ```ts
 * const log = Log.of(app.sqlAssist.engines.get('writer'), tables, { ordering: 'watermark' })
 * for (let settled = await log.settled(); ; settled = await log.changes(settled)) console.log(settled)
 * ```
 */
export class Log {
  /**
   * The log of an application.
   *
   * @param tables those of the application: for the same object it is the same log, until that is closed
   * @throws SQLA_ERR_INVALID_OPTION
   */
  static of(engine: Engine, tables: EventTables, options: LogOptions): Log {
    let log = logs.get(tables)
    if (log === undefined || log.closing.aborted || log.#engine !== engine) {
      log = new Log(engine, tables, options)
      logs.set(tables, log)
    }
    return log
  }

  readonly #engine: Engine
  readonly #poller: LogPoller
  readonly #signal: CommitSignal
  readonly #pollInterval: number
  readonly #notify: boolean
  readonly #log: LogLogger | undefined
  readonly #closing = new AbortController()
  readonly #holds = new Set<() => void>()

  private constructor(engine: Engine, tables: EventTables, options: LogOptions) {
    const { ordering, pollInterval = 1_000, notify: notifies = true, log } = options
    if (!(typeof pollInterval === 'number' && pollInterval > 0 && pollInterval <= LONGEST_INTERVAL)) {
      throw new coreErrors.SQLA_ERR_INVALID_OPTION(
        'pollInterval',
        `must be milliseconds, from 1 to ${LONGEST_INTERVAL}`,
      )
    }
    const { poller, signal } = sharedOf(engine, tables, ordering)
    this.#engine = engine
    this.#poller = poller
    this.#signal = signal
    this.#pollInterval = pollInterval
    this.#notify = notifies
    this.#log = log
  }

  /**
   * Looks now, and waits until what has been given by now is settled: until those transactions have ended that had
   * recorded something, and were open.
   *
   * @param options patience: how long to wait for that, in milliseconds, default 250. Later the answer is what is settled
   *   by then
   * @returns nothing can appear any more at or below it; 0 when nothing is known, or nothing there
   * @throws SQLA_ERR_EVENTS_STORAGE, SQLA_ERR_CLOSED, and what the database says, when the log cannot be read
   */
  async settled({ patience = SETTLE_PATIENCE }: { readonly patience?: number } = {}): Promise<number> {
    const release = this.#use(false)
    const ended = new AbortController()
    const end = () => ended.abort()
    const timer = setTimeout(end, patience)
    this.closing.addEventListener('abort', end)
    try {
      return await this.#poller.settle(ended.signal)
    } catch {
      this.closing.throwIfAborted()
      if (this.#poller.failure !== undefined) throw this.#poller.failure
      return this.#poller.state.settled
    } finally {
      clearTimeout(timer)
      this.closing.removeEventListener('abort', end)
      release()
    }
  }

  /**
   * Waits for something new.
   *
   * @param after it resolves with a settled id that is greater than this one
   * @throws the reason of `signal`, or SQLA_ERR_CLOSED when the log is closed meanwhile
   */
  async changes(after: number, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    const release = this.hold()
    const ended = new AbortController()
    const end = () => ended.abort(this.closing.aborted ? this.closing.reason : signal?.reason)
    const sources = signal === undefined ? [this.closing] : [this.closing, signal]
    for (const source of sources) source.addEventListener('abort', end)
    try {
      // Of whatever epoch: here only the number counts.
      for (let seen = { epoch: 0, settled: 0 }; ; ) {
        seen = await this.#poller.advance(seen, ended.signal)
        if (seen.settled > after) return seen.settled
      }
    } finally {
      for (const source of sources) source.removeEventListener('abort', end)
      release()
    }
  }

  /** Events were recorded: tells those who follow, here and elsewhere, when they have been committed. */
  announce(datastore: Datastore): void {
    this.#signal.announce(datastore, this.#notify)
  }

  /**
   * Keeps looking, and listening.
   *
   * @returns ends it
   * @throws SQLA_ERR_CLOSED
   */
  hold(): () => void {
    return this.#use(this.#notify)
  }

  #use(listens: boolean): () => void {
    this.closing.throwIfAborted()
    const end = this.#poller.use({ pollInterval: this.#pollInterval, listens, log: this.#log })
    const release = () => {
      this.#holds.delete(release)
      end()
    }
    this.#holds.add(release)
    return release
  }

  /** Aborted when it is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Resolves when more is known than what was `seen`. Whoever waits must {@link hold}. */
  advance(seen: Settled, signal: AbortSignal): Promise<Settled> {
    return this.#poller.advance(seen, signal)
  }

  /** Resolves when an epoch has ended. Whoever waits must {@link hold}. */
  lost(epoch: number, signal: AbortSignal): Promise<void> {
    return this.#poller.lost(epoch, signal)
  }

  /** Whether an epoch has gone on until now: what was read before was settled. */
  confirm(epoch: number): Promise<boolean> {
    return this.#poller.confirm(epoch)
  }

  /** The database was lost out of sight: ends the epoch. @param error the first one of somebody who tries again */
  distrust(error?: unknown): void {
    this.#poller.distrust(error)
  }

  /** Ends all that goes on through this one. Others that follow the same table go on. */
  async close(): Promise<void> {
    this.#closing.abort(new coreErrors.SQLA_ERR_CLOSED('The log of events'))
    for (const release of [...this.#holds]) release()
    await patiently(Promise.all([this.#signal.flush(), this.#poller.idle()]), CLOSE_PATIENCE)
  }
}

function sharedOf(engine: Engine, tables: EventTables, ordering: Ordering): Shared {
  let ofEngine = shared.get(engine)
  if (ofEngine === undefined) {
    ofEngine = new Map()
    shared.set(engine, ofEngine)
  }
  const key = `${ordering} ${tables.events.sql}`
  let found = ofEngine.get(key)
  if (found === undefined) {
    const poller = new LogPoller(engine, tables, ordering)
    const signal = new CommitSignal({
      wake: isCertain => poller.wake(isCertain),
      notify: engine.dialect === 'postgresql' ? () => notify(engine, tables.channel) : undefined,
    })
    found = { poller, signal }
    ofEngine.set(key, found)
  }
  return found
}
