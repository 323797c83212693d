import type { Test } from 'tap'
import { Repository } from '../../plugins/repository/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { library, Tag } from './library.ts'

/** How many rows go through each database. */
export type RowCounts = Readonly<Record<TestBackend['dialect'], number>>

/** Very many rows through `addMany`, `upsertMany` and `deleteMany`, within a time that no mistake of ours would keep. */
export async function manyRows(t: Test, counts: RowCounts): Promise<void> {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const statements: string[] = []
      const { em } = await library(t, backend, { logger: message => statements.push(message) })
      const count = counts[backend.dialect]
      t.test(`${count} rows through addMany, upsertMany and deleteMany`, async t => {
        const on = em()
        await on.begin()
        const tags = new Repository(Tag, on)
        const timed = async <R>(name: string, limit: number, fn: () => Promise<R>): Promise<R> => {
          statements.length = 0
          const start = performance.now()
          const result = await fn()
          const took = Math.round(performance.now() - start)
          const longest = Math.max(...statements.map(sql => sql.length))
          t.comment(
            `${backend.name}: ${name} took ${took} ms, ${statements.length} statements, the longest ${longest}`,
          )
          t.ok(took < limit, `${name}: ${took} ms`)
          t.ok(longest < 1_000_000, 'SQL stays below the limit of every database')
          return result
        }
        const names = Array.from({ length: count }, (_, at) => `tag ${at}`)
        const added = await timed('addMany', 15_000, () => tags.addMany(names.map(name => ({ name }))))
        t.ok(
          added.every(({ name }, at) => name === names[at]),
          'in the order of the data',
        )
        t.ok(
          added.every(({ id }, at) => at === 0 || id > (added[at - 1] as Tag).id),
          'keys, too',
        )
        on.clear()
        const red = names.map((_, at) => ({ name: `tag ${at + count / 2}`, color: 'red' }))
        const saved = await timed('upsertMany', 20_000, () => tags.upsertMany(red, { matchFields: ['name'] }))
        t.ok(
          saved.every(({ id, name }, at) => {
            const before = added[at + count / 2] as Tag | undefined
            return name === red[at]?.name && (before === undefined || before.id === id)
          }),
          'half of them the same rows, half of them new',
        )
        on.clear()
        t.equal(await tags.count({ color: 'red' }), count)
        t.equal(await tags.count(), count * 1.5)
        t.equal(await timed('deleteMany', 5_000, () => tags.deleteMany(saved.map(({ id }) => id))), count)
        t.equal(await tags.count(), count / 2)
        await on.rollback()
      })
    },
    ['PostgreSQL', 'MariaDB', 'SQLite'],
  )
}
