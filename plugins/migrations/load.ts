import { type Held, hold } from './connection.ts'
import { type DataTable, dataTables } from './data-tables.ts'
import { errors, reasonOf } from './errors.ts'
import { locked } from './lock.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { type RunContext, waitingOf } from './progress.ts'
import { databaseSchema } from './schema.ts'

/** How many rows one table got. */
export interface LoadResult {
  readonly engine: string
  readonly tables: readonly { readonly table: string; readonly rows: number }[]
}

/** A line of a dump, its row not yet read: numbers in it may be larger than JavaScript's. */
interface Line {
  readonly number: number
  readonly engine: string
  readonly table: string
  readonly row: string
}

const ROWS_PER_INSERT = 200

/**
 * Loads what a dump has for an engine, all of it or nothing.
 *
 * @param known every engine that a line may be of; those of others than `engine` are left out
 * @param lines of the dump. Asked for when they are read: those of a readline interface are lost if nobody listens
 * @param name what messages call the dump
 * @throws SQLA_ERR_MIGRATION_DATA, SQLA_ERR_MIGRATION_LOCK
 */
export async function loadEngine(
  engine: MigratedEngine,
  known: readonly string[],
  lines: () => AsyncIterable<string> | Iterable<string>,
  name: string,
  context: RunContext,
): Promise<LoadResult> {
  const tables = new Map(dataTables(engine).map(table => [table.name, table]))
  const counts = new Map<string, number>()
  const backward = await backwardKeys(engine, [...tables.values()])
  await hold(engine, held =>
    locked(engine, held, 'transaction', waitingOf(engine.name, context), async () => {
      await looseKeys(engine, held, backward)
      try {
        for await (const batch of batches(engine, known, lines, name)) {
          const first = batch[0] as Line
          const table = tables.get(first.table)
          const fail = (reason: string, cause?: unknown) => {
            throw new errors.SQLA_ERR_MIGRATION_DATA(
              `${name}, line ${first.number}${batch.length > 1 ? ` to ${batch.at(-1)?.number}` : ''}`,
              reason,
              { cause },
            )
          }
          if (table === undefined) return fail(`engine '${engine.name}' has no table '${first.table}'`)
          try {
            await INSERTS[engine.dialect](engine, held, table, batch)
          } catch (error) {
            fail(reasonOf(error), error)
          }
          counts.set(table.name, (counts.get(table.name) ?? 0) + batch.length)
        }
        await tightenKeys(engine, held, backward)
      } finally {
        if (engine.dialect === 'mysql') await held.run('set foreign_key_checks = 1')
      }
      if (engine.dialect === 'postgresql') {
        for (const table of tables.values()) if (counts.has(table.name)) await moveSequences(held, table)
      }
    }),
  ).catch(error => {
    if (error instanceof errors.SQLA_ERR_MIGRATION_DATA || error instanceof errors.SQLA_ERR_MIGRATION_LOCK) {
      throw error
    }
    throw new errors.SQLA_ERR_MIGRATION_DATA(name, reasonOf(error), { cause: error })
  })
  const result = [...counts].map(([table, rows]) => ({ table, rows }))
  for (const { table, rows } of result) context.onEvent({ type: 'rows', engine: engine.name, table, rows })
  return { engine: engine.name, tables: result }
}

const HEAD = /^(\{"engine":"(?:[^"\\]|\\.)*","table":"(?:[^"\\]|\\.)*"),"row":(\{.*\})\}$/s

/** Rows of one table that follow each other, a few hundred at a time. */
async function* batches(
  engine: MigratedEngine,
  known: readonly string[],
  lines: () => AsyncIterable<string> | Iterable<string>,
  name: string,
): AsyncGenerator<Line[]> {
  let batch: Line[] = []
  let number = 0
  for await (const text of lines()) {
    number++
    if (text.trim() === '') continue
    const line = readLine(text, number, name)
    if (!known.includes(line.engine)) {
      throw new errors.SQLA_ERR_MIGRATION_DATA(
        `${name}, line ${number}`,
        `there is no engine '${line.engine}'; there are: ${known.join(', ')}`,
      )
    }
    if (line.engine !== engine.name) continue
    if (batch.length === ROWS_PER_INSERT || (batch[0] !== undefined && batch[0].table !== line.table)) {
      yield batch
      batch = []
    }
    batch.push(line)
  }
  if (batch.length > 0) yield batch
}

function readLine(text: string, number: number, name: string): Line {
  const [, head, row] = HEAD.exec(text) ?? []
  try {
    if (head !== undefined && row !== undefined) {
      JSON.parse(row)
      return { number, row, ...(JSON.parse(`${head}}`) as { engine: string; table: string }) }
    }
  } catch {
    // Falls through: either way it is no line of a dump.
  }
  throw new errors.SQLA_ERR_MIGRATION_DATA(`${name}, line ${number}`, 'it is no line of a dump')
}

type Insert = (engine: MigratedEngine, held: Held, table: DataTable, lines: readonly Line[]) => Promise<void>

const postgresql: Insert = async (engine, held, table, lines) => {
  const known = new Set(table.columns.map(({ name }) => name))
  for (const line of lines) assertColumns(table, known, Object.keys(JSON.parse(line.row)))
  const columns = table.columns.map(({ name }) => engine.platform.quoteIdentifier(name)).join(', ')
  await held.run(
    `insert into ${table.quoted} (${columns}) overriding system value ` +
      `select ${columns} from json_populate_recordset(null::${table.quoted}, $1::json)`,
    [`[${lines.map(({ row }) => row).join(',')}]`],
  )
}

const byValues: Insert = async (engine, held, table, lines) => {
  const names = table.columns.map(({ name }) => name)
  const known = new Set(names)
  const parameters: unknown[] = []
  for (const { row } of lines) {
    const values = JSON.parse(row) as Record<string, unknown>
    assertColumns(table, known, Object.keys(values))
    for (const name of names) parameters.push(bindable(values[name]))
  }
  const columns = names.map(name => engine.platform.quoteIdentifier(name)).join(', ')
  const row = `(${names.map(() => '?').join(', ')})`
  await held.run(
    `insert into ${table.quoted} (${columns}) values ${lines.map(() => row).join(', ')}`,
    parameters,
  )
}

const INSERTS: Record<MigratedEngine['dialect'], Insert> = { postgresql, mysql: byValues, sqlite: byValues }

function bindable(value: unknown): unknown {
  if (value === undefined || value === null) return null
  if (typeof value === 'object' && '$hex' in value) return Buffer.from(String(value.$hex), 'hex')
  // A driver would bind it as it likes.
  return typeof value === 'object'
    ? JSON.stringify(value)
    : typeof value === 'boolean'
      ? Number(value)
      : value
}

function assertColumns(table: DataTable, known: ReadonlySet<string>, names: readonly string[]): void {
  const stranger = names.find(name => !known.has(name))
  if (stranger !== undefined) {
    throw new errors.SQLA_ERR_MIGRATION_DATA(`'${table.name}'`, `it has no column '${stranger}' to fill`)
  }
}

/** A foreign key that points to a row which may come later: to its own table, or around a circle. */
interface BackwardKey {
  readonly table: string
  readonly constraint: string
}

async function backwardKeys(
  engine: MigratedEngine,
  tables: readonly DataTable[],
): Promise<readonly BackwardKey[]> {
  if (engine.dialect !== 'postgresql') return []
  const found = await databaseSchema(engine)
  const order = tables.map(({ table }) => table.getShortestName(false))
  return found.getTables().flatMap(table => {
    const place = order.indexOf(table.getShortestName(false))
    return Object.values(table.getForeignKeys())
      .filter(key => key.deferMode === undefined)
      .filter(key => {
        const target = found.getTables().find(other => sameTable(other.getShortestName(false), key))
        return target !== undefined && order.indexOf(target.getShortestName(false)) >= place
      })
      .map(key => ({
        table: engine.platform.quoteIdentifier(table.getShortestName()),
        constraint: engine.platform.quoteIdentifier(key.constraintName),
      }))
  })
}

function sameTable(name: string, { referencedTableName }: { referencedTableName: string }): boolean {
  return name === referencedTableName || name.split('.').at(-1) === referencedTableName.split('.').at(-1)
}

async function looseKeys(engine: MigratedEngine, held: Held, keys: readonly BackwardKey[]): Promise<void> {
  if (engine.dialect === 'mysql') await held.run('set foreign_key_checks = 0')
  for (const { table, constraint } of keys) {
    await held.run(`alter table ${table} alter constraint ${constraint} deferrable initially deferred`)
  }
}

async function tightenKeys(engine: MigratedEngine, held: Held, keys: readonly BackwardKey[]): Promise<void> {
  if (engine.dialect !== 'postgresql' || keys.length === 0) return
  await held.run('set constraints all immediate')
  for (const { table, constraint } of keys) {
    await held.run(`alter table ${table} alter constraint ${constraint} not deferrable`)
  }
}

/** The next row that the application adds must not get the number of one that was loaded. */
async function moveSequences(held: Held, table: DataTable): Promise<void> {
  for (const { name, autoincrement } of table.columns) {
    if (!autoincrement) continue
    const column = `"${name.replaceAll('"', '""')}"`
    await held.run(
      `select setval(pg_get_serial_sequence($1, $2), coalesce(max(${column}), 1), max(${column}) is not null) ` +
        `from ${table.quoted} having pg_get_serial_sequence($1, $2) is not null`,
      [table.quoted, name],
    )
  }
}
