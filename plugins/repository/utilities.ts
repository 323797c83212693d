import {
  type EntityKey,
  type EntityMetadata,
  type EntityName,
  type EntityProperty,
  type Primary,
  raw,
  Utils,
  wrap,
} from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'
import { fieldAt, unknownField } from './fields.ts'
import { limitOffset, type SortOrder } from './filters.ts'
import { keysCondition, keyValue } from './keys.ts'
import { type Condition, likeCondition, lowerCondition } from './like.ts'
import { compileQuery, type OrderTerm } from './query.ts'
import type { ConditionFor } from './repository.ts'

/** Names of the fields of an entity that hold text. */
export type TextField<T> = {
  [K in EntityKey<T>]: NonNullable<T[K]> extends string ? K : never
}[EntityKey<T>]

/** Which part of the rows is given. */
export interface PageOptions {
  /** How many rows are left out at the beginning. Default 0. */
  readonly offset?: number
  /** How many rows are given at most. Default: all. */
  readonly limit?: number
}

/** Options of {@link getByColumnSimilar}. */
export interface SimilarOptions extends PageOptions {
  /** Whether the column must begin with the text, or may have it anywhere. Default true. */
  readonly prefixOnly?: boolean
}

/** Options of {@link getRange}. */
export interface RangeOptions<T> extends PageOptions {
  readonly sortDirection?: SortOrder
  /** The field or fields to order by. Default: the primary key. */
  readonly orderBy?: EntityKey<T> | readonly EntityKey<T>[]
  /** Whether text is ordered as its column's collation says, or by its lower case. Default true. */
  readonly orderCaseSensitive?: boolean
  /** Conditions as a repository takes them. All of them hold. */
  readonly filters?: readonly ConditionFor<T>[]
}

/** How many keys one statement names. */
const KEYS_AT_ONCE = 1_000

async function getById<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  id: Primary<T>,
): Promise<T | null> {
  const meta = metadataOf(session, entity)
  return session.findOne(entity, keysCondition(meta, [keyValue(meta, id)]) as never)
}

async function getByIds<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  ids: readonly Primary<T>[],
): Promise<T[]> {
  const meta = metadataOf(session, entity)
  const keys = ids.map(id => keyValue(meta, id))
  const found = new Map<string, T>()
  for (let start = 0; start < keys.length; start += KEYS_AT_ONCE) {
    const where = keysCondition(meta, keys.slice(start, start + KEYS_AT_ONCE))
    for (const row of await session.find(entity, where as never)) {
      found.set(wrap(row, true).getSerializedPrimaryKey(), row)
    }
  }
  // In the order of the keys that were asked for, each row once.
  const asked = new Set(keys.map(key => Utils.getPrimaryKeyHash([key].flat().map(String))))
  return [...asked].flatMap(key => found.get(key) ?? [])
}

async function getByColumnLower<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  column: TextField<T>,
  search: string,
  options: PageOptions & { readonly allowMany: true },
): Promise<T[]>
async function getByColumnLower<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  column: TextField<T>,
  search: string,
  options?: { readonly allowMany?: false },
): Promise<T | null>
async function getByColumnLower<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  column: TextField<T>,
  search: string,
  { allowMany = false, ...page }: PageOptions & { readonly allowMany?: boolean } = {},
): Promise<T[] | T | null> {
  const meta = metadataOf(session, entity)
  const where = lowerCondition(session.getPlatform(), textColumn(meta, column), search)
  const rows = await list(session, entity, where, byKey(meta), allowMany ? page : { limit: 2 })
  if (allowMany) return rows
  if (rows.length > 1) throw new errors.SQLA_ERR_SEVERAL_FOUND(meta.className, column)
  return rows[0] ?? null
}

async function getByColumnSimilar<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  column: TextField<T>,
  seed: string,
  { prefixOnly = true, ...page }: SimilarOptions = {},
): Promise<T[]> {
  const meta = metadataOf(session, entity)
  const mode = prefixOnly ? 'prefix' : 'contains'
  const where = likeCondition(session.getPlatform(), textColumn(meta, column), seed, {
    mode,
    ignoreCase: true,
  })
  return list(session, entity, where, [{ [column]: 'asc' }, ...byKey(meta)], page)
}

async function getByColumnExactThenIlike<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  column: TextField<T>,
  seed: string,
): Promise<T | null> {
  const meta = metadataOf(session, entity)
  const property = textColumn(meta, column)
  for (const ignoreCase of [false, true]) {
    const where = likeCondition(session.getPlatform(), property, seed, { mode: 'exact', ignoreCase })
    const [row] = await list(session, entity, where, byKey(meta), { limit: 1 })
    if (row !== undefined) return row
  }
  return null
}

async function getRange<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  options: RangeOptions<T> = {},
): Promise<T[]> {
  const meta = metadataOf(session, entity)
  const { sortDirection = 'asc', orderBy = meta.primaryKeys as EntityKey<T>[], filters = [] } = options
  if (sortDirection !== 'asc' && sortDirection !== 'desc') {
    throw new errors.SQLA_ERR_INVALID_FILTER('sortDirection', "must be 'asc' or 'desc'")
  }
  const platform = session.getPlatform()
  const terms = (typeof orderBy === 'string' ? [orderBy] : orderBy).map(name => {
    const { property } = fieldAt(meta, name, 'to order by')
    if (options.orderCaseSensitive !== false || property.runtimeType !== 'string')
      return { [name]: sortDirection }
    const quote = (identifier: string) => platform.quoteIdentifier(identifier).toString()
    const [field] = property.fieldNames as [string]
    return { [raw(alias => `lower(${quote(alias)}.${quote(field)})`)]: sortDirection }
  })
  const { where } = compileQuery({ meta, platform }, filters)
  return list(session, entity, where, [...terms, ...byKey(meta, sortDirection)], options)
}

/**
 * Queries for scripts, debugging and prototypes, after the `UtilityObject` of pyramid_sqlassist. They take any
 * session or EntityManager and the entity; column names are checked by the compiler, and again at run time. Seeds are
 * bound values and stand for themselves: `%` and `_` are no wildcards.
 *
 * - `getById(session, Entity, id)`: the row, or null.
 * - `getByIds(session, Entity, ids)`: the rows that there are, in the order of the keys, each once.
 * - `getByColumnLower(session, Entity, column, search, { allowMany, offset, limit })`: the row with this text in
 *   letters of any case, or null; `SQLA_ERR_SEVERAL_FOUND` when there are several, unless `allowMany`, which gives a
 *   list. On PostgreSQL an index on `lower(column)` serves it.
 * - `getByColumnSimilar(session, Entity, column, seed, { prefixOnly, offset, limit })`: the rows whose column begins
 *   with the seed (or, with `prefixOnly: false`, contains it) in letters of any case, in the order of the column.
 * - `getByColumnExactThenIlike(session, Entity, column, seed)`: the row with exactly this text, else one with it in
 *   letters of any case, else null. Of several, the one with the smallest key.
 * - `getRange(session, Entity, { offset, limit, sortDirection, orderBy, orderCaseSensitive, filters })`: a part of
 *   the rows. Rows that the order leaves equal come by their key, so that parts do not overlap.
 *
 * Every one throws SQLA_ERR_UNKNOWN_FIELD (400) for a name that is no field, and SQLA_ERR_INVALID_FILTER (400) for a
 * column that holds no text, a text of more than 4,096 characters or with U+0000, a key with a part missing, and an
 * offset or limit that is no whole number.
 *
 * @example
 * ```ts
 * const ann = await utilities.getByColumnExactThenIlike(request.db.reader, User, 'name', 'ann')
 * const page = await utilities.getRange(request.db.reader, User, { orderBy: 'name', limit: 20 })
 * ```
 */
export const utilities = {
  getById,
  getByIds,
  getByColumnLower,
  getByColumnSimilar,
  getByColumnExactThenIlike,
  getRange,
} as const

function metadataOf<T extends object>(session: SqlEm, entity: EntityName<T>): EntityMetadata {
  return session.getMetadata().get(entity) as EntityMetadata
}

function textColumn(meta: EntityMetadata, name: string): EntityProperty {
  const { through, property } = fieldAt(meta, name, 'to search in')
  // The path of a relation is a name that does not compile here.
  if (through.length > 0) throw unknownField(meta, name, 'to search in')
  return property
}

function byKey(meta: EntityMetadata, direction: SortOrder = 'asc'): OrderTerm[] {
  return meta.primaryKeys.map(name => ({ [name]: direction }))
}

async function list<T extends object>(
  session: SqlEm,
  entity: EntityName<T>,
  where: Condition,
  orderBy: readonly object[],
  { offset = 0, limit }: PageOptions,
): Promise<T[]> {
  limitOffset(limit ?? 0, offset)
  // MariaDB and SQLite know no OFFSET without a LIMIT.
  const page = limit === undefined && offset === 0 ? {} : { limit: limit ?? Number.MAX_SAFE_INTEGER, offset }
  return session.find(entity, where as never, { orderBy: orderBy as never, ...page })
}
