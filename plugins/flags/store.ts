import type { FlagData, FlagInput } from './flag-data.ts'

/** How a flag is saved. */
export interface UpsertOptions {
  /**
   * The version that the flag must still have, for editors that have shown it to somebody; 0: there must be none.
   * Otherwise SQLA_ERR_FLAG_CONFLICT.
   */
  readonly expectedVersion?: number | undefined
  /** Who changes it, for the history. Cut off after 255 characters. */
  readonly author?: string | undefined
}

/** What was done to a flag. */
export type HistoryAction = 'created' | 'changed' | 'deleted' | 'restored' | 'purged'

/** One change of a flag. */
export interface HistoryEntry {
  /** The version that the change has made. */
  readonly version: number
  readonly action: HistoryAction
  /** Who has changed it; null when nobody has said. */
  readonly author: string | null
  /** Seconds since 1970. */
  readonly at: number
  /** The flag after the change; of one that was purged, as it was before. */
  readonly data: FlagData
}

/** Which flags are asked for. */
export interface Usage {
  /** Since when that is written down: seconds since 1970; undefined: not yet. */
  readonly since: number | undefined
  /** Name → when somebody asked for it last: seconds since 1970, late by up to an hour. */
  readonly askedAt: ReadonlyMap<string, number>
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

/** Which part of a history. */
export interface HistoryOptions {
  readonly limit?: number
  readonly before?: number
}

/** Where flags are: {@link FlagStorage} in a database, {@link MemoryFlagStorage} in this process. */
export interface FlagStore {
  /** @param options `versionGreaterThan`: only what has changed since. @returns flags, tombstones included, by version */
  list(options?: { readonly versionGreaterThan?: number }): Promise<FlagData[]>
  /** @returns the flag, or its tombstone; undefined when there is none */
  get(name: string): Promise<FlagData | undefined>
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
   * What was done to a flag, the newest first. Empty where nothing is written down.
   *
   * @param options `limit`: how many, 100 by default; `before`: only what is older than this version
   */
  history?(name: string, options?: HistoryOptions): Promise<HistoryEntry[]>
  /** Writes down that flags were asked for just now. */
  noteAsked?(names: readonly string[]): Promise<void>
  /** Which flags were asked for, and when. */
  usage?(): Promise<Usage>
  /**
   * Calls back when something has changed, if the store can tell by itself.
   *
   * @returns ends it
   */
  subscribe?(onChange: () => void): () => Promise<void>
}
