import { type EntityMetadata, type EntityProperty, ReferenceKind, raw, Utils } from '@mikro-orm/core'
import { BasePostgreSqlPlatform, SqlitePlatform } from '@mikro-orm/sql'
import type { SqlEm } from '../../src/index.ts'
import { toClientError } from './constraint-errors.ts'
import { type Cursor, type CursorValue, decodeCursor, encodeCursor, type OrderField } from './cursor.ts'
import { errors } from './errors.ts'
import { fieldAt } from './fields.ts'
import {
  type ArrangementNode,
  type Condition,
  comparison,
  filterGroup,
  isNull,
  limitOffset,
  notNull,
  orderBy,
} from './filters.ts'
import { keysCondition } from './keys.ts'
import type { CursorPage } from './pages.ts'
import { compileQuery } from './query.ts'

/** What {@link keysetPage} is asked for, without the conditions. */
export interface KeysetRequest {
  readonly limit: number
  readonly cursor?: string | null | undefined
  readonly orderBy?: readonly ArrangementNode[] | undefined
}

/** Lists rows by filters. */
type List<T> = (filters: readonly (Condition | ArrangementNode | object)[]) => Promise<T[]>

/**
 * One page of a list that goes on from a row (keyset or seek pagination, Markus Winand, "Use The Index, Luke"): rows
 * that are inserted or deleted meanwhile move nothing, and the hundredth page costs what the first does. The primary
 * key completes the order, so that no two rows are equal in it.
 *
 * @throws SQLA_ERR_INVALID_CURSOR (400), SQLA_ERR_INVALID_FILTER (400), SQLA_ERR_UNKNOWN_FIELD (400)
 */
export async function keysetPage<T extends object>(
  em: SqlEm,
  meta: EntityMetadata,
  { limit, cursor: text, orderBy: given = [] }: KeysetRequest,
  list: List<T>,
  conditions: readonly object[],
): Promise<CursorPage<T>> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new errors.SQLA_ERR_INVALID_FILTER('limit', 'must be a whole number, 1 or more')
  }
  const order = completeOrder(meta, given)
  const cursor = text == null || text === '' ? undefined : decodeCursor(order, text)
  const isBackward = cursor?.side === 'before'
  const walked = isBackward ? order.map(reversed) : order
  const rows = await list([
    ...conditions,
    ...(cursor === undefined ? [] : [placeOf(em, meta, walked, cursor)]),
    ...walked.map(({ field, direction }) => orderBy(field, direction)),
    // One more, to know whether there is a page behind this one.
    limitOffset(limit + 1),
  ]).catch(error => {
    // What no column could hold came from the client.
    const told = cursor === undefined ? error : toClientError(error, em)
    throw told instanceof errors.SQLA_ERR_INVALID_VALUE
      ? new errors.SQLA_ERR_INVALID_CURSOR('it is no cursor', { cause: error })
      : error
  })
  const isMore = rows.length > limit
  const items = rows.slice(0, limit)
  if (isBackward) items.reverse()
  const cursorAt = async (row: T | undefined, side: Cursor['side']): Promise<string | null> =>
    row === undefined ? null : encodeCursor(order, { side, values: await valuesOf(em, meta, order, row) })
  const [first, last] = [items[0], items.at(-1)]
  return {
    items,
    limit,
    next: isBackward || isMore ? await cursorAt(last, 'after') : null,
    previous: (isBackward ? isMore : cursor !== undefined) ? await cursorAt(first, 'before') : null,
  }
}

/** @throws SQLA_ERR_INVALID_CURSOR (400) it has a value that its field cannot have */
function placeOf(em: SqlEm, meta: EntityMetadata, order: readonly OrderField[], cursor: Cursor): Condition {
  const place = beyond(em, meta, order, cursor)
  try {
    compileQuery({ meta, platform: em.getPlatform() }, [place])
  } catch (cause) {
    throw new errors.SQLA_ERR_INVALID_CURSOR('it is no cursor', { cause })
  }
  return place
}

function completeOrder(meta: EntityMetadata, given: readonly ArrangementNode[]): OrderField[] {
  const order = given.flatMap(node => (node.kind === 'order' ? [node] : []))
  for (const { field } of order) {
    const { through, property } = fieldAt(meta, field, 'to order by')
    if (through.length > 0 || property.kind !== ReferenceKind.SCALAR) {
      throw new errors.SQLA_ERR_INVALID_FILTER(
        `field '${field}'`,
        'is not in a column of the row itself, so a cursor cannot hold it',
      )
    }
  }
  const keys = meta.primaryKeys.filter(key => !order.some(({ field }) => field === key))
  return [...order, ...keys.map(field => ({ field: field as string, direction: 'asc' as const }))]
}

function reversed({ field, direction }: OrderField): OrderField {
  return { field, direction: direction === 'asc' ? 'desc' : 'asc' }
}

/**
 * The rows behind a place: `a > x or (a = x and (b > y or …))`, with `a >= x` before it where that holds, so that an
 * index on the first field finds where to begin.
 */
function beyond(em: SqlEm, meta: EntityMetadata, order: readonly OrderField[], cursor: Cursor): Condition {
  const isNullGreatest = em.getPlatform() instanceof BasePostgreSqlPlatform
  const [rest] = order.reduceRight<Condition<never>[]>((behind, { field, direction }, index) => {
    const value = cursor.values[index] as CursorValue
    const property = fieldAt(meta, field).property
    const further: Condition<never>[] = []
    const areNullsLast = isNullGreatest === (direction === 'asc')
    if (value === null) {
      if (!areNullsLast) further.push(notNull(field) as Condition<never>)
    } else {
      const there = compared(em, property, value)
      further.push(comparison(field, direction === 'asc' ? 'gt' : 'lt', there) as Condition<never>)
      if (areNullsLast && property.nullable) further.push(isNull(field) as Condition<never>)
    }
    const same = value === null ? isNull(field) : comparison(field, 'eq', compared(em, property, value))
    const ties = behind.map(inner => filterGroup('and', [same as Condition<never>, inner]))
    return [filterGroup('or', [...further, ...ties])]
  }, [])
  const first = order[0] as OrderField
  const value = cursor.values[0] as CursorValue
  const { property } = fieldAt(meta, first.field)
  if (value === null || order.length === 1 || property.nullable) return rest as Condition
  const range = comparison(
    first.field,
    first.direction === 'asc' ? 'ge' : 'le',
    compared(em, property, value),
  )
  return filterGroup('and', [range as Condition<never>, rest as Condition<never>])
}

/** The values of a row that say where it is in the order. */
async function valuesOf(
  em: SqlEm,
  meta: EntityMetadata,
  order: readonly OrderField[],
  row: object,
): Promise<CursorValue[]> {
  const rounded = order.filter(({ field }) => isRounded(em, fieldAt(meta, field).property))
  const exact = rounded.length === 0 ? {} : await exactValues(em, meta, rounded, row)
  return order.map(({ field }) => {
    if (field in exact) return exact[field] as CursorValue
    const value = (row as Record<string, unknown>)[field]
    return value === undefined ? null : plain(em, fieldAt(meta, field).property, value)
  })
}

/** Whether JavaScript holds less of a value than the database does: a cursor would skip rows or show them twice. */
function isRounded(em: SqlEm, property: EntityProperty): boolean {
  const type = property.columnTypes[0]?.toLowerCase() ?? ''
  const isSqlite = em.getPlatform() instanceof SqlitePlatform
  // better-sqlite3 reads whole numbers as JavaScript's.
  if (/^(bigint|int8)/.test(type)) return property.runtimeType === 'number' || isSqlite
  // SQLite has no decimals and keeps instants as milliseconds: JavaScript holds what is there.
  if (isSqlite) return false
  if (/^(numeric|decimal)/.test(type)) return property.runtimeType === 'number'
  if (!/^(timestamp|datetime)/.test(type)) return false
  return Number(/\((\d)\)/.exec(type)?.[1] ?? (type.startsWith('timestamp') ? 6 : 0)) > 3
}

/** The values as the database writes them. */
async function exactValues(
  em: SqlEm,
  meta: EntityMetadata,
  order: readonly OrderField[],
  row: object,
): Promise<Record<string, string | null>> {
  const platform = em.getPlatform()
  const type = platform instanceof BasePostgreSqlPlatform ? 'text' : 'char'
  const quote = (name: string) => platform.quoteIdentifier(name).toString()
  const key = Utils.getPrimaryKeyValues(row, meta, true)
  const columns = order.map(({ field }) => {
    const column = quote(fieldAt(meta, field).property.fieldNames[0] as string)
    return raw(`cast(${column} as ${type}) as ${quote(field)}`)
  })
  const builder = em
    .createQueryBuilder(meta.class, 'e0')
    .select(columns as never[])
    .where(keysCondition(meta, [key]) as never)
  const [values] = await builder.execute('all', false)
  return (values ?? {}) as Record<string, string | null>
}

/** The value of a cursor as a filter compares it. */
function compared(em: SqlEm, property: EntityProperty, value: CursorValue): unknown {
  if (isRounded(em, property)) return value
  if (property.customType) return property.customType.convertToJSValue(value as never, em.getPlatform())
  if (property.runtimeType !== 'Date') return value
  const date = new Date(value as string)
  if (Number.isNaN(date.getTime())) throw new errors.SQLA_ERR_INVALID_CURSOR('it is no cursor')
  return date
}

function plain(em: SqlEm, property: EntityProperty, value: unknown): CursorValue {
  const stored = property.customType
    ? property.customType.convertToDatabaseValue(value as never, em.getPlatform())
    : value
  if (stored instanceof Date) return stored.toISOString()
  return typeof stored === 'bigint' ? String(stored) : (stored as CursorValue)
}
