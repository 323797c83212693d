import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Leadership } from '../../plugins/events/leadership.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Account, followedApp, until } from './followed-app.ts'

await onEveryBackend(
  t,
  async (t, backend) => {
    const { bank, engine, counting, sql, total } = await followedApp(t, backend)
    const table = bank.recorder.tables.tracking
    const holders = async () =>
      Number(
        (
          await sql(
            "select count(*)::int as held from pg_locks where locktype = 'advisory' and objsubid = 1 and granted and database = (select oid from pg_database where datname = current_database())",
          )
        )[0]?.held,
      )
    const connections = async () =>
      Number(
        (
          await sql(
            "select count(*)::int as open from pg_stat_activity where datname = current_database() and query ~ 'pg_try_advisory_lock|tcp_keepalives_idle|heartbeat' and pid <> pg_backend_pid()",
          )
        )[0]?.open,
      )
    /** Ends the connections of those who are elected. */
    const cut = () =>
      sql(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1 and granted and database = (select oid from pg_database where datname = current_database())",
      )

    t.test('one of several is elected, and when it gives up another one is', async t => {
      const never = new AbortController()
      const first = Leadership.of({ engine, table, name: 'office' }) as Leadership
      const second = Leadership.of({ engine, table, name: 'office' }) as Leadership
      const elsewhere = Leadership.of({ engine, table, name: 'another office' }) as Leadership
      t.teardown(() => Promise.all([first.close(), second.close(), elsewhere.close()]))
      const term = await first.elected(never.signal)
      t.equal(await first.elected(never.signal), term)
      t.ok(await elsewhere.elected(never.signal))
      const later = second.elected(never.signal)
      t.equal(await Promise.race([later, sleep(1_200, 'not yet')]), 'not yet')
      t.notOk(second.isElected)
      const begun = performance.now()
      await first.close()
      t.ok(term?.aborted)
      t.ok(await later)
      t.ok(performance.now() - begun < 2_000)
      await Promise.all([second.close(), elsewhere.close()])
      await until(async () => (await holders()) === 0, 'no lock is left')
      await until(async () => (await connections()) === 0, 'no connection is left')
    })

    t.test('whoever waits to be elected can give up', async t => {
      const first = Leadership.of({ engine, table, name: 'office' }) as Leadership
      const second = Leadership.of({ engine, table, name: 'office' }) as Leadership
      const giveUp = new AbortController()
      await first.elected(giveUp.signal)
      const waiting = second.elected(giveUp.signal)
      await sleep(20)
      giveUp.abort()
      t.equal(await waiting, undefined)
      t.ok(first.isElected)
      await Promise.all([first.close(), second.close()])
      t.equal(await first.elected(new AbortController().signal), undefined)
      await until(async () => (await connections()) === 0, 'no connection is left')
    })

    t.test('a connection that is lost ends the term at once', async t => {
      const first = Leadership.of({ engine, table, name: 'office' }) as Leadership
      t.teardown(() => first.close())
      const never = new AbortController()
      const term = (await first.elected(never.signal)) as AbortSignal
      await cut()
      await until(() => term.aborted, 'the term has ended', 1_000)
      t.notOk(first.isElected)
      t.ok(await first.elected(never.signal), 'it stands again')
    })

    t.test('of two runners one works and the other stands by; it takes over', async t => {
      const { runner, another, count } = await counting(t)
      const other = another()
      await runner.start()
      await until(() => runner.status.state === 'running', 'the first is elected')
      await other.start()
      await bank.busy(20)
      await runner.wait(await bank.settled(), { timeout: 20_000 })
      t.equal(other.status.state, 'candidate')
      await runner.stop()
      const begun = performance.now()
      await other.wait(await bank.save(Account.open('Ada')), { timeout: 20_000 })
      t.ok(performance.now() - begun < 2_000)
      t.equal(other.status.state, 'running')
      t.equal(await count(), await total())
      await other.stop()
      await until(async () => (await connections()) === 0, 'no connection is left')
    })

    t.test('a runner that is not elected any more begins no other event', async t => {
      const entered = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      let handled = 0
      const { runner, count } = await counting(t, {
        name: 'deposed',
        async handle(_event, em) {
          handled++
          entered.resolve()
          await gate.promise
          await em.execute('update deposed_view set counted = counted + 1 where id = 1')
        },
      })
      await bank.busy(5)
      await runner.start()
      await entered.promise
      const usurper = Leadership.of({ engine, table, name: 'deposed' }) as Leadership
      t.teardown(() => usurper.close())
      const elected = usurper.elected(new AbortController().signal)
      await cut()
      t.ok(await elected)
      gate.resolve()
      await until(() => runner.status.state === 'candidate', 'it stands by')
      t.equal(handled, 1)
      t.equal(await count(), 1, 'and what it had done is not undone')
      await usurper.close()
      await runner.wait(await bank.settled(), { timeout: 20_000 })
      t.equal(await count(), await total())
      t.equal(handled, await total())
    })

    t.test('whoever gives up while it connects leaves nothing behind', async t => {
      for (let delay = 0; delay < 12; delay++) {
        const one = Leadership.of({ engine, table, name: 'hasty' }) as Leadership
        const giveUp = new AbortController()
        const elected = one.elected(giveUp.signal)
        await sleep(delay)
        giveUp.abort()
        await Promise.race([elected, sleep(10_000, undefined, { ref: false }).then(() => t.fail('it hangs'))])
        await one.close()
      }
      await until(async () => (await connections()) === 0, 'no connection is left')
      t.pass('none is left')
    })
  },
  ['PostgreSQL', 'PostgreSQL 15'],
)

await onEveryBackend(
  t,
  async (t, backend) => {
    const { bank, engine } = await followedApp(t, backend)
    t.equal(
      Leadership.of({ engine, table: bank.recorder.tables.tracking, name: 'office' }),
      undefined,
      'there is no election',
    )
  },
  ['MariaDB', 'SQLite'],
)
