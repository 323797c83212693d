import { recordedBookkeeping } from './bookkeeping.ts'
import { hold, recorder } from './connection.ts'
import { errors } from './errors.ts'
import { batchOf, type Plan, queriesOf } from './plan.ts'
import type { StampPlan } from './stamp.ts'

/**
 * The SQL that a plan would run, bookkeeping included.
 *
 * @throws SQLA_ERR_MIGRATION_SQL when a revision runs statements in its own code
 */
export function printPlan({ engine, direction, steps }: Plan): Promise<string[]> {
  return hold(engine, async ({ ctx }) => {
    const lines: string[] = []
    const print = (sql: string): void => void lines.push(`${sql.trim().replace(/;$/, '')};`)
    const book = await recordedBookkeeping(engine, ctx, print)
    if (steps.length > 0) await book.ensureTable()
    let rest = steps
    while (rest.length > 0) {
      const batch = batchOf(rest, engine)
      const isTransaction = batch[0]?.scope === 'transaction' && engine.dialect !== 'mysql'
      if (isTransaction) print('begin')
      for (const { name, migration } of batch) {
        const refuse = () => {
          throw new errors.SQLA_ERR_MIGRATION_SQL(name, engine.name, direction)
        }
        Object.defineProperties(migration, {
          execute: { value: refuse },
          getEntityManager: { value: refuse },
        })
        lines.push(`-- ${engine.name}: ${direction} ${name}`)
        for (const query of await queriesOf(engine, migration, direction, undefined)) {
          await engine.orm.driver.execute(query as string, undefined, 'all', recorder(print))
        }
        await (direction === 'up' ? book.mark(name) : book.unmark(name))
      }
      if (isTransaction) print('commit')
      rest = rest.slice(batch.length)
    }
    return lines
  })
}

export function printStamp({ engine, mark, unmark }: StampPlan): Promise<string[]> {
  return hold(engine, async ({ ctx }) => {
    const lines: string[] = []
    const book = await recordedBookkeeping(engine, ctx, sql => lines.push(`${sql.trim().replace(/;$/, '')};`))
    if (mark.length + unmark.length > 0) await book.ensureTable()
    for (const name of unmark) await book.unmark(name)
    for (const name of mark) await book.mark(name)
    return lines
  })
}
