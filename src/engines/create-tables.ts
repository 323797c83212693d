import type { Transaction } from '@mikro-orm/core'
import { DatabaseSchema, SchemaComparator, type SqlSchemaGenerator } from '@mikro-orm/sql'
import { connectionOf, dialectOf, platformOf, type SqlOrm } from './orm.ts'

/**
 * Any number that means us to the server: processes that start together take turns at creating tables, as
 * `CREATE TABLE IF NOT EXISTS` alone is not safe against itself in PostgreSQL.
 */
const ADVISORY_LOCK = 7_274_021_003

/**
 * The variable of the environment that switches `createAll` off, for commands that look after the tables themselves:
 * a table that the start has created is one that the first migration cannot create.
 */
const SWITCH = 'SQLASSIST_NO_CREATE_ALL'

export function isCreateAllOff(): boolean {
  return !['', '0', undefined].includes(process.env[SWITCH])
}

/**
 * Creates the tables that are missing, with their types and schemas. Tables that exist are left as they are,
 * even when the entity has changed: that is what migrations are for.
 *
 * @returns the SQL that did it, empty when nothing was missing
 */
export async function createMissingTables(orm: SqlOrm): Promise<string> {
  if (dialectOf(platformOf(orm)) !== 'postgresql') return createTables(orm)
  const em = orm.em.fork({ disableContextResolution: true })
  return em.transactional(async inner => {
    await inner.execute(`select pg_advisory_xact_lock(${ADVISORY_LOCK})`)
    return createTables(orm, inner.getTransactionContext())
  })
}

async function createTables(orm: SqlOrm, ctx?: Transaction): Promise<string> {
  const sql = await missingTablesSql(orm, ctx)
  if (sql === '') return sql
  // MikroORM's generator takes a transaction and does not use it: it would wait for a second connection.
  if (ctx !== undefined) await connectionOf(orm).execute(sql, [], 'all', ctx)
  else await (orm.schema as unknown as SqlSchemaGenerator).execute(sql, { wrap: false })
  return sql
}

/** The SQL that would create what is missing; empty when nothing is. */
export async function missingTablesSql(orm: SqlOrm, ctx?: Transaction): Promise<string> {
  const platform = platformOf(orm)
  const generator = orm.schema as unknown as SqlSchemaGenerator
  const target = generator.getTargetSchema()
  const schemas = [...target.getNamespaces()]
  const current = await DatabaseSchema.create(
    connectionOf(orm),
    platform,
    orm.config,
    undefined,
    schemas,
    undefined,
    undefined,
    undefined,
    ctx,
  )
  const difference = new SchemaComparator(platform).compare(current, target)
  const additions = {
    ...difference,
    changedTables: {},
    removedTables: {},
    newViews: {},
    changedViews: {},
    removedViews: {},
    newRoutines: {},
    changedRoutines: {},
    removedRoutines: {},
    removedNamespaces: new Set<string>(),
    removedNativeEnums: [],
    orphanedForeignKeys: [],
  }
  return generator.diffToSQL(additions, { wrap: false, safe: true, dropTables: false }).trim()
}
