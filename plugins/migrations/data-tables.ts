import type { Column, DatabaseTable } from '@mikro-orm/sql'
import type { MigratedEngine } from './migrated-engine.ts'
import { entitySchema } from './schema.ts'

/** A table whose rows are dumped and loaded. */
export interface DataTable {
  /** With its schema in front where it is not the default one; what lines of a dump call it. */
  readonly name: string
  /** The same, quoted; in PostgreSQL always with its schema, as a table may have the name of a type (`line`). */
  readonly quoted: string
  /** Those that hold what was put into them, not what the database computes. */
  readonly columns: readonly Column[]
  readonly primary: readonly string[]
  readonly table: DatabaseTable
}

/** The tables of an engine's entities, those of join tables included; a table comes behind those that it points to. */
export function dataTables(engine: MigratedEngine): DataTable[] {
  return entitySchema(engine)
    .getTables()
    .map(table => {
      const name = table.getShortestName()
      const columns = table
        .getColumns()
        .filter(column => column.generated === undefined || /identity/.test(column.generated))
      return {
        name,
        quoted: engine.platform.quoteIdentifier(qualified(engine, table, name)),
        columns,
        primary: table.getPrimaryKey()?.columnNames ?? [],
        table,
      }
    })
}

function qualified({ dialect, platform }: MigratedEngine, table: DatabaseTable, name: string): string {
  const schema = table.schema ?? platform.getDefaultSchemaName()
  return dialect === 'postgresql' && schema !== undefined ? `${schema}.${table.name}` : name
}
