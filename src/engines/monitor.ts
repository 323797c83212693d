import { setTimeout as sleep } from 'node:timers/promises'
import type { Probe, Reading } from './probe.ts'

/** Milliseconds between questions while somebody waits for the answer. */
const EAGER_INTERVAL = 5
const FIRST_BACKOFF = 100

/** Asks one server, again and again, how it is. */
export class Monitor {
  readonly #probe: Probe
  readonly #interval: number
  readonly #onAnswer: () => void
  /** What it last said; undefined while it says nothing. */
  reading: Reading | undefined
  /** Why it says nothing; undefined together with {@link reading} while it has not been asked. */
  failure: unknown
  #failures = 0
  #answeredAt = Number.NEGATIVE_INFINITY
  #checking: Promise<void> | undefined
  #eager: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  /** How many questions in a row have had no answer. */
  get failures(): number {
    return this.#failures
  }

  /**
   * @param interval milliseconds between two questions
   * @param onAnswer called after each answer, and each that did not come
   * @param onLost called when nothing is known of the server any more, until the next answer
   */
  constructor(probe: Probe, interval: number, onAnswer: () => void, onLost: () => void = () => {}) {
    this.#probe = probe
    this.#interval = interval
    this.#onAnswer = onAnswer
    probe.onLost = () => {
      // It may have been restarted, and a standby that was is behind where it had been.
      this.reading = undefined
      this.failure = undefined
      onLost()
      void this.check()
    }
  }

  /** Asks now. Whoever asks while an answer is on its way gets that one. Never rejects. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
      this.#plan()
    })
    return this.#checking
  }

  /**
   * Asks again and again in short intervals, once for all who wait.
   *
   * @param ms milliseconds to try
   * @returns whether it came true in time
   */
  async until(isTrue: (reading: Reading) => boolean, ms: number): Promise<boolean> {
    const deadline = performance.now() + ms
    for (;;) {
      if (this.reading !== undefined && isTrue(this.reading)) return true
      const left = deadline - performance.now()
      if (left <= 0 || this.#stopped) return false
      const timer = new AbortController()
      await Promise.race([this.#askEagerly(), sleep(left, undefined, timer).catch(() => {})])
      timer.abort()
    }
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#probe.close()
  }

  #askEagerly(): Promise<void> {
    this.#eager ??= this.#askAfterPause().finally(() => {
      this.#eager = undefined
    })
    return this.#eager
  }

  async #askAfterPause(): Promise<void> {
    const pause = this.#failures === 0 ? EAGER_INTERVAL : FIRST_BACKOFF
    const rest = this.#answeredAt + pause - performance.now()
    if (rest > 0) await sleep(rest, undefined, { ref: false })
    await this.check()
  }

  async #check(): Promise<void> {
    if (this.#stopped) return
    try {
      this.reading = await this.#probe.ask()
      this.failure = undefined
      this.#failures = 0
    } catch (error) {
      this.reading = undefined
      this.failure = error
      this.#failures++
    }
    this.#answeredAt = performance.now()
    if (!this.#stopped) this.#onAnswer()
  }

  #plan(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.check(), this.#pause())
    this.#timer.unref()
  }

  /** Exponential backoff with jitter: many processes that lost the same server must not come back at once. */
  #pause(): number {
    if (this.#failures === 0) return this.#interval
    const backoff = Math.min(FIRST_BACKOFF * 2 ** (this.#failures - 1), 2 * this.#interval)
    return backoff * (0.5 + Math.random() / 2)
  }
}
