import type { FlagClient } from './client.ts'
import { errors } from './errors.ts'
import type { FlagData, FlagInput } from './flag-data.ts'
import { changeBackTo } from './history.ts'
import type { HistoryEntry, HistoryOptions } from './store.ts'

// What editors do with flags. Each ends when this process knows of it.

/** Reads that were overtaken by a write are tried again that often. */
const TRIES = 5

/** @returns the flags by name, of those with a part of their name, description or owner, and the newest version */
export async function searchFlags(
  client: FlagClient,
  search: string,
  isDeleted: boolean,
): Promise<{ version: number; flags: FlagData[] }> {
  const { version, flags } = await stored(() => client.storage.changesSince(0))
  const found = flags.filter(flag => flag.deleted === isDeleted && isFound(flag, search))
  return { version, flags: found.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

/** Whether the name, description or owner of a flag has a text in it. */
export function isFound({ name, description, owner }: FlagData, search: string): boolean {
  const sought = search.toLowerCase()
  return [name, description, owner].some(text => text?.toLowerCase().includes(sought))
}

/** @throws SQLA_ERR_FLAG_NOT_FOUND (404) */
export async function findFlag(client: FlagClient, name: string): Promise<FlagData> {
  const found = await stored(() => client.storage.get(name))
  if (found === undefined) throw new errors.SQLA_ERR_FLAG_NOT_FOUND(name)
  return found
}

/** @throws SQLA_ERR_FLAG_EXISTS (409), SQLA_ERR_FLAG_INVALID (400) */
export async function createFlag(
  client: FlagClient,
  input: FlagInput,
  author?: string | undefined,
): Promise<FlagData> {
  try {
    return await written(client, () => client.storage.upsert(input, { expectedVersion: 0, author }))
  } catch (error) {
    if (!(error instanceof errors.SQLA_ERR_FLAG_CONFLICT)) throw error
    throw new errors.SQLA_ERR_FLAG_EXISTS(input.name, { cause: error })
  }
}

/** How somebody changes a flag. */
export interface EditOptions {
  /** The version that the flag must still have. */
  readonly expected?: number | undefined
  /** Who it is. */
  readonly author?: string | undefined
}

/**
 * @param options `isOfTombstone`: tombstones are meant, too
 * @throws SQLA_ERR_FLAG_NOT_FOUND (404), SQLA_ERR_FLAG_CONFLICT (409), SQLA_ERR_FLAG_INVALID (400)
 */
export async function changeFlag(
  client: FlagClient,
  name: string,
  change: Omit<FlagInput, 'name'>,
  { expected, author, isOfTombstone = false }: EditOptions & { readonly isOfTombstone?: boolean } = {},
): Promise<FlagData> {
  return onWhatIsThere(client, name, expected, isOfTombstone, before =>
    client.storage.upsert({ ...change, name }, { expectedVersion: before.version, author }),
  )
}

/**
 * @param isHard without a tombstone, and the tombstone if that is what is there
 * @throws SQLA_ERR_FLAG_NOT_FOUND (404), SQLA_ERR_FLAG_CONFLICT (409)
 */
export async function removeFlag(
  client: FlagClient,
  name: string,
  isHard: boolean,
  { expected, author }: EditOptions = {},
): Promise<void> {
  await onWhatIsThere<unknown>(client, name, expected, isHard, before =>
    client.storage[isHard ? 'purge' : 'delete'](name, { expectedVersion: before.version, author }),
  )
}

/** What was done to a flag, the newest first; also of one that is gone. */
export async function flagHistory(
  client: FlagClient,
  name: string,
  options?: HistoryOptions,
): Promise<HistoryEntry[]> {
  return stored(async () => (await client.storage.history?.(name, options)) ?? [])
}

/**
 * Makes a flag what it was, a tombstone, too; one that is deleted comes back. That is a change like others.
 *
 * @param version the one to go back to
 * @throws SQLA_ERR_FLAG_NOT_FOUND (404), SQLA_ERR_FLAG_VERSION (404), SQLA_ERR_FLAG_CONFLICT (409)
 */
export async function rollBackFlag(
  client: FlagClient,
  name: string,
  version: number,
  { expected, author }: EditOptions = {},
): Promise<FlagData> {
  return onWhatIsThere(client, name, expected, true, async before => {
    const [entry] = await flagHistory(client, name, { before: version + 1, limit: 1 })
    if (entry?.version !== version) throw new errors.SQLA_ERR_FLAG_VERSION(name, version)
    const change = { ...changeBackTo(entry.data, before), name, deleted: false }
    return client.storage.upsert(change, { expectedVersion: before.version, author })
  })
}

/** A flag that nobody seems to need. */
export interface UnusedFlag {
  readonly flag: FlagData
  /** When somebody asked for it last: seconds since 1970; undefined: never since that is written down. */
  readonly askedAt: number | undefined
}

/**
 * The active flags that nobody has asked for, and nobody has changed, for some days, and that no other flag requires.
 *
 * @returns `since`: when that began to be written down, in seconds since 1970; nothing is said of the days before
 */
export async function unusedFlags(
  client: FlagClient,
  days = 30,
): Promise<{ readonly since: number | undefined; readonly flags: readonly UnusedFlag[] }> {
  return stored(async () => {
    const flags = (await client.storage.list()).filter(({ deleted }) => !deleted)
    const { since, askedAt } = (await client.storage.usage?.()) ?? { since: undefined, askedAt: new Map() }
    const limit = Date.now() / 1000 - days * 86_400
    const required = new Set(flags.flatMap(({ requires }) => requires ?? []))
    const isOld = ({ name, updated_at: changed }: FlagData) =>
      !required.has(name) &&
      changed < limit &&
      (askedAt.get(name) ?? since ?? Number.POSITIVE_INFINITY) < limit
    return { since, flags: flags.filter(isOld).map(flag => ({ flag, askedAt: askedAt.get(flag.name) })) }
  })
}

/**
 * Writes only on top of what it has read, so that a flag that somebody deletes meanwhile does not come back. Who has not
 * said which version they mean, mean the newest.
 */
async function onWhatIsThere<R>(
  client: FlagClient,
  name: string,
  expected: number | undefined,
  isOfTombstone: boolean,
  write: (before: FlagData) => Promise<R>,
): Promise<R> {
  for (let tries = 1; ; tries++) {
    const before = await findFlag(client, name)
    if (before.deleted && !isOfTombstone) throw new errors.SQLA_ERR_FLAG_NOT_FOUND(name)
    if (expected !== undefined && expected !== before.version) {
      throw new errors.SQLA_ERR_FLAG_CONFLICT(name, before.version, expected)
    }
    try {
      return await written(client, () => write(before))
    } catch (error) {
      const isOvertaken = error instanceof errors.SQLA_ERR_FLAG_CONFLICT
      if (!isOvertaken || expected !== undefined || tries === TRIES) throw error
    }
  }
}

/** After the write the flags are saved, so that a failure to read them again must not look like one to save them. */
async function written<R>(client: FlagClient, write: () => Promise<R>): Promise<R> {
  const result = await stored(write)
  await client.sync().catch(() => {})
  return result
}

/** What a driver says has SQL in it, which is nothing for clients. */
async function stored<R>(work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    if (String((error as { code?: unknown } | null)?.code).startsWith('SQLA_ERR_')) throw error
    throw new errors.SQLA_ERR_FLAG_UNAVAILABLE('their storage failed', { cause: error })
  }
}
