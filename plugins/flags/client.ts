import type { FastifyRequest } from 'fastify'
import { Refresher } from '../../src/index.ts'
import { FlagContext } from './context.ts'
import { type Entries, Flag, type Surroundings } from './flag.ts'
import type { Changes, FlagStore } from './store.ts'
import { UsageRecorder } from './usage-recorder.ts'

/** How a client keeps its flags. */
export interface FlagClientOptions {
  readonly storage: FlagStore
  /** How old what is known may become before it is asked for again, in milliseconds. Default 5,000. */
  readonly ttl?: number
  /** Whether somebody is in a segment; see {@link Surroundings}. */
  readonly isInSegment?: Surroundings['isInSegment']
  /** Whether a flag that does not exist is an error. Default false: it is off, and counted. */
  readonly strict?: boolean
  /**
   * Whether it is written down which flags are asked for, once an hour each. Default true. Where it is not, as on an engine
   * that only reads, flags that nobody else asks for look unused.
   */
  readonly recordUsage?: boolean
  /** The `app.sqlAssist` that messages of `sqlassist:flag` name as their source. */
  readonly source?: object | undefined
  /** Told when flags cannot be read, and of unknown flags, once each. */
  readonly log?: { warn(object: object, message: string): void } | undefined
}

/** Everything that a context needs: the flags at one moment. */
export interface Snapshot extends Surroundings {
  readonly version: number
}

/**
 * The flags in this process. They are read once and then kept up to date: by the storage's notifications where it has
 * some, and by asking for what is new every `ttl`. When the storage cannot be asked, the last flags go on serving.
 *
 * @example
 * ```ts
 * const client = new FlagClient({ storage, ttl: 5_000 })
 * await client.sync()
 * client.context({ user_id: 42 }).isEnabled('new-checkout')
 * ```
 */
export class FlagClient {
  readonly storage: FlagStore
  readonly ttl: number
  readonly strict: boolean
  readonly source: object | undefined
  /** How often which unknown flags were asked for. */
  readonly unknown = new Map<string, number>()
  readonly #log: FlagClientOptions['log']
  readonly #isInSegment: Surroundings['isInSegment']
  readonly #usage: UsageRecorder | undefined
  readonly #refresher: Refresher<Changes>
  readonly #broken = new WeakSet<Flag>()
  readonly #listeners = new Set<(names: readonly string[]) => void>()
  readonly #staleListeners = new Set<(isStale: boolean) => void>()
  /** Undefined until the storage has answered, or has failed to, for the first time. */
  #saidStale: boolean | undefined
  #snapshot: Snapshot
  #syncedAt: number | undefined
  #startedAt: number | undefined

  constructor({
    storage,
    ttl = 5_000,
    isInSegment,
    strict = false,
    recordUsage = true,
    source,
    log,
  }: FlagClientOptions) {
    this.storage = storage
    this.ttl = ttl
    this.strict = strict
    this.source = source
    this.#usage = recordUsage
      ? new UsageRecorder(this, err =>
          log?.warn({ err }, 'which flags are asked for could not be written down'),
        )
      : undefined
    this.#log = log
    this.#isInSegment = isInSegment
    this.#snapshot = { version: 0, flags: new Map(), isInSegment }
    this.#refresher = new Refresher({
      read: () => this.storage.changesSince(this.#snapshot.version),
      apply: changes => {
        this.#syncedAt = Date.now()
        if (changes.flags.length > 0 || changes.complete) this.#apply(changes)
        this.#sayStale()
      },
      ttl,
      subscribe: onChange => this.storage.subscribe?.(onChange),
      onFailure: (err, isFirst) => {
        if (isFirst) log?.warn({ err }, 'the flags could not be read; the last ones go on serving')
        this.#sayStale()
      },
      onTick: () => {
        // A storage that does not answer does not fail either.
        if (this.stale) this.#sayStale()
        // When the flags have been asked for: on an engine with one connection they go first.
        queueMicrotask(() => {
          // What cannot be read cannot be written to either.
          if (this.failure === undefined) void this.#usage?.record()
        })
      },
    })
  }

  /** The flags as they are known now, without tombstones; a change makes another map. */
  flags(): ReadonlyMap<string, Flag> {
    return this.#snapshot.flags
  }

  /** The flags at this moment, for somebody who asks several times. */
  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** Whether what is known may be old: the storage could not be asked the last time, or has not answered since. */
  get stale(): boolean {
    if (this.failure !== undefined) return true
    if (this.#startedAt === undefined) return false
    return Date.now() - (this.#syncedAt ?? this.#startedAt) > 2 * this.ttl + 1_000
  }

  /** Why the storage could not be asked, the last time. */
  get failure(): unknown {
    return this.#refresher.failure
  }

  /** When the storage answered last: milliseconds since 1970; undefined when it never has. */
  get syncedAt(): number | undefined {
    return this.#syncedAt
  }

  /**
   * @param entries what is known of whoever asks
   * @param request whose flags they are, for the messages of `sqlassist:flag`
   */
  context(entries: Entries = {}, request?: FastifyRequest): FlagContext {
    return new FlagContext(this, entries, request)
  }

  /**
   * Asks the storage for what is new. Calls at the same time share one question; a call during it asks once more.
   *
   * @throws what the storage throws; what is known stays
   */
  sync(): Promise<void> {
    return this.#refresher.refresh()
  }

  #apply({ version, flags: found, complete }: Changes): void {
    const changed = found.map(data => new Flag(data))
    const before = this.#snapshot.flags
    const flags = new Map(complete ? [] : before)
    for (const flag of changed) {
      flag.isAsked = before.get(flag.name)?.isAsked ?? false
      if (flag.deleted) flags.delete(flag.name)
      else flags.set(flag.name, flag)
    }
    this.#snapshot = { version, flags, isInSegment: this.#isInSegment }
    const names = new Set(changed.map(({ name }) => name))
    if (complete) for (const name of before.keys()) names.add(name)
    const different = [...names].filter(name => before.get(name)?.version !== flags.get(name)?.version)
    if (different.length === 0) return
    for (const listener of this.#listeners) {
      try {
        listener(different)
      } catch (error) {
        this.#log?.warn({ err: error }, 'a listener for changes of flags has thrown')
      }
    }
  }

  /** Calls back with the names of the flags that have changed. @returns ends it */
  onChange(listener: (names: readonly string[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Calls back when {@link stale} has begun, when it has ended, and when the flags are first read. @returns ends it */
  onStale(listener: (isStale: boolean) => void): () => void {
    this.#staleListeners.add(listener)
    return () => void this.#staleListeners.delete(listener)
  }

  #sayStale(): void {
    const isStale = this.stale
    if (isStale === this.#saidStale) return
    this.#saidStale = isStale
    for (const listener of this.#staleListeners) {
      try {
        listener(isStale)
      } catch (error) {
        this.#log?.warn({ err: error }, 'a listener for stale flags has thrown')
      }
    }
  }

  /**
   * Keeps the flags up to date until {@link close}.
   *
   * @returns when they have been read, or when that has failed or takes longer than `ttl`: then the next `ttl` tries again
   */
  start(): Promise<void> {
    this.#startedAt ??= Date.now()
    return this.#refresher.start()
  }

  /** Ends what {@link start} has begun. */
  close(): Promise<void> {
    return this.#refresher.close(() => {
      this.#startedAt = undefined
      return this.failure === undefined ? this.#usage?.finish() : undefined
    })
  }

  /** For contexts: somebody has asked for a flag that does not exist. */
  noteUnknown(name: string): void {
    const times = this.unknown.get(name) ?? 0
    // What clients of ours make up must not fill the memory.
    if (times === 0 && this.unknown.size >= 1_000) return
    this.unknown.set(name, times + 1)
    if (times === 0) this.#log?.warn({ flag: name }, 'a flag was asked for that does not exist; it is off')
  }

  /** For contexts: a flag could not be evaluated. Said once for each version of it. */
  noteBroken(flag: Flag, error: unknown): void {
    if (this.#broken.has(flag)) return
    this.#broken.add(flag)
    this.#log?.warn({ flag: flag.name, err: error }, 'a flag could not be evaluated; it is off')
  }
}
