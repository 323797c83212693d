import { type EntityMetadata, helper, type Primary } from '@mikro-orm/core'
import { BaseMySqlPlatform } from '@mikro-orm/sql'
import type { SqlEm } from '../../src/index.ts'
import { allOrNothing, type Call } from './call.ts'
import { chunksOf, keysAtOnce } from './chunks.ts'
import { errors } from './errors.ts'
import { valuesOnUpdate } from './fragments.ts'
import { assertFields, keyHash, keysCondition, keyValue, matchNames, matchOf } from './keys.ts'
import type { MatchOptions } from './saving.ts'

/** Rows of one statement. MikroORM compares every row with every other where the database cannot return them. */
const ROWS_AT_ONCE = { returned: 1_000, reloaded: 200 }

export async function upsertRows<T extends object>(
  { em, entity, meta }: Call<T>,
  data: readonly object[],
  { matchFields }: MatchOptions,
): Promise<T[]> {
  const names = matchNames(meta, matchFields)
  assertDistinct(meta, data, matchFields)
  await em.flush()
  const areReloaded = em.getPlatform() instanceof BaseMySqlPlatform
  const size = areReloaded ? ROWS_AT_ONCE.reloaded : ROWS_AT_ONCE.returned
  const upsert = async (inner: SqlEm): Promise<T[]> => {
    const known = areReloaded ? knownRows<T>(inner, meta) : undefined
    const saved: T[] = []
    // MikroORM sets these in a flush only.
    const onUpdate = valuesOnUpdate(inner, entity)
    for (const chunk of chunksOf(data, size)) {
      const rows = chunk.map(one => ({ ...onUpdate, ...one }))
      const options = { onConflictFields: names as never, batchSize: size }
      for (const one of await inner.upsertMany(entity, rows as never, options)) saved.push(one)
    }
    return known === undefined ? saved : reunite<T>(inner, meta, known, saved)
  }
  return data.length > size ? allOrNothing(em, upsert) : upsert(em)
}

/** PostgreSQL refuses to change a row twice in a statement; which of two should win, nobody could say. */
function assertDistinct(
  meta: EntityMetadata,
  data: readonly object[],
  names: readonly string[] | undefined,
): void {
  const seen = new Set<string>()
  for (const one of data) {
    assertFields(meta, one)
    const match = matchOf(meta, one, names)
    const hash = keyHash(Object.values(match))
    if (seen.has(hash)) {
      throw new errors.SQLA_ERR_INVALID_FILTER(
        Object.keys(match).join(' and '),
        'is the same in two rows of an upsert',
      )
    }
    seen.add(hash)
  }
}

/** The rows that the session has, by key. */
function knownRows<T extends object>(em: SqlEm, meta: EntityMetadata): Map<string, T> {
  const rows = em.getUnitOfWork().getIdentityMap().getStore(meta.root).values()
  return new Map([...rows].map(row => [helper(row).getSerializedPrimaryKey(), row as T]))
}

/**
 * Where the database does not return what it has updated, MikroORM learns a row's key only after it has made an entity
 * for it, a second one of a row that the session has already. The first one stays.
 */
async function reunite<T extends object>(
  em: SqlEm,
  meta: EntityMetadata,
  known: ReadonlyMap<string, T>,
  saved: readonly T[],
): Promise<T[]> {
  const stale: T[] = []
  const rows = saved.map(row => {
    const first = known.get(helper(row).getSerializedPrimaryKey())
    if (first === undefined || first === row) return row
    em.getUnitOfWork().unsetIdentity(row)
    em.getUnitOfWork().register(first)
    stale.push(first)
    return first
  })
  for (const chunk of chunksOf(stale, keysAtOnce(meta))) {
    const keys = chunk.map(row => keyValue(meta, row as Primary<T>))
    await em.find(meta.class, keysCondition(meta, keys) as never, { refresh: true })
  }
  return rows
}
