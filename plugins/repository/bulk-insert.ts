import { setImmediate as turn } from 'node:timers/promises'
import {
  type EntityMetadata,
  type EntityProperty,
  EventType,
  helper,
  isRaw,
  Reference,
  ReferenceKind,
  Utils,
} from '@mikro-orm/core'
import { BasePostgreSqlPlatform } from '@mikro-orm/sql'
import { CompiledQuery } from 'kysely'
import type { SqlEm } from '../../src/index.ts'
import type { Harvest, Row } from './bulk-harvest.ts'
import { ODD, type ToJson, toJsonOf } from './bulk-values.ts'
import { allOrNothing } from './call.ts'
import { chunksOf } from './chunks.ts'
import { FLUSH_EVENTS, isListenedTo } from './listeners.ts'

/**
 * Inserts many rows of plain data with few statements; MikroORM's unit of work takes twice as long and more, most of
 * it for quoting values into SQL. PostgreSQL only: the rows of a statement travel as one JSON parameter that
 * `json_populate_recordset` turns into rows of the table's own type, so that there is no limit to the number of
 * parameters, and each column's own input function reads its values.
 *
 * The order of the generated keys is that of the data: `INSERT … SELECT … ORDER BY` evaluates defaults in that order
 * (SQLAlchemy's `insertmanyvalues` relies on the same).
 *
 * @param rowsAtOnce how many rows a statement inserts
 * @param harvestOf what becomes of the rows: {@link entityHarvest} or {@link keyHarvest}
 * @returns undefined when the entity or the data need the unit of work: hooks, a constructor, embedded objects, new
 *   entities within the data, a value in SQL, a missing value
 */
export async function insertAtOnce<R>(
  em: SqlEm,
  meta: EntityMetadata,
  data: readonly object[],
  rowsAtOnce: number,
  harvestOf: (em: SqlEm, meta: EntityMetadata) => Harvest<R>,
): Promise<R[] | undefined> {
  const columns = columnsOf(em, meta)
  if (columns === undefined) return undefined
  const rows: Row[] = []
  for (const one of data) {
    const row = rowOf(em, columns, one as Row)
    if (row === undefined) return undefined
    rows.push(row)
  }
  const batches = batchesOf(columns, rows, rowsAtOnce)
  if (batches === undefined) return undefined

  const insert = (inner: SqlEm) => insertBatches(inner, meta, batches, harvestOf(inner, meta))
  return batches.length > 1 ? allOrNothing(em, insert) : insert(em)
}

async function insertBatches<R>(
  em: SqlEm,
  meta: EntityMetadata,
  batches: readonly Batch[],
  harvest: Harvest<R>,
): Promise<R[]> {
  let finish = (): void => {}
  try {
    for (const batch of batches) {
      const inserting = insertBatch(em, meta, batch)
      // Not an unhandled rejection, should it fail while we are not looking.
      inserting.catch(() => {})
      // The statement is on its way once the event loop has turned.
      await turn()
      // What the batch before it leaves to do, and what does not need the server's answer, is done while it works.
      finish()
      for (const row of batch.rows) harvest.prepare(row)
      const generated = await inserting
      finish = () => {
        for (const [at, row] of batch.rows.entries()) harvest.finish(row, generated[at])
      }
    }
    finish()
    return harvest.result
  } catch (error) {
    harvest.undo()
    throw error
  }
}

/** Rows that one statement inserts. */
interface Batch {
  readonly given: readonly Column[]
  /** The columns that the database fills in. */
  readonly returning: readonly Column[]
  readonly rows: readonly Row[]
}

async function insertBatch(
  em: SqlEm,
  meta: EntityMetadata,
  { given, returning, rows }: Batch,
): Promise<Row[]> {
  const sql = statement(em, meta, given, returning)
  const start = performance.now()
  const log = (more: object) =>
    em.config.getLogger().logQuery({ query: sql, took: Math.round(performance.now() - start), ...more })
  try {
    const { rows: generated } = await em
      .getKysely()
      .executeQuery(CompiledQuery.raw(sql, [jsonOf(given, rows)]))
    log({ affected: rows.length })
    return generated as Row[]
  } catch (error) {
    log({ level: 'error' })
    throw em.getDriver().convertException(error as Error)
  }
}

interface Column {
  readonly property: EntityProperty
  readonly field: string
  readonly toJson: ToJson
  /** Whether the database has a value for it when it is left out. */
  readonly generated: boolean
}

/** What only the unit of work calls. */
const HOOKS = [
  EventType.onInit,
  EventType.onLoad,
  EventType.beforeCreate,
  EventType.afterCreate,
  ...FLUSH_EVENTS,
]

const columnsByMeta = new WeakMap<EntityMetadata, Column[] | 'unit of work'>()

function columnsOf(em: SqlEm, meta: EntityMetadata): Column[] | undefined {
  if (isListenedTo(em, meta, HOOKS)) return undefined
  let columns = columnsByMeta.get(meta)
  if (columns === undefined) {
    columns = findColumns(em, meta) ?? 'unit of work'
    columnsByMeta.set(meta, columns)
  }
  return columns === 'unit of work' ? undefined : columns
}

function findColumns(em: SqlEm, meta: EntityMetadata): Column[] | undefined {
  const special =
    !(em.getPlatform() instanceof BasePostgreSqlPlatform) ||
    meta.virtual ||
    meta.root.inheritanceType !== undefined ||
    meta.versionProperty !== undefined ||
    meta.serializedPrimaryKey ||
    meta.schema === '*' ||
    buildsItself(meta)
  if (special) return undefined
  const columns: Column[] = []
  for (const property of meta.props) {
    if (property.persist === false || property.formula || isInverse(property)) continue
    const column = columnOf(property)
    if (column === undefined) return undefined
    columns.push(column)
  }
  return columns
}

/** Whether a class does more when it is constructed than take over its data. */
function buildsItself(meta: EntityMetadata): boolean {
  if ((meta.constructorParams?.length ?? 0) > 0) return true
  try {
    const made = new (meta.class as unknown as new () => object)()
    return Object.values(made).some(value => value !== undefined)
  } catch {
    return true
  }
}

function isInverse({ kind, owner }: EntityProperty): boolean {
  return (
    kind === ReferenceKind.ONE_TO_MANY ||
    kind === ReferenceKind.MANY_TO_MANY ||
    (kind === ReferenceKind.ONE_TO_ONE && !owner)
  )
}

function columnOf(property: EntityProperty): Column | undefined {
  const { kind, fieldNames } = property
  const isPlain =
    kind !== ReferenceKind.EMBEDDED &&
    fieldNames?.length === 1 &&
    !property.embedded &&
    !property.lazy &&
    !property.generated &&
    !property.hasConvertToDatabaseValueSQL &&
    !property.hasConvertToJSValueSQL
  if (!isPlain) return undefined
  const toJson = toJsonOf(property)
  if (toJson === undefined) return undefined
  const generated = property.autoincrement === true || property.defaultRaw !== undefined
  return { property, field: fieldNames[0] as string, toJson, generated }
}

/** The row with its defaults, by property, as the database would give it back; undefined when the unit of work must see it. */
function rowOf(em: SqlEm, columns: readonly Column[], data: Row): Row | undefined {
  if (!Utils.isPlainObject(data)) return undefined
  const row: Row = {}
  let known = 0
  for (const { property } of columns) {
    const value = data[property.name]
    if (value === undefined) continue
    known++
    row[property.name] = property.kind === ReferenceKind.SCALAR ? value : keyIn(em, property, value)
  }
  // More than columns: collections, embedded objects, names that are none.
  for (const name in data) if (data[name] !== undefined) known--
  if (known !== 0) return undefined
  for (const { property, toJson, generated } of columns) {
    const { name } = property
    if (row[name] == null && property.onCreate) {
      const seen = { odd: false }
      const view = property.onCreate.length === 0 ? row : scalarsOf(row, columns, seen)
      row[name] = property.onCreate(view, em)
      if (seen.odd) return undefined
    } else if (row[name] === undefined && property.default != null && !isRaw(property.default)) {
      row[name] = property.default
    }
    const value = row[name]
    if (value === undefined) delete row[name]
    if (value == null ? !generated && !property.nullable : isRaw(value) || toJson(value) === ODD)
      return undefined
  }
  return row
}

/** The key of a row that this session knows; of any other, MikroORM may want to save that first. */
function keyIn(em: SqlEm, { targetMeta }: EntityProperty, value: unknown): unknown {
  if (!Utils.isEntity(value, true)) return value
  const entity = Reference.unwrapReference(value as object)
  const { __meta: meta } = helper(entity)
  const key = meta.root === targetMeta?.root ? helper(entity).getPrimaryKey() : undefined
  const isKnown = key != null && em.getUnitOfWork().getById(meta.class, key as never) === entity
  return isKnown ? key : ODD
}

/** What `onCreate` may look at as if it were the entity; of anything else it is told that it did. */
function scalarsOf(row: Row, columns: readonly Column[], seen: { odd: boolean }): Row {
  const scalars = new Set<string | symbol>(
    columns.flatMap(({ property }) => (property.kind === ReferenceKind.SCALAR ? property.name : [])),
  )
  const look = (target: Row, name: string | symbol): boolean => {
    seen.odd ||= !scalars.has(name)
    return name in target
  }
  return new Proxy(row, {
    get: (target, name) => (look(target, name) ? target[name as string] : undefined),
    has: look,
    set: () => {
      seen.odd = true
      return true
    },
    ownKeys: () => {
      seen.odd = true
      return []
    },
  })
}

/**
 * One statement names the same columns for all of its rows: what a row has not got is null.
 *
 * @returns undefined when rows leave different columns to the database, which takes several statements, so that keys
 *   would not have the order of the data
 */
function batchesOf(columns: readonly Column[], rows: readonly Row[], size: number): Batch[] | undefined {
  const has = (row: Row, { property }: Column): boolean => row[property.name] !== undefined
  const first = rows[0] ?? {}
  const returning = columns.filter(column => column.generated && !has(first, column))
  const generated = columns.filter(column => column.generated)
  if (rows.some(row => generated.some(column => has(row, column) !== has(first, column)))) return undefined
  const given = columns.filter(column => !returning.includes(column) && rows.some(row => has(row, column)))
  if (given.length === 0) return undefined
  return [...chunksOf(rows, size)].map(chunk => ({ given, returning, rows: chunk }))
}

function jsonOf(given: readonly Column[], rows: readonly Row[]): string {
  const objects = rows.map(row => {
    const object: Row = {}
    for (const { property, field, toJson } of given) {
      const value = row[property.name]
      object[field] = value == null ? null : toJson(value)
    }
    return object
  })
  const json = JSON.stringify(objects)
  // Half a surrogate pair is no text for PostgreSQL's JSON; the wire protocol would have replaced it, too.
  if (!/\\ud[89a-f]/.test(json)) return json
  return JSON.stringify(objects, (_key, value) => (typeof value === 'string' ? value.toWellFormed() : value))
}

function statement(
  em: SqlEm,
  meta: EntityMetadata,
  given: readonly Column[],
  returning: readonly Column[],
): string {
  const quote = (name: string) => em.getPlatform().quoteIdentifier(name).toString()
  const schema = meta.schema ?? em.schema
  const table = schema === undefined ? quote(meta.tableName) : `${quote(schema)}.${quote(meta.tableName)}`
  const list = (columns: readonly Column[], prefix = '') =>
    columns.map(({ field }) => prefix + quote(field)).join(', ')
  const into = `insert into ${table} (${list(given)})`
  const from = `rows from (json_populate_recordset(null::${table}, $1::json)) with ordinality as r`
  const back = returning.length === 0 ? '' : ` returning ${list(returning)}`
  return `${into} select ${list(given, 'r.')} from ${from} order by r.ordinality${back}`
}
