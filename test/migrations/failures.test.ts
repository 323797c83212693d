import { rm } from 'node:fs/promises'
import t from 'tap'
import type { MigrationFailure } from '../../plugins/migrations/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { first, makeFolder, release, writeRevision } from './support.ts'

const sql = (...statements: string[]): string =>
  statements.map(text => `this.addSql(${JSON.stringify(text)})`).join(';')

t.test('a revision that fails', async t => {
  await onEveryBackend(t, async (t, backend) => {
    const folder = await makeFolder(t)
    const isMySql = backend.dialect === 'mysql'
    await writeRevision(folder, '20250101000000_one', sql('create table one (id int)'), sql('drop table one'))
    await writeRevision(
      folder,
      '20250102000000_two',
      sql('create table two (id int)', 'insert into two values (1)', 'select nothing', 'select 1'),
      sql('drop table two'),
    )
    await writeRevision(
      folder,
      '20250103000000_three',
      sql('create table three (id int)'),
      sql('drop table three'),
    )
    const { migrations, tables, events, ...rest } = await release(t, backend, folder, first())
    const applied = async () =>
      (await migrations.history()).flatMap(({ entries }) =>
        entries.filter(entry => entry.state === 'applied').map(entry => entry.revision),
      )

    await t.test('says where it stopped and what remains, and records nothing of it', async t => {
      const error = await migrations.upgrade().catch(reason => reason)
      t.equal(error.code, 'SQLA_ERR_MIGRATION_FAILED')
      const failure: MigrationFailure = error.failure
      t.same(failure, {
        engine: 'writer',
        revision: '20250102000000_two',
        direction: 'up',
        statement: 3,
        statements: 4,
        done: isMySql ? ['20250101000000_one'] : [],
        rolledBack: isMySql ? [] : ['20250101000000_one'],
        left: ['20250103000000_three'],
        remaining: isMySql ? 1 : 0,
      })
      t.match(
        error.message,
        /^Engine 'writer': revision '20250102000000_two' failed at statement 3 of 4: .*nothing/,
      )
      t.match(
        error.message,
        isMySql ? /Its first statement remains/ : /It was rolled back\. Rolled back with it: 20250101/,
      )
      t.notMatch(error.message, /select nothing/)
      t.same(await tables(), isMySql ? ['mikro_orm_migrations_writer', 'one', 'two'] : [])
      t.same(await applied(), failure.done)
      t.notOk(events.some(event => event.type === 'committed') !== isMySql)
    })

    await t.test('runs when it has been mended, and so does the rest', async t => {
      await writeRevision(
        folder,
        '20250102000001_two',
        sql('create table if not exists two (id int)'),
        sql('drop table two'),
      )
      await rm(`${folder}/writer/20250102000000_two.ts`)
      await migrations.upgrade()
      t.same(await tables(), ['mikro_orm_migrations_writer', 'one', 'three', 'two'])
    })

    await t.test('on the way down stops too, and what was reverted before it says so', async t => {
      await rest.sql('drop table two')
      const error = await migrations.downgrade({ to: 'base' }).catch(reason => reason)
      t.match(error.failure, {
        revision: '20250102000001_two',
        direction: 'down',
        statement: 1,
        statements: 1,
        remaining: 0,
      })
      const isBack = isMySql ? [] : ['20250103000000_three']
      t.same(await applied(), ['20250101000000_one', '20250102000001_two', ...isBack])
      t.same(await tables(), ['mikro_orm_migrations_writer', 'one', ...(isMySql ? [] : ['three'])])
    })
  })
})

t.test('a revision whose own code fails rolls back too', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const folder = await makeFolder(t)
      await writeRevision(
        folder,
        '20250101000000_one',
        "await this.execute('create table one (id int)'); throw new TypeError('oh')",
      )
      const { migrations, tables } = await release(t, backend, folder, first())
      const error = await migrations.upgrade().catch(reason => reason)
      t.match(error.message, /failed at its up\(\): oh\./)
      t.same(error.failure.remaining, backend.dialect === 'mysql' ? undefined : 0)
      t.match(error.message, backend.dialect === 'mysql' ? /its code ran itself may remain/ : /rolled back/)
      t.equal((await tables()).includes('one'), backend.dialect === 'mysql')
      await t.rejects(migrations.upgrade({ sql: true }), { code: 'SQLA_ERR_MIGRATION_SQL' })
    },
    ['PostgreSQL', 'MariaDB', 'SQLite'],
  )
})

t.test('a constraint that is checked at COMMIT only', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const folder = await makeFolder(t)
      const deferred = backend.dialect === 'sqlite' ? '' : ' deferrable initially deferred'
      await writeRevision(
        folder,
        '20250101000000_one',
        sql(
          'create table one (id int primary key)',
          `create table two (id int primary key, one int references one (id)${deferred})`,
          'insert into two values (1, 7)',
        ),
      )
      const { migrations, tables } = await release(t, backend, folder, first())
      const error = await migrations.upgrade().catch(reason => reason)
      t.match(error, { code: 'SQLA_ERR_MIGRATION_FAILED', failure: { statement: undefined, remaining: 0 } })
      t.match(error.message, /failed at COMMIT: /)
      t.same(await tables(), [])
    },
    ['PostgreSQL', 'SQLite'],
  )
})

t.test('a revision that cannot run in a transaction', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const folder = await makeFolder(t)
      await writeRevision(
        folder,
        '20250101000000_one',
        sql('create table one (id int)'),
        sql('drop table one'),
      )
      await writeRevision(
        folder,
        '20250102000000_index',
        sql(backend.dialect === 'sqlite' ? 'vacuum' : 'create index concurrently one_id on one (id)'),
        sql('select 1'),
        'override isTransactional() { return false }',
      )
      await writeRevision(
        folder,
        '20250103000000_three',
        sql('create table three (id int)', 'select nothing'),
      )
      const { migrations, tables } = await release(t, backend, folder, first())
      const error = await migrations.upgrade().catch(reason => reason)
      t.match(error.failure, {
        done: ['20250101000000_one', '20250102000000_index'],
        revision: '20250103000000_three',
        rolledBack: [],
      })
      t.same(await tables(), ['mikro_orm_migrations_writer', 'one'])
      const [printed] = await migrations.downgrade({ to: 'base', sql: true })
      t.match(
        printed?.sql?.filter(line => /^(begin|commit|--)/.test(line)),
        [/-- writer: down 20250102000000_index/, 'begin;', /-- writer: down 20250101000000_one/, 'commit;'],
      )
      t.match(await migrations.downgrade({ to: 'base' }), [
        { revisions: ['20250102000000_index', '20250101000000_one'] },
      ])
    },
    ['PostgreSQL', 'SQLite'],
  )
})
