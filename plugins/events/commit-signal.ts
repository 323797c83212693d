import type { Datastore } from './datastore.ts'

/** Milliseconds between two notifications. */
const SHORTEST_GAP = 20

/** What a {@link CommitSignal} does. */
export interface CommitSignalOptions {
  /** Wakes those who follow in this process. @param isCertain whether it is certain that the events are committed */
  wake(isCertain: boolean): void
  /** Notifies the other processes. Undefined where nothing does that. */
  readonly notify: (() => Promise<unknown>) | undefined
}

/**
 * Tells after a commit that there are new events: this process at once, the others by NOTIFY, one at a time and one every 20
 * ms at most. Never inside the transaction: of those that notify, PostgreSQL lets only one at a time commit, which was
 * measured to leave 13 % of the throughput. When it cannot be sent, the others find the events by polling.
 *
 * @example
 * ```ts
 * const signal = new CommitSignal({ wake: isCertain => poller.wake(isCertain), notify: () => notify(engine, channel) })
 * signal.announce(datastore) // between what was recorded and its commit
 * ```
 */
export class CommitSignal {
  readonly #options: CommitSignalOptions
  #isAsked = false
  #sending: Promise<void> | undefined
  /** Runs while the last notification is younger than the gap. */
  #gap: NodeJS.Timeout | undefined

  constructor(options: CommitSignalOptions) {
    this.#options = options
  }

  /** Something was recorded. @param notifies whether other processes are to be told, too */
  announce(datastore: Datastore, notifies = true): void {
    datastore.afterCommit(isCertain => {
      this.#options.wake(isCertain)
      if (notifies) this.#send()
    })
  }

  /** Sends what has not been sent yet. @returns when it has been, well or not */
  async flush(): Promise<void> {
    await this.#sending
    clearTimeout(this.#gap)
    this.#gap = undefined
    if (this.#isAsked) this.#send()
    await this.#sending
    clearTimeout(this.#gap)
    this.#gap = undefined
  }

  #send(): void {
    const { notify } = this.#options
    if (notify === undefined) return
    this.#isAsked = true
    if (this.#sending !== undefined || this.#gap !== undefined) return
    this.#isAsked = false
    this.#sending = notify().then(
      () => this.#sent(),
      () => this.#sent(),
    )
  }

  #sent(): void {
    this.#sending = undefined
    this.#gap = setTimeout(() => {
      this.#gap = undefined
      if (this.#isAsked) this.#send()
    }, SHORTEST_GAP)
    this.#gap.unref()
  }
}
