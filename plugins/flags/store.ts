import type { FlagData, FlagInput } from './flag-data.ts'

/** How a flag is saved. */
export interface UpsertOptions {
  /**
   * The version that the flag must still have, for editors that have shown it to somebody; 0: there must be none.
   * Otherwise SQLA_ERR_FLAG_CONFLICT.
   */
  readonly expectedVersion?: number | undefined
}

/** What has changed since a version. */
export interface Changes {
  /** The version of the newest change. */
  readonly version: number
  /** The flags that have changed, tombstones included; or all that there are, when `complete`. */
  readonly flags: readonly FlagData[]
  /** Whether flags that are not among `flags` are gone: rows were deleted, or versions began again. */
  readonly complete: boolean
}

/** Where flags are: {@link FlagStorage} in a database, {@link MemoryFlagStorage} in this process. */
export interface FlagStore {
  /** @param options `versionGreaterThan`: only what has changed since. @returns flags, tombstones included, by version */
  list(options?: { readonly versionGreaterThan?: number }): Promise<FlagData[]>
  /** What a client that has seen `version` does not know yet. */
  changesSince(version: number): Promise<Changes>
  /**
   * Saves a flag. What is left out stays as it was.
   *
   * @throws SQLA_ERR_FLAG_INVALID (400), SQLA_ERR_FLAG_CONFLICT (409)
   */
  upsert(input: FlagInput, options?: UpsertOptions): Promise<FlagData>
  /** Leaves a tombstone. @returns undefined when there is no such flag */
  delete(name: string, options?: UpsertOptions): Promise<FlagData | undefined>
  /** Deletes the row itself; clients that had the flag learn of it. @returns whether there was one */
  purge(name: string, options?: UpsertOptions): Promise<boolean>
  /**
   * Calls back when something has changed, if the store can tell by itself.
   *
   * @returns ends it
   */
  subscribe?(onChange: () => void): () => Promise<void>
}
