import { Bookkeeping, readApplied } from './bookkeeping.ts'
import { hold } from './connection.ts'
import { locked } from './lock.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { migrationsPackage } from './peers.ts'
import { type RunContext, waitingOf } from './progress.ts'
import { listRevisions } from './revisions.ts'
import { stampPath } from './target.ts'

/** What a stamp is to change in the bookkeeping. */
export interface StampPlan {
  readonly engine: MigratedEngine
  readonly to: string | undefined
  readonly mark: readonly string[]
  readonly unmark: readonly string[]
}

/** @throws SQLA_ERR_MIGRATION_TARGET */
export async function planStamp(engine: MigratedEngine, to?: string): Promise<StampPlan> {
  await migrationsPackage()
  const revisions = (await listRevisions(engine)).map(({ name }) => name)
  const applied = (await readApplied(engine)).map(({ name }) => name)
  return { engine, to, ...stampPath({ engine: engine.name, revisions, applied }, to) }
}

export async function runStamp({ engine, to }: StampPlan, context: RunContext): Promise<StampPlan> {
  return hold(engine, held =>
    locked(engine, held, 'transaction', waitingOf(engine.name, context), async () => {
      const book = await Bookkeeping.on(engine, held.ctx)
      const revisions = (await listRevisions(engine)).map(({ name }) => name)
      const applied = (await book.read()).map(({ name }) => name)
      const path = stampPath({ engine: engine.name, revisions, applied }, to)
      await book.ensureTable()
      for (const name of path.unmark) await book.unmark(name)
      for (const name of path.mark) await book.mark(name)
      return { engine, to, ...path }
    }),
  )
}
