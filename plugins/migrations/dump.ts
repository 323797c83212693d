import type { Column } from '@mikro-orm/sql'
import { type Held, hold } from './connection.ts'
import { type DataTable, dataTables } from './data-tables.ts'
import { errors, reasonOf } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import type { OnEvent } from './progress.ts'

// A dump is text, a row per line: {"engine":"writer","table":"author","row":{"id":1,"name":"Ada"}}. Values are as the
// same kind of database takes them back without loss; what JSON has no number or text for is { "$hex": "…" }.

/** How many rows one table had. */
export interface DumpResult {
  readonly engine: string
  readonly tables: readonly { readonly table: string; readonly rows: number }[]
}

/** Takes a piece of the dump; the next one comes when it has resolved. */
export type Write = (text: string) => unknown

/** All tables as they were at one moment, whatever is written meanwhile. */
const BEGIN: Record<MigratedEngine['dialect'], readonly string[]> = {
  postgresql: ['begin isolation level repeatable read read only'],
  mysql: [
    'set transaction isolation level repeatable read',
    'start transaction with consistent snapshot, read only',
  ],
  sqlite: ['begin'],
}

const ROWS_PER_WRITE = 500

/**
 * Writes the rows of an engine's tables, parents before children, from one snapshot.
 *
 * @throws SQLA_ERR_MIGRATION_TABLES
 */
export function dumpEngine(engine: MigratedEngine, write: Write, onEvent: OnEvent): Promise<DumpResult> {
  return hold(engine, async held => {
    for (const sql of BEGIN[engine.dialect]) await held.run(sql)
    const tables: { table: string; rows: number }[] = []
    for (const table of dataTables(engine)) {
      const rows = await dumpTable(engine, held, table, write)
      tables.push({ table: table.name, rows })
      onEvent({ type: 'rows', engine: engine.name, table: table.name, rows })
    }
    await held.run('commit')
    return { engine: engine.name, tables }
  })
}

async function dumpTable(
  engine: MigratedEngine,
  held: Held,
  table: DataTable,
  write: Write,
): Promise<number> {
  const quote = (name: string): string => engine.platform.quoteIdentifier(name)
  const order = table.primary.length > 0 ? ` order by ${table.primary.map(quote).join(', ')}` : ''
  const head = `${JSON.stringify({ engine: engine.name, table: table.name }).slice(0, -1)},"row":`
  const source = { columns: table.columns, from: `from ${table.quoted}${order}`, quote }
  const [sql, textOf] = READERS[engine.dialect](source)
  let rows = 0
  let text = ''
  try {
    for await (const row of engine.connection.stream(sql, [], held.ctx as never, undefined, ROWS_PER_WRITE)) {
      text += `${head}${textOf(row as Record<string, unknown>)}}\n`
      if (++rows % ROWS_PER_WRITE === 0) {
        await write(text)
        text = ''
      }
    }
  } catch (error) {
    throw new errors.SQLA_ERR_MIGRATION_TABLES(engine.name, `dumped (${table.name})`, reasonOf(error), {
      cause: error,
    })
  }
  if (text !== '') await write(text)
  return rows
}

interface Source {
  readonly columns: readonly Column[]
  readonly from: string
  quote(name: string): string
}

/** The query that reads a table, and how a row of its answer becomes JSON. */
type Reader = (source: Source) => [sql: string, textOf: (row: Record<string, unknown>) => string]

/** PostgreSQL makes the JSON itself, and `json_populate_recordset` understands every type of it. */
const postgresql: Reader = ({ columns, from, quote }) => [
  `select row_to_json(t)::text as row from (select ${columns.map(({ name }) => quote(name)).join(', ')} ${from}) t`,
  row => String(row.row),
]

const BINARY = /blob|binary|^bit/i
const FLOAT = /float|double|real/i

/** As text, which is exact for everything but floats (MySQL rounds their text) and bytes. */
const mysql: Reader = ({ columns, from, quote }) => [
  `select ${columns
    .map(({ name, type }) => {
      const column = quote(name)
      if (BINARY.test(type)) return `hex(${column}) as ${column}`
      return FLOAT.test(type) ? `(${column} + 0e0) as ${column}` : `cast(${column} as char) as ${column}`
    })
    .join(', ')} ${from}`,
  row =>
    JSON.stringify(
      Object.fromEntries(
        columns.map(({ name, type }) => {
          const value = row[name]
          return [name, BINARY.test(type) && value !== null ? { $hex: value } : value]
        }),
      ),
    ),
]

/** Every value has a type of its own; integers that JavaScript cannot hold go as text. */
const sqlite: Reader = ({ columns, from, quote }) => [
  `select ${columns
    .map(({ name }) => {
      const column = quote(name)
      return (
        `case when typeof(${column}) = 'integer' and ${column} not between -9007199254740991 and 9007199254740991 ` +
        `then cast(${column} as text) else ${column} end as ${column}`
      )
    })
    .join(', ')} ${from}`,
  row =>
    JSON.stringify(
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          value instanceof Uint8Array ? { $hex: Buffer.from(value).toString('hex') } : value,
        ]),
      ),
    ),
]

const READERS: Record<MigratedEngine['dialect'], Reader> = { postgresql, mysql, sqlite }
