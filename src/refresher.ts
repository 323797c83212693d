import { errors } from './errors.ts'
import { patiently } from './patiently.ts'

/** Milliseconds; a longer timer would fire at once. */
const LONGEST_TTL = 2 ** 31 - 1
/** Milliseconds. */
const CLOSE_PATIENCE = 1_000

/** What a {@link Refresher} reads, and what it does with that. */
export interface RefresherOptions<T> {
  /** Asks for the value. */
  read(): Promise<T>
  /** Takes what was read. When this throws, the refresh has failed too. */
  apply(value: T): void
  /** How old the value may become before it is read again, in milliseconds. */
  readonly ttl: number
  /** Calls back when something has changed, if something can tell, as `listen` does. @returns ends it */
  subscribe?(onChange: () => void): (() => Promise<void>) | undefined
  /** Told of each failure. @param isFirst whether it is the first since the value could be read: worth a line in the log */
  onFailure(error: unknown, isFirst: boolean): void
  /** Called every `ttl`, before the value is read. */
  onTick?(): void
}

/**
 * Keeps a value in this process up to date: by notifications where there are some, and by reading it every `ttl`. When it cannot
 * be read, the last one goes on serving.
 *
 * @example
 * ```ts
 * let prices = new Map<string, number>()
 * const refresher = new Refresher({
 *   read: () => readPrices(engine),
 *   apply: now => {
 *     prices = now
 *   },
 *   ttl: 5_000,
 *   subscribe: onChange => listen(engine, 'prices', onChange),
 *   onFailure: (err, isFirst) => isFirst && app.log.warn({ err }, 'the prices could not be read'),
 * })
 * app.addHook('onReady', () => refresher.start())
 * app.addHook('preClose', () => refresher.close())
 * ```
 */
export class Refresher<T> {
  readonly #options: RefresherOptions<T>
  #refreshing: Promise<void> | undefined
  #isAsked = false
  #failure: unknown
  #timer: NodeJS.Timeout | undefined
  #unsubscribe: (() => Promise<void>) | undefined

  /** @throws SQLA_ERR_INVALID_OPTION when `ttl` is no time that a timer can wait */
  constructor(options: RefresherOptions<T>) {
    const { ttl } = options
    if (!(typeof ttl === 'number' && ttl > 0 && ttl <= LONGEST_TTL)) {
      throw new errors.SQLA_ERR_INVALID_OPTION('ttl', `must be milliseconds, from 1 to ${LONGEST_TTL}`)
    }
    this.#options = options
  }

  /** Why the value could not be read, the last time; undefined when it could. */
  get failure(): unknown {
    return this.#failure
  }

  /**
   * Reads the value. Calls at the same time share one question; a call during it asks once more.
   *
   * @throws what `read` and `apply` throw; the last value stays
   */
  refresh(): Promise<void> {
    this.#isAsked = true
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
      // Who asked when the last answer was there and its callers had not been told yet.
      return this.#isAsked ? this.refresh() : undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    while (this.#isAsked) {
      this.#isAsked = false
      try {
        const value = await this.#options.read()
        this.#failure = undefined
        this.#options.apply(value)
      } catch (error) {
        this.#isAsked = false
        const isFirst = this.#failure === undefined
        this.#failure = error
        this.#options.onFailure(error, isFirst)
        throw error
      }
    }
  }

  /**
   * Keeps the value up to date until {@link close}.
   *
   * @returns when it has been read, or when that has failed or takes longer than `ttl`: then the next `ttl` tries again
   */
  async start(): Promise<void> {
    const { ttl } = this.#options
    const refresh = () => void this.refresh().catch(() => {})
    this.#unsubscribe ??= this.#options.subscribe?.(refresh)
    this.#timer ??= setInterval(() => {
      this.#options.onTick?.()
      refresh()
    }, ttl).unref()
    await patiently(this.refresh(), ttl)
  }

  /**
   * Ends what {@link start} has begun. What does not answer within a second is left alone.
   *
   * @param finish what else is to be done when no more changes are heard of, and is waited for
   */
  async close(finish?: () => Promise<unknown> | undefined): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#unsubscribe?.()
    this.#unsubscribe = undefined
    await patiently(Promise.allSettled([finish?.(), this.#refreshing]), CLOSE_PATIENCE)
  }
}
