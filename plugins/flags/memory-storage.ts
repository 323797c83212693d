import { completeFlag, type FlagData, type FlagInput } from './flag-data.ts'
import type { Changes, FlagStore, UpsertOptions } from './store.ts'
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
  #version = 0
  #purged = 0

  async list({ versionGreaterThan = 0 }: { readonly versionGreaterThan?: number } = {}): Promise<FlagData[]> {
    const flags = [...this.#flags.values()].filter(flag => flag.version > versionGreaterThan)
    return structuredClone(flags.sort((a, b) => a.version - b.version))
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
    return this.#save(completeFlag(structuredClone(input), base))
  }

  async delete(name: string, options: UpsertOptions = {}): Promise<FlagData | undefined> {
    const before = this.#flags.get(name)
    if (before === undefined) return undefined
    baseOf(name, before, options.expectedVersion)
    return this.#save({ ...before, deleted: true })
  }

  #save(data: Omit<FlagData, 'version' | 'updated_at'>): FlagData {
    const flag = { ...data, updated_at: Date.now() / 1000, version: ++this.#version }
    this.#flags.set(flag.name, flag)
    this.#tell()
    return structuredClone(flag)
  }

  async purge(name: string, options: UpsertOptions = {}): Promise<boolean> {
    const before = this.#flags.get(name)
    if (before !== undefined) baseOf(name, before, options.expectedVersion)
    if (!this.#flags.delete(name)) return false
    this.#purged = ++this.#version
    this.#tell()
    return true
  }

  subscribe(onChange: () => void): () => Promise<void> {
    this.#subscribers.add(onChange)
    return async () => void this.#subscribers.delete(onChange)
  }

  #tell(): void {
    for (const onChange of this.#subscribers) onChange()
  }
}
