import { BaseMySqlPlatform, BasePostgreSqlPlatform } from '@mikro-orm/sql'
import type { SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'

// Where the databases differ, for all tables of the flags.

export function isMySql(em: SqlEm): boolean {
  return em.getPlatform() instanceof BaseMySqlPlatform
}

export function isPostgres(em: SqlEm): boolean {
  return em.getPlatform() instanceof BasePostgreSqlPlatform
}

/** A table, checked and quoted. */
export interface TableName {
  readonly schema: string | undefined
  readonly name: string
  /** As it is written in SQL. */
  readonly sql: string
}

/** @throws SQLA_ERR_FLAG_STORAGE */
export function tableName(
  quote: (name: string) => string,
  name: string,
  schema: string | undefined,
): TableName {
  assertName(name)
  if (schema === undefined) return { schema, name, sql: quote(name) }
  assertName(schema)
  return { schema, name, sql: `${quote(schema)}.${quote(name)}` }
}

/** What names are made of has room for `_history`, and for what an index's name adds. */
const LONGEST_NAME = 52

function assertName(name: string): void {
  // A question mark is a parameter.
  if (/^[^?\0]+$/.test(name) && name.replace(/_(history|usage)$/, '').length <= LONGEST_NAME) return
  throw new errors.SQLA_ERR_FLAG_STORAGE(
    `'${name}' cannot be the name of a table or schema: it must have 1 to ${LONGEST_NAME} characters, without a question mark`,
  )
}

/** The type of a flag's name. Names compare as they are, whatever the database's collation is. */
export function nameType(em: SqlEm): string {
  return isMySql(em) ? 'varchar(255) character set utf8mb4 collate utf8mb4_bin' : 'varchar(255)'
}

/** What follows `insert … values …` so that a row that is there gets the new values. */
export function upsertClause(em: SqlEm, keys: readonly string[], columns: readonly string[]): string {
  if (isMySql(em)) {
    return `on duplicate key update ${columns.map(column => `${column} = values(${column})`).join(', ')}`
  }
  const set = columns.map(column => `${column} = excluded.${column}`).join(', ')
  return `on conflict (${keys.join(', ')}) do update set ${set}`
}

/** Whether there is such a table. Asking does not make a transaction fail. */
export async function hasTable(em: SqlEm, { schema, name, sql }: TableName): Promise<boolean> {
  if (isPostgres(em)) {
    const [row]: { found: string | null }[] = await em.execute('select to_regclass(?)::text as found', [sql])
    return row?.found != null
  }
  const rows: unknown[] = isMySql(em)
    ? await em.execute(
        'select 1 from information_schema.tables where table_schema = coalesce(?, database()) and table_name = ?',
        [schema ?? null, name],
      )
    : await em.execute("select 1 from sqlite_master where type = 'table' and name = ?", [name])
  return rows.length > 0
}
