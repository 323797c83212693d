import {
  type EntityMetadata,
  helper,
  LockMode,
  type Primary,
  UniqueConstraintViolationException,
  Utils,
} from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'
import { entityHarvest, keyHarvest } from './bulk-harvest.ts'
import { insertAtOnce } from './bulk-insert.ts'
import { type Call, findRows, populated } from './call.ts'
import { chunksOf, keysAtOnce, ROWS_AT_ONCE } from './chunks.ts'
import { assertFields, keyHash, keysCondition, keyValue, matchOf, notFound } from './keys.ts'

// What `Repository` does to save rows; its methods say what each is for.

export async function getRow<T extends object>(call: Call<T>, key: Primary<T>): Promise<T> {
  const { meta } = call
  const [found] = await findRows(call, { where: keysCondition(meta, [keyValue(meta, key)]) })
  if (found === undefined) throw notFound(meta)
  return found
}

export async function addRows<T extends object>(call: Call<T>, data: readonly object[]): Promise<T[]> {
  const { em, meta } = call
  await em.flush()
  const atOnce = await insertAtOnce(em, meta, data, ROWS_AT_ONCE, entityHarvest<T>)
  return atOnce ?? saveNew(em, data, one => makeRow(call, one))
}

export async function addRowsForKeys<T extends object>(
  call: Call<T>,
  data: readonly object[],
): Promise<Primary<T>[]> {
  const { em, meta } = call
  await em.flush()
  const atOnce = await insertAtOnce(em, meta, data, ROWS_AT_ONCE, keyHarvest<Primary<T>>)
  if (atOnce !== undefined) return atOnce
  const entities = await saveNew(em, data, one => makeRow(call, one))
  return entities.map(entity => keyValue(meta, entity as Primary<T>) as Primary<T>)
}

export async function addRow<T extends object>(call: Call<T>, data: object): Promise<T> {
  const [entity] = await saveNew(call.em, [data], one => makeRow(call, one))
  return entity as T
}

export function makeRow<T extends object>({ em, entity, meta }: Call<T>, data: object): T {
  if (Utils.isEntity(data)) return data as T
  assertFields(meta, data)
  return em.create(entity, data as never, { persist: false }) as T
}

/** In one flush, because each looks at every entity of the session. */
async function saveNew<T extends object>(
  em: SqlEm,
  data: readonly object[],
  make: (data: object) => T,
): Promise<T[]> {
  const entities = data.map(make)
  const fresh = entities.filter(entity => !helper(entity).__managed)
  try {
    em.persist(entities)
    await em.flush()
  } catch (error) {
    forget(em, fresh)
    throw error
  }
  return entities
}

/** Rows that are not there must not be found in the identity map, nor be saved by the next flush. */
export function forget(em: SqlEm, entities: Iterable<object>): void {
  for (const entity of entities) em.getUnitOfWork().unsetIdentity(entity)
}

export interface MatchOptions {
  readonly matchFields?: readonly string[] | undefined
}

export async function getOrUpsertRow<T extends object>(
  call: Call<T>,
  data: object,
  { matchFields, update = true }: MatchOptions & { readonly update?: boolean | undefined },
): Promise<[entity: T, created: boolean]> {
  const { em, meta } = call
  assertFields(meta, data)
  const where = matchOf(meta, data, matchFields)
  const find = async (lock?: LockMode): Promise<T | undefined> => {
    const [found] = await findRows(call, { where, limit: 1 }, lock ?? call.lock)
    if (found !== undefined && update) {
      em.assign(found, data as never)
      await em.flush()
    }
    return found
  }
  const there = await find()
  if (there !== undefined) return [there, false]
  try {
    // Nested: when somebody else was faster, only the insert is undone.
    const made = await em.transactional(inner => addRow({ ...call, em: inner as SqlEm }, data))
    await populated(call, [made])
    return [made, true]
  } catch (error) {
    if (!(error instanceof UniqueConstraintViolationException)) throw error
    // A lock reads the newest row, whatever snapshot the transaction has.
    const theirs = await find(em.isInTransaction() ? LockMode.PESSIMISTIC_WRITE : undefined)
    if (theirs === undefined) throw error
    return [theirs, false]
  }
}

export async function getAndUpdateRow<T extends object>(
  call: Call<T>,
  data: object,
  { matchFields }: MatchOptions,
): Promise<[entity: T, updated: boolean]> {
  const { em, meta } = call
  assertFields(meta, data)
  const where = matchOf(meta, data, matchFields)
  const [entity] = await findRows(call, { where, limit: 1 })
  if (entity === undefined) {
    throw notFound(meta, Object.keys(where))
  }
  em.assign(entity, data as never)
  const unitOfWork = em.getUnitOfWork()
  unitOfWork.computeChangeSets()
  const updated = unitOfWork.getChangeSets().some(changes => changes.entity === entity)
  await em.flush()
  return [entity, updated]
}

export async function updateRow<T extends object>(call: Call<T>, key: Primary<T>, data: object): Promise<T> {
  assertFields(call.meta, data)
  const entity = await getRow(call, key)
  call.em.assign(entity, data as never)
  await call.em.flush()
  return entity
}

export async function updateRows<T extends object>(call: Call<T>, data: readonly object[]): Promise<T[]> {
  const { em, meta } = call
  const keys = data.map(one => {
    assertFields(meta, one)
    return keyValue(meta, keyOf(meta, one) as Primary<T>)
  })
  const found = new Map<string, T>()
  for (const chunk of chunksOf(keys, keysAtOnce(meta))) {
    for (const row of await findRows(call, { where: keysCondition(meta, chunk) })) {
      found.set(keyHash(keyValue(meta, row as Primary<T>)), row)
    }
  }
  const updated = keys.map(key => {
    const row = found.get(keyHash(key))
    if (row === undefined) throw notFound(meta)
    return row
  })
  for (const [index, row] of updated.entries())
    em.assign(row, withoutKey(meta, data[index] as object) as never)
  await em.flush()
  return updated
}

/** The row has been found by it, in whatever spelling. */
function withoutKey(meta: EntityMetadata, data: object): object {
  return Object.fromEntries(
    Object.entries(data).filter(([name]) => !meta.primaryKeys.includes(name as never)),
  )
}

/** The key among the data of a row. */
function keyOf(meta: EntityMetadata, data: object): unknown {
  if (Utils.isEntity(data)) return data
  return Object.fromEntries(
    meta.primaryKeys.map(name => [name, (data as Record<string, unknown>)[name as string]]),
  )
}
