import { setTimeout as sleep } from 'node:timers/promises'
import { silent } from './abortable.ts'
import { errors } from './errors.ts'
import type { Recording } from './event-store.ts'
import type { TrackingRecorder } from './recorders/tracking-recorder.ts'
import type { Source } from './source.ts'

/** How long to wait for a runner. */
export interface WaitOptions {
  /** Milliseconds. Default 1,000. */
  readonly timeout?: number
  /** Gives up waiting. */
  readonly signal?: AbortSignal
}

/** Milliseconds between two questions for the place of an event that is about to be committed. */
const PAUSE = 10

/** Waits until a follower, in whichever process, has come to a position. */
export class Arrival {
  readonly #name: string
  readonly #source: Source
  readonly #tracking: TrackingRecorder

  constructor(name: string, source: Source, tracking: TrackingRecorder) {
    this.#name = name
    this.#source = source
    this.#tracking = tracking
  }

  /** @throws SQLA_ERR_WAIT_TIMEOUT, SQLA_ERR_INVALID_OPTION, the reason of `signal` */
  async wait(target: number | readonly Recording[], options: WaitOptions): Promise<void> {
    const { timeout = 1_000, signal } = options
    signal?.throwIfAborted()
    const deadline = performance.now() + timeout
    const ended = new AbortController()
    const late = silent(Promise.withResolvers<never>())
    const timer = setTimeout(
      () => late.reject(new errors.SQLA_ERR_WAIT_TIMEOUT(this.#name, named(target), timeout)),
      timeout,
    )
    const giveUp = () => late.reject(signal?.reason)
    signal?.addEventListener('abort', giveUp)
    try {
      // A question may hang, too.
      const position = await Promise.race([late.promise, this.#positionOf(target, ended.signal)])
      if (position <= 0) return
      const left = Math.max(1, deadline - performance.now())
      await Promise.race([
        late.promise,
        this.#tracking.wait(this.#name, position, { timeout: left, signal: ended.signal }),
      ])
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
      ended.abort()
    }
  }

  async #positionOf(target: number | readonly Recording[], signal: AbortSignal): Promise<number> {
    if (typeof target === 'number') return this.#eventAt(target)
    let greatest = 0
    for (const recording of target) greatest = Math.max(greatest, await this.#placeOf(recording, signal))
    return greatest
  }

  /** Behind the last event there may be numbers that nobody has: nothing ever comes to them. */
  async #eventAt(position: number): Promise<number> {
    const { log, recorder } = this.#source
    const last = (await recorder.maxNotificationId()) ?? 0
    if (last >= position) return position
    return (await log.settled()) >= position ? last : position
  }

  /** What is given its place at COMMIT is looked up, until it is there. */
  async #placeOf({ id, event }: Recording, signal: AbortSignal): Promise<number> {
    for (let place = id; ; ) {
      if (place !== undefined) return place
      place = await this.#source.recorder.notificationIdOf(event.originatorId, event.originatorVersion)
      if (place === undefined) await sleep(PAUSE, undefined, { signal })
    }
  }
}

function named(target: number | readonly Recording[]): string {
  if (typeof target === 'number') return String(target)
  const last = target.at(-1)
  if (last === undefined) return '0'
  const { originatorId, originatorVersion } = last.event
  return String(last.id ?? `of version ${originatorVersion} of ${originatorId}`)
}
