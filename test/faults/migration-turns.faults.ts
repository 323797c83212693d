import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { MigrationEvent } from '../../plugins/migrations/index.ts'
import { first, makeFolder, release, writeRevision } from '../migrations/support.ts'
import { onEveryBackend } from '../support/backends.ts'

/** Whoever runs a revision has the lock. */
async function begun(events: readonly MigrationEvent[]): Promise<void> {
  while (!events.some(({ type }) => type === 'started')) await sleep(1)
}

const SLOW = `await new Promise(resolve => setTimeout(resolve, 300)); this.addSql('create table slow (id int)')`

t.test('two processes that upgrade at once take turns', async t => {
  await onEveryBackend(t, async (t, backend) => {
    const folder = await makeFolder(t)
    await writeRevision(folder, '20250101000000_slow', SLOW, "this.addSql('drop table slow')")
    await writeRevision(
      folder,
      '20250102000000_more',
      "this.addSql('create table more (id int)')",
      "this.addSql('drop table more')",
    )
    const one = await release(t, backend, folder, first())
    const two = await release(t, backend, folder, first())

    await t.test('one works; the other waits, says so, and finds nothing left to do', async t => {
      const working = one.migrations.upgrade()
      await sleep(50)
      t.same(
        (await two.migrations.upgrade()).flatMap(({ revisions }) => revisions),
        [],
      )
      t.match(two.events, [{ type: 'waiting', engine: 'writer' }])
      t.match(await working, [{ revisions: [/slow/, /more/] }])
      t.same(await one.tables(), ['mikro_orm_migrations_writer', 'more', 'slow'])
    })

    await t.test('and so on the way down', async t => {
      const to = 'slow'
      const results = await Promise.all([one.migrations.downgrade({ to }), two.migrations.downgrade({ to })])
      t.same(
        results.flat().flatMap(({ revisions }) => revisions),
        ['20250102000000_more'],
      )
      t.same(await one.tables(), ['mikro_orm_migrations_writer', 'slow'])
    })

    await t.test('whoever has not the time to wait is told', async t => {
      await one.migrations.downgrade({ to: 'base' })
      one.events.length = 0
      const hasty = await release(t, backend, folder, first(), { options: { lockTimeout: 50 } })
      const working = one.migrations.upgrade()
      await begun(one.events)
      await t.rejects(hasty.migrations.upgrade(), {
        code: 'SQLA_ERR_MIGRATION_LOCK',
        message: /'writer'.* 50 ms/,
      })
      await working
    })

    await t.test('a failure gives the lock back', async t => {
      await one.migrations.downgrade({ to: 'base' })
      await writeRevision(folder, '20250103000000_bad', "this.addSql('select nothing')")
      await t.rejects(one.migrations.upgrade(), { code: 'SQLA_ERR_MIGRATION_FAILED' })
      const hasty = await release(t, backend, folder, first(), { options: { lockTimeout: 50 } })
      await hasty.migrations.upgrade({ to: 'more' })
      t.match(await one.tables(), ['mikro_orm_migrations_writer', 'more', 'slow'])
    })
  })
})

t.test('the only connection of a pool is enough', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const folder = await makeFolder(t)
      await writeRevision(folder, '20250101000000_slow', SLOW)
      const { migrations, tables } = await release(t, backend, folder, first(), {
        orm: { pool: { min: 0, max: 1 } },
      })
      await migrations.upgrade()
      t.ok((await tables()).includes('slow'))
      await migrations.dropAll()
    },
    ['PostgreSQL', 'MariaDB'],
  )
})
