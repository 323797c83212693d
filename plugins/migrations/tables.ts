import { recordedBookkeeping } from './bookkeeping.ts'
import { hold } from './connection.ts'
import { errors, reasonOf } from './errors.ts'
import { locked } from './lock.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { migrationsPackage } from './peers.ts'
import { type RunContext, waitingOf } from './progress.ts'
import { databaseSchema, dropStatements, splitStatements } from './schema.ts'

/** What was done to the tables of an engine, or would be. */
export interface TablesResult {
  readonly engine: string
  readonly statements: readonly string[]
}

/** @throws SQLA_ERR_MIGRATION_TABLES */
export async function createTables({ name, engine }: MigratedEngine, dryRun: boolean): Promise<TablesResult> {
  try {
    return { engine: name, statements: splitStatements(await engine.createMissingTables({ dryRun })) }
  } catch (error) {
    throw new errors.SQLA_ERR_MIGRATION_TABLES(name, 'created', reasonOf(error), { cause: error })
  }
}

/** @throws SQLA_ERR_MIGRATION_TABLES, SQLA_ERR_MIGRATION_LOCK */
export async function dropTables(
  engine: MigratedEngine,
  dryRun: boolean,
  context: RunContext,
): Promise<TablesResult> {
  await migrationsPackage()
  const statements = [
    ...dropStatements(engine, await databaseSchema(engine)),
    ...(await dropBookkeepingSql(engine)),
  ]
  if (!dryRun && statements.length > 0) await runDrops(engine, statements, context)
  return { engine: engine.name, statements }
}

async function runDrops(
  engine: MigratedEngine,
  statements: readonly string[],
  context: RunContext,
): Promise<void> {
  try {
    await hold(engine, held =>
      locked(engine, held, 'transaction', waitingOf(engine.name, context), async () => {
        for (const sql of statements) await engine.orm.driver.execute(sql, undefined, 'all', held.ctx)
      }),
    )
  } catch (error) {
    if (error instanceof errors.SQLA_ERR_MIGRATION_LOCK) throw error
    throw new errors.SQLA_ERR_MIGRATION_TABLES(engine.name, 'dropped', reasonOf(error), { cause: error })
  }
}

async function dropBookkeepingSql(engine: MigratedEngine): Promise<string[]> {
  const sql: string[] = []
  await hold(engine, async ({ ctx }) => {
    const book = await recordedBookkeeping(engine, ctx, statement => sql.push(`${statement};`))
    if (await book.exists()) await book.drop()
  })
  return sql
}
