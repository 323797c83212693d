import type { Transaction } from '@mikro-orm/core'
import { DatabaseSchema, SchemaComparator, type SqlSchemaGenerator } from '@mikro-orm/sql'
import { connectionOf, dialectOf, platformOf, type SqlOrm } from './orm.ts'

/**
 * Any number that means us to the server: processes that start together take turns at creating tables, as
 * `CREATE TABLE IF NOT EXISTS` alone is not safe against itself in PostgreSQL.
 */
const ADVISORY_LOCK = 7_274_021_003

/**
 * Creates the tables that are missing, with their types and schemas. Tables that exist are left as they are,
 * even when the entity has changed: that is what migrations are for.
 */
export async function createMissingTables(orm: SqlOrm): Promise<void> {
  if (dialectOf(platformOf(orm)) !== 'postgresql') return createTables(orm)
  const em = orm.em.fork({ disableContextResolution: true })
  await em.transactional(async inner => {
    await inner.execute(`select pg_advisory_xact_lock(${ADVISORY_LOCK})`)
    await createTables(orm, inner.getTransactionContext())
  })
}

async function createTables(orm: SqlOrm, ctx?: Transaction): Promise<void> {
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
  const sql = generator.diffToSQL(additions, { wrap: false, safe: true, dropTables: false })
  if (sql.trim() !== '') await generator.execute(sql, { wrap: false, ctx })
}
