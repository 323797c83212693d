import type { Transaction } from '@mikro-orm/core'
import type { Migration, Query } from '@mikro-orm/migrations'
import { readApplied } from './bookkeeping.ts'
import { errors } from './errors.ts'
import type { Scope } from './lock.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { migrationsPackage } from './peers.ts'
import type { Direction } from './progress.ts'
import { listRevisions } from './revisions.ts'
import { downgradePath, upgradePath } from './target.ts'

/** What is to be run on an engine: decided before anything is run on any. */
export interface Plan {
  readonly engine: MigratedEngine
  readonly direction: Direction
  /** In the order in which they will run. */
  readonly steps: readonly Step[]
}

export interface Step {
  readonly name: string
  readonly migration: Migration
  /** What it needs around it: a transaction, unless it says that it cannot run in one. */
  readonly scope: Scope
}

/** @throws SQLA_ERR_MIGRATION_TARGET, SQLA_ERR_MIGRATION_FILE, SQLA_ERR_MIGRATION_FOLDER */
export async function planRun(engine: MigratedEngine, direction: Direction, to?: string): Promise<Plan> {
  const { Migration: Base } = await migrationsPackage()
  const revisions = await listRevisions(engine)
  const applied = (await readApplied(engine)).map(({ name }) => name)
  const place = { engine: engine.name, revisions: revisions.map(({ name }) => name), applied }
  const path = direction === 'up' ? upgradePath(place, to) : downgradePath(place, to)
  const steps: Step[] = []
  for (const name of path) {
    const revision = revisions.find(candidate => candidate.name === name)
    if (revision === undefined) {
      throw new errors.SQLA_ERR_MIGRATION_FILE(name, engine.name, 'it is applied, but there is no file of it')
    }
    const migration = await revision.load()
    if (direction === 'down' && migration.down === Base.prototype.down) {
      throw new errors.SQLA_ERR_MIGRATION_FILE(
        name,
        engine.name,
        'it has no down(), so it cannot be reverted',
      )
    }
    const isTransactional = engine.settings.transactional !== false && migration.isTransactional()
    steps.push({ name, migration, scope: isTransactional ? 'transaction' : 'connection' })
  }
  return { engine, direction, steps }
}

/** MySQL and MariaDB commit with every DDL statement: there, each revision is on its own. */
export function batchOf(steps: readonly Step[], engine: MigratedEngine): readonly Step[] {
  const alone =
    steps[0]?.scope === 'connection' || engine.dialect === 'mysql' || engine.settings.allOrNothing === false
  if (alone) return steps.slice(0, 1)
  const end = steps.findIndex(step => step.scope === 'connection')
  return end < 0 ? steps : steps.slice(0, end)
}

/** Runs the code of a revision, which answers with the statements to run. */
export async function queriesOf(
  engine: MigratedEngine,
  migration: Migration,
  direction: Direction,
  ctx: Transaction | undefined,
): Promise<Query[]> {
  migration.reset()
  if (ctx !== undefined) migration.setTransactionContext(ctx)
  await migration[direction]()
  const queries = [...migration.getQueries()]
  if (!engine.settings.disableForeignKeys) return queries
  const helper = engine.platform.getSchemaHelper()
  return [helper?.disableForeignKeysSQL() ?? '', ...queries, helper?.enableForeignKeysSQL() ?? ''].filter(
    query => query !== '',
  )
}
