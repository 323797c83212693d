import type { FlagClient } from './client.ts'
import { errors } from './errors.ts'
import type { FlagData, FlagInput } from './flag-data.ts'

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
  const sought = search.toLowerCase()
  const found = flags.filter(
    ({ name, deleted, description, owner }) =>
      deleted === isDeleted && [name, description, owner].some(text => text?.toLowerCase().includes(sought)),
  )
  return { version, flags: found.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

/** @throws SQLA_ERR_FLAG_NOT_FOUND (404) */
export async function findFlag(client: FlagClient, name: string): Promise<FlagData> {
  const flags = await stored(() => client.storage.list())
  const found = flags.find(flag => flag.name === name)
  if (found === undefined) throw new errors.SQLA_ERR_FLAG_NOT_FOUND(name)
  return found
}

/** @throws SQLA_ERR_FLAG_EXISTS (409), SQLA_ERR_FLAG_INVALID (400) */
export async function createFlag(client: FlagClient, input: FlagInput): Promise<FlagData> {
  try {
    return await written(client, () => client.storage.upsert(input, { expectedVersion: 0 }))
  } catch (error) {
    if (!(error instanceof errors.SQLA_ERR_FLAG_CONFLICT)) throw error
    throw new errors.SQLA_ERR_FLAG_EXISTS(input.name, { cause: error })
  }
}

/**
 * @param options `expected`: the version that the flag must still have; `isOfTombstone`: tombstones are meant, too
 * @throws SQLA_ERR_FLAG_NOT_FOUND (404), SQLA_ERR_FLAG_CONFLICT (409), SQLA_ERR_FLAG_INVALID (400)
 */
export async function changeFlag(
  client: FlagClient,
  name: string,
  change: Omit<FlagInput, 'name'>,
  { expected, isOfTombstone = false }: { expected?: number | undefined; isOfTombstone?: boolean } = {},
): Promise<FlagData> {
  return onWhatIsThere(client, name, expected, isOfTombstone, before =>
    client.storage.upsert({ ...change, name }, { expectedVersion: before.version }),
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
  expected?: number | undefined,
): Promise<void> {
  await onWhatIsThere<unknown>(client, name, expected, isHard, before =>
    client.storage[isHard ? 'purge' : 'delete'](name, { expectedVersion: before.version }),
  )
}

/**
 * Writes only on top of what it has read, so that a flag that somebody deletes meanwhile does not come back. Who has not
 * said which version they mean mean the newest.
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
