import { randomUUID } from 'node:crypto'
import { defineConfig } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import t from 'tap'
import { followers } from '../../plugins/events/followers.ts'
import { Projection } from '../../plugins/events/projection.ts'
import { ProjectionRunner } from '../../plugins/events/projection-runner.ts'
import { errors as coreErrors, type SqlEm } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Account, followedApp } from './followed-app.ts'

t.test('a version is tracked by itself', async t => {
  const handle = (): void => {}
  t.equal(new Projection({ name: 'sums', handle }).trackingName, 'sums')
  t.equal(new Projection({ name: 'sums', version: 1, handle }).trackingName, 'sums')
  t.equal(new Projection({ name: 'sums', version: 2, handle }).trackingName, 'sums@2')
})

t.test('options that make no sense are refused', async t => {
  const handle = (): void => {}
  for (const options of [
    { name: '', handle },
    { name: 'x'.repeat(201), handle },
    { name: 'a\0b', handle },
    { name: 7, handle },
    { name: 'sums', version: 0, handle },
    { name: 'sums', version: 1.5, handle },
    { name: 'sums' },
  ]) {
    t.throws(() => new Projection(options as never), { code: 'SQLA_ERR_INVALID_OPTION' })
  }
})

await onEveryBackend(
  t,
  async (t, backend) => {
    const { app, bank, engine, sql, counting } = await followedApp(t, backend)
    /** The sum of the deposits of each account; version 2 also knows how many there were. */
    const sums = (version: 1 | 2): Projection =>
      new Projection({
        name: 'sums',
        version,
        topics: ['Account.Deposited'],
        async create(em) {
          const more = version === 1 ? '' : ', deposits int not null'
          await em.execute(
            `create table if not exists sums_${version} (id varchar(36) primary key, total int not null${more})`,
          )
        },
        drop: em => em.execute(`drop table sums_${version}`),
        async handle({ originatorId, data }, em: SqlEm) {
          const { amount } = data as { amount: number }
          const more = version === 1 ? '' : ', deposits = deposits + 1'
          const { affectedRows } = await em.execute<{ affectedRows: number }>(
            `update sums_${version} set total = total + ?${more} where id = ?`,
            [amount, originatorId],
            'run',
          )
          if (affectedRows > 0) return
          const values = version === 1 ? '' : ', 1'
          await em.execute(`insert into sums_${version} values (?, ?${values})`, [originatorId, amount])
        },
      })

    t.test('a new version is made beside the old one, which goes on serving', async t => {
      const EVENTS = backend.dialect === 'mysql' ? 500 : 5_000
      const ids = Array.from({ length: 10 }, () => randomUUID())
      for (const id of ids) {
        const account = Account.open('x', id)
        for (let event = 1; event < EVENTS / ids.length; event++) account.deposit(event % 7)
        await bank.save(account)
      }
      const first = new ProjectionRunner({ application: bank, projection: sums(1) })
      const second = new ProjectionRunner({ application: bank, projection: sums(2) })
      t.teardown(() => Promise.all([first.stop(), second.stop()]))
      await first.start()
      await first.wait(await bank.settled(), { timeout: 60_000 })
      const [expected] = await sql('select sum(total) as total from sums_1')

      await second.start()
      const account = await bank.repository.get(ids[0] as string)
      account.deposit(1_000)
      const recordings = await bank.save(account)
      await first.wait(recordings, { timeout: 20_000 })
      const [during] = await sql('select sum(total) as total from sums_1')
      t.equal(Number(during?.total), Number(expected?.total) + 1_000, 'the old one is up to date meanwhile')

      await second.wait(await bank.settled(), { timeout: 60_000 })
      const [after] = await sql('select sum(total) as total, sum(deposits) as deposits from sums_2')
      t.equal(Number(after?.total), Number(during?.total), 'the new one has caught up')
      t.equal(Number(after?.deposits), EVENTS - ids.length + 1)

      await first.drop()
      await t.rejects(sql('select * from sums_1'), 'the old one is gone')
      const tracked = await sql(
        `select application_name from ${bank.recorder.tables.tracking.sql} where application_name like 'sums%'`,
      )
      t.match(tracked, [{ application_name: 'sums@2' }])
      account.deposit(1)
      await second.wait(await bank.save(account), { timeout: 20_000 })
      await second.stop()
    })

    t.test('the view and its tracking may be in another database', async t => {
      await app.sqlAssist.engines.add('views', {
        orm: defineConfig({
          dbName: ':memory:',
          entities: [],
          discovery: { warnWhenNoEntities: false },
        }) as never,
      })
      const views = app.sqlAssist.engines.get('views' as never)
      const { runner, count, projection } = await counting(t, {
        runner: { on: views, createTables: true, storage: { name: 'elsewhere' } },
      })
      await runner.start()
      await bank.save(Account.open('Ada').deposit(1))
      await runner.wait(await bank.settled(), { timeout: 60_000 })
      t.equal(await count(), (await bank.recorder.selectNotifications({ limit: 100_000 })).length)
      const [tracked] = await views.orm.em
        .fork()
        .execute('select notification_id as id from elsewhere_tracking where application_name = ?', [
          projection.trackingName,
        ])
      t.equal((tracked as { id: number }).id, await bank.settled())
      await runner.stop()
    })

    t.test('an engine that only reads, and an application of a session, are refused', async t => {
      const reading = Object.create(engine, { readOnly: { value: true } })
      const projection = sums(1)
      t.throws(() => new ProjectionRunner({ application: bank, projection, on: reading }), {
        code: 'SQLA_ERR_EVENTS_STORAGE',
      })
      await bank.transaction(async session => {
        t.throws(() => new ProjectionRunner({ application: bank.at(session), projection }), {
          code: 'SQLA_ERR_EVENTS_STORAGE',
        })
      })
    })

    t.test('runners live as long as the application', async t => {
      const { runner } = await counting(t)
      const web = Fastify()
      followers(web, runner)
      t.equal(runner.status.state, 'stopped')
      await web.ready()
      t.not(runner.status.state, 'stopped')
      await runner.wait(await bank.settled(), { timeout: 60_000 })
      await web.close()
      t.equal(runner.status.state, 'stopped')
    })

    t.test('closing the application whose events are followed ends the runner', async t => {
      const closing = await followedApp(t, backend)
      const { runner } = await closing.counting(t)
      await runner.start()
      await closing.bank.close()
      await runner.done
      t.equal(runner.status.state, 'stopped')
      await t.rejects(runner.start(), { code: 'SQLA_ERR_CLOSED' })
    })

    t.test('a database that is closed under it ends it, too, and that is no failure', async t => {
      const { runner } = await counting(t, {
        handle() {
          throw new coreErrors.SQLA_ERR_CLOSED("Engine 'views'")
        },
      })
      await bank.save(Account.open('Ada'))
      await runner.start()
      await runner.done
      t.match(runner.status, { state: 'stopped', error: undefined })
    })
  },
  ['PostgreSQL', 'MariaDB', 'SQLite'],
)
