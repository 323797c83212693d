import { setTimeout as sleep } from 'node:timers/promises'
import type { SqlEm } from '../../../src/index.ts'
import type { Datastore } from '../datastore.ts'
import { errors } from '../errors.ts'
import type { Tracking } from '../stored-event.ts'
import type { EventTable } from '../tables.ts'
import { Moves } from './moves.ts'
import { assertInteger, invalid } from './rows.ts'
import { type Track, trackIn, trackingConflict } from './track.ts'

/** What a {@link TrackingRecorder} is made of. */
export interface TrackingRecorderOptions {
  readonly datastore: Datastore
  readonly table: EventTable
}

/** How long to wait. */
export interface WaitOptions {
  /** Milliseconds, default 1,000. 0 looks once. */
  readonly timeout?: number
  /** Ends the waiting with its reason. */
  readonly signal?: AbortSignal
}

/** Milliseconds between two looks: a process elsewhere tells nobody. */
const SHORTEST_PAUSE = 10
const LONGEST_PAUSE = 100

/**
 * How far followers of logs have come: for each name the last notification that it has processed. It only moves forward,
 * so that whoever records it in the transaction of what was done has done it once.
 *
 * @example
 * ```ts
 * const tracking = new TrackingRecorder({ datastore: new Datastore(engine), table: tables.tracking })
 * await tracking.insertTracking({ applicationName: 'dogs', notificationId: 7 })
 * await tracking.wait('dogs', 7)
 * ```
 */
export class TrackingRecorder {
  readonly datastore: Datastore
  readonly #table: EventTable
  readonly #track: Track
  readonly #moves: Moves

  constructor({ datastore, table }: TrackingRecorderOptions) {
    this.datastore = datastore
    this.#table = table
    this.#track = trackIn(datastore.em, table)
    this.#moves = Moves.of(datastore.engine, table)
  }

  /** The same recorder in the transaction of a session. */
  at(session: SqlEm): TrackingRecorder {
    return new TrackingRecorder({ datastore: this.datastore.at(session), table: this.#table })
  }

  /**
   * Records that somebody has processed a notification, and with it all before.
   *
   * @throws SQLA_ERR_TRACKING_CONFLICT when it is at that notification already, or further
   */
  async insertTracking(tracking: Tracking): Promise<void> {
    assertTracking(tracking)
    if (!(await this.datastore.run(em => this.#track(em, tracking)))) throw trackingConflict(tracking)
    this.announce(tracking.applicationName)
  }

  /** Wakes who waits in this process for that name to move, once what has been done is committed. */
  announce(applicationName: string): void {
    this.datastore.afterCommit(() => this.#moves.tell(applicationName))
  }

  /** @returns null when that name has processed nothing */
  async maxTrackingId(applicationName: string): Promise<number | null> {
    assertName(applicationName)
    const [row]: { id: number | string }[] = await this.datastore.run(em =>
      em.execute(`select notification_id as id from ${this.#table.sql} where application_name = ?`, [
        applicationName,
      ]),
    )
    return row === undefined ? null : Number(row.id)
  }

  /** Whether that name has processed a notification, or one after it. */
  async hasTrackingId(applicationName: string, notificationId: number): Promise<boolean> {
    assertInteger('notificationId', notificationId)
    const last = await this.maxTrackingId(applicationName)
    return last !== null && last >= notificationId
  }

  /**
   * Waits until that name has processed a notification, or one after it: at once when it has.
   *
   * @throws SQLA_ERR_WAIT_TIMEOUT
   * @throws the signal's reason, when it is aborted
   */
  async wait(applicationName: string, notificationId: number, options: WaitOptions = {}): Promise<void> {
    const { timeout = 1_000, signal } = options
    if (!(typeof timeout === 'number' && timeout >= 0 && timeout < 2 ** 31)) {
      throw invalid('timeout', 'must be a number of milliseconds')
    }
    signal?.throwIfAborted()
    const tooLate = (): Error => new errors.SQLA_ERR_WAIT_TIMEOUT(applicationName, notificationId, timeout)
    if (timeout === 0) {
      if (await this.hasTrackingId(applicationName, notificationId)) return
      throw tooLate()
    }
    const over = new AbortController()
    const ended = Promise.withResolvers<never>()
    const timer = setTimeout(() => ended.reject(tooLate()), timeout)
    const onAbort = (): void => ended.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      // A look may hang, too.
      await Promise.race([ended.promise, this.#arrival(applicationName, notificationId, over.signal)])
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      over.abort()
    }
  }

  async #arrival(name: string, id: number, over: AbortSignal): Promise<void> {
    for (let pause = SHORTEST_PAUSE; !over.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      const move = this.#moves.next(name)
      try {
        if ((await this.hasTrackingId(name, id)) || over.aborted) return
        const rested = new AbortController()
        const end = (): void => rested.abort()
        over.addEventListener('abort', end, { once: true })
        await Promise.race([
          move.made.finally(end),
          sleep(pause, undefined, { signal: rested.signal }).catch(() => {}),
        ])
        over.removeEventListener('abort', end)
      } finally {
        move.forget()
      }
    }
  }
}

/** @throws SQLA_ERR_INVALID_OPTION */
export function assertTracking({ applicationName, notificationId }: Tracking): void {
  assertName(applicationName)
  assertInteger('notificationId', notificationId)
}

function assertName(applicationName: unknown): void {
  if (typeof applicationName === 'string' && applicationName !== '' && !applicationName.includes('\0')) return
  throw invalid('applicationName', 'must be a text, neither empty nor with a NUL character')
}
