import { completeFlag, type FlagData, type FlagInput } from './flag-data.ts'
import { actionOf, authorOf, HISTORY_LIMIT } from './history.ts'
import type {
  Changes,
  FlagStore,
  HistoryAction,
  HistoryEntry,
  HistoryOptions,
  UpsertOptions,
  Usage,
} from './store.ts'
import { baseOf } from './versions.ts'

/**
 * Flags in this process, for tests and demos.
 *
 * @example
 * ```ts
 * const storage = new MemoryFlagStorage()
 * await storage.upsert({ name: 'new-checkout', enabled: true })
 * ```
 */
export class MemoryFlagStorage implements FlagStore {
  readonly #flags = new Map<string, FlagData>()
  readonly #subscribers = new Set<() => void>()
  /** By name, the newest last. */
  readonly #history = new Map<string, HistoryEntry[]>()
  readonly #askedAt = new Map<string, number>()
  #recordedSince: number | undefined
  #version = 0
  #purged = 0

  async list({ versionGreaterThan = 0 }: { readonly versionGreaterThan?: number } = {}): Promise<FlagData[]> {
    const flags = [...this.#flags.values()].filter(flag => flag.version > versionGreaterThan)
    return structuredClone(flags.sort((a, b) => a.version - b.version))
  }

  async get(name: string): Promise<FlagData | undefined> {
    return structuredClone(this.#flags.get(name))
  }

  async changesSince(version: number): Promise<Changes> {
    // Before anything is waited for: what changes meanwhile is newer than this.
    const newest = this.#version
    const complete = version < this.#purged || version > newest
    const flags = await this.list({ versionGreaterThan: complete ? 0 : version })
    return { version: newest, flags, complete }
  }

  async upsert(input: FlagInput, options: UpsertOptions = {}): Promise<FlagData> {
    // Checked first: what is no JSON cannot be copied.
    completeFlag(input, undefined)
    const before = this.#flags.get(input.name)
    const base = baseOf(input.name, before, options.expectedVersion)
    const data = completeFlag(structuredClone(input), base)
    return this.#save(data, actionOf(base, data), options.author)
  }

  async delete(name: string, options: UpsertOptions = {}): Promise<FlagData | undefined> {
    const before = this.#flags.get(name)
    if (before === undefined) return undefined
    baseOf(name, before, options.expectedVersion)
    return this.#save({ ...before, deleted: true }, 'deleted', options.author)
  }

  #save(
    data: Omit<FlagData, 'version' | 'updated_at'>,
    action: HistoryAction,
    author: string | undefined,
  ): FlagData {
    const flag = { ...data, updated_at: Date.now() / 1000, version: ++this.#version }
    this.#flags.set(flag.name, flag)
    this.#record(action, flag, author)
    this.#tell()
    return structuredClone(flag)
  }

  async purge(name: string, options: UpsertOptions = {}): Promise<boolean> {
    const before = this.#flags.get(name)
    if (before === undefined) return false
    baseOf(name, before, options.expectedVersion)
    this.#flags.delete(name)
    this.#purged = ++this.#version
    this.#record(
      'purged',
      { ...before, updated_at: Date.now() / 1000, version: this.#version },
      options.author,
    )
    this.#tell()
    return true
  }

  #record(action: HistoryAction, data: FlagData, author: string | undefined): void {
    const entries = this.#history.get(data.name) ?? []
    this.#history.set(data.name, entries)
    entries.push({ version: data.version, action, author: authorOf(author), at: data.updated_at, data })
  }

  async history(
    name: string,
    { limit = HISTORY_LIMIT, before = Number.POSITIVE_INFINITY }: HistoryOptions = {},
  ): Promise<HistoryEntry[]> {
    const older = (this.#history.get(name) ?? []).filter(({ version }) => version < before)
    return structuredClone(older.reverse().slice(0, limit))
  }

  async noteAsked(names: readonly string[]): Promise<void> {
    const now = Math.floor(Date.now() / 1000)
    this.#recordedSince ??= now
    for (const name of names) this.#askedAt.set(name, now)
  }

  async usage(): Promise<Usage> {
    return { since: this.#recordedSince, askedAt: new Map(this.#askedAt) }
  }

  subscribe(onChange: () => void): () => Promise<void> {
    this.#subscribers.add(onChange)
    return async () => void this.#subscribers.delete(onChange)
  }

  #tell(): void {
    for (const onChange of this.#subscribers) onChange()
  }
}
