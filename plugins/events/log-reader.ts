import type { RecordedEvent } from './domain-event.ts'
import type { Settled } from './log-poller.ts'
import type { Source } from './source.ts'

/** Which events are read. */
export interface LogReaderOptions {
  readonly topics: readonly string[] | undefined
  /** How many at once. */
  readonly batch: number
  /** Makes the error that is thrown for an event that cannot be read. */
  failure(error: unknown, id: number): Error
}

/** Events that follow each other. */
export interface LogPage {
  readonly events: readonly RecordedEvent[]
  /** Whether nothing else is settled behind them. */
  readonly isLast: boolean
}

/**
 * Reads the settled events of a log in pages. What it says of settled positions is true in their epoch only; see
 * {@link Log.advance}.
 */
export class LogReader {
  readonly #source: Source
  readonly #options: LogReaderOptions

  constructor(source: Source, options: LogReaderOptions) {
    this.#source = source
    this.#options = options
  }

  /**
   * Waits until more is settled than what was `seen`.
   *
   * @param due when it is no longer waited for: as `performance.now()`
   * @returns undefined when nothing has come until then, or when it was aborted
   */
  async advance(seen: Settled, due: number, signal: AbortSignal): Promise<Settled | undefined> {
    const ended = new AbortController()
    const end = () => ended.abort()
    const timer = setTimeout(end, Math.max(due - performance.now(), 1))
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
    try {
      return await this.#source.log.advance(seen, ended.signal)
    } catch (error) {
      if (ended.signal.aborted) return undefined
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
    }
  }

  /**
   * The next events behind a position.
   *
   * @returns undefined when what was settled is so no more: a server that has crashed gives numbers again
   */
  async page(after: number, { epoch, settled }: Settled): Promise<LogPage | undefined> {
    const { topics, batch } = this.#options
    const { log, recorder, mapper } = this.#source
    const select = recorder.selectNotifications({
      start: after,
      inclusiveOfStart: false,
      stop: settled,
      limit: batch,
      ...(topics === undefined ? {} : { topics }),
    })
    // The log may have been lost out of sight.
    const found = await select.catch(error => {
      log.distrust()
      throw error
    })
    if (!(await log.confirm(epoch))) return undefined
    const events: RecordedEvent[] = []
    for (const notification of found) {
      try {
        events.push({ ...mapper.toDomain(notification), id: notification.id })
      } catch (error) {
        // First what comes before the one that cannot be read.
        if (events.length === 0) throw this.#options.failure(error, notification.id)
        return { events, isLast: false }
      }
    }
    return { events, isLast: found.length < batch }
  }

  /**
   * Up to where a log that was read up to a settled position may be said to be done with. That is the place of an event, or
   * one before it: a crash of the server does not take that back. A settled position behind the last event it may take back,
   * and there would be events later at places that nobody looks at any more.
   *
   * @returns 0 when what was settled is so no more
   */
  async lastingPlace({ epoch, settled }: Settled): Promise<number> {
    const { log, recorder } = this.#source
    const last = (await recorder.maxNotificationId()) ?? 0
    return (await log.confirm(epoch)) ? Math.min(settled, last) : 0
  }
}
