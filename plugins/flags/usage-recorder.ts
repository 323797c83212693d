import type { Flag } from './flag.ts'
import type { FlagStore } from './store.ts'

/** Milliseconds between two notes that a flag is asked for; it is about days. */
const ASKED_EVERY = 3_600_000
/** Milliseconds until what could not be written down is tried again. */
const PAUSE = 60_000

/** What a {@link UsageRecorder} needs of a client. */
export interface Recorded {
  readonly storage: FlagStore
  flags(): ReadonlyMap<string, Flag>
}

/** Writes down which flags of a client are asked for, each of them once an hour. What fails is tried again. */
export class UsageRecorder {
  readonly #client: Recorded
  readonly #onFailure: (error: unknown) => void
  /** Name → when it was written down: milliseconds since 1970. */
  readonly #notedAt = new Map<string, number>()
  /** Whether it is known in the storage that somebody writes down. */
  #hasBegun = false
  #failedAt: number | undefined
  #writing: Promise<void> | undefined

  /** @param onFailure told why nothing can be written down, once until it can again */
  constructor(client: Recorded, onFailure: (error: unknown) => void) {
    this.#client = client
    this.#onFailure = onFailure
  }

  /** @returns when it is written down, or that has failed; it never throws */
  async record(): Promise<void> {
    if (this.#writing !== undefined) return this.#writing
    if (this.#failedAt !== undefined && Date.now() - this.#failedAt < PAUSE) return
    const asked = this.#asked()
    // The first time without any, too: it says since when it is known.
    if (asked.length === 0 && this.#hasBegun) return
    this.#writing = this.#write(asked).finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  /** The last time: what was asked for since. */
  async finish(): Promise<void> {
    await this.#writing
    if (this.#asked().length > 0) await this.record()
  }

  #asked(): Flag[] {
    const since = Date.now() - ASKED_EVERY
    return [...this.#client.flags().values()].filter(
      ({ isAsked, name }) => isAsked && (this.#notedAt.get(name) ?? 0) <= since,
    )
  }

  async #write(asked: readonly Flag[]): Promise<void> {
    const now = Date.now()
    for (const flag of asked) flag.isAsked = false
    try {
      await this.#client.storage.noteAsked?.(asked.map(({ name }) => name))
      this.#hasBegun = true
      this.#failedAt = undefined
      for (const { name } of asked) this.#notedAt.set(name, now)
    } catch (error) {
      if (this.#failedAt === undefined) this.#onFailure(error)
      this.#failedAt = now
      // Meanwhile there may be newer flags of these names.
      const flags = this.#client.flags()
      for (const { name } of asked) {
        const flag = flags.get(name)
        if (flag !== undefined) flag.isAsked = true
      }
    }
  }
}
