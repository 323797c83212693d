import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CommitSignal } from '../../plugins/events/commit-signal.ts'
import { Datastore } from '../../plugins/events/datastore.ts'
import { eventually } from '../support/app.ts'
import { onEveryBackend } from '../support/backends.ts'
import { elsewhere, logOn, within } from './logs.ts'
import { engineOn, events } from './recorders/stores.ts'

// Who is told of a commit, and when.

/** A notification takes as long as the test wants. */
function signal(t: Test) {
  const wakes: boolean[] = []
  const sent: { at: number; end: () => void; fail: () => void }[] = []
  let running = 0
  let isOver = false
  const one = new CommitSignal({
    wake: isCertain => wakes.push(isCertain),
    notify() {
      if (isOver) return Promise.resolve()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      running++
      if (running > 1) t.fail('two at once')
      const settled = (settle: () => void) => () => {
        running--
        settle()
      }
      sent.push({
        at: performance.now(),
        end: settled(resolve),
        fail: settled(() => reject(new RangeError('away'))),
      })
      return promise
    },
  })
  t.teardown(() => {
    isOver = true
    sent.at(-1)?.end()
    return one.flush()
  })
  return { one, wakes, sent }
}

await onEveryBackend(
  t,
  async (t, backend) => {
    const { app, engine } = await engineOn(t, backend)
    const datastore = new Datastore(engine)

    t.test('what is committed is told at once', async t => {
      const { one, wakes, sent } = signal(t)
      one.announce(datastore)
      t.same(wakes, [true])
      t.equal(sent.length, 1)
    })

    t.test('one notification at a time, and at the end one for all that came meanwhile', async t => {
      const { one, wakes, sent } = signal(t)
      for (let n = 0; n < 100; n++) one.announce(datastore)
      await sleep(60)
      t.equal(wakes.length, 100, 'this process hears of each')
      t.equal(sent.length, 1)
      sent[0]?.end()
      const ended = performance.now()
      t.ok(await eventually(() => sent.length === 2))
      t.ok((sent[1]?.at ?? 0) - ended >= 18, 'after a pause')
      sent[1]?.end()
      await sleep(60)
      t.equal(sent.length, 2, 'and no more than that')
    })

    t.test('whoever goes on for long is told of every 20 ms', async t => {
      const { one, sent } = signal(t)
      const end = performance.now() + 300
      while (performance.now() < end) {
        one.announce(datastore)
        sent.at(-1)?.end()
        await sleep(1)
      }
      t.ok(sent.length > 3 && sent.length <= 16, `${sent.length} times in 300 ms`)
      const gaps = sent.slice(1).map(({ at }, n) => at - (sent[n]?.at ?? 0))
      t.ok(Math.min(...gaps) >= 18, `${gaps}`)
    })

    t.test('one that cannot be sent is let go', async t => {
      const { one, sent } = signal(t)
      one.announce(datastore)
      sent[0]?.fail()
      await sleep(30)
      one.announce(datastore)
      t.equal(sent.length, 2)
    })

    t.test('at the end what has not been sent is sent, and nothing is left', async t => {
      const { one, sent } = signal(t)
      one.announce(datastore)
      one.announce(datastore)
      const flushed = one.flush()
      t.equal(await within(flushed, 30), 'nothing yet')
      sent[0]?.end()
      t.ok(await eventually(() => sent.length === 2))
      sent[1]?.end()
      await flushed
      await sleep(40)
      t.equal(sent.length, 2)
    })

    t.test('other processes are not told where they do not want to be', async t => {
      const { one, wakes, sent } = signal(t)
      one.announce(datastore, false)
      t.equal(wakes.length, 1)
      t.equal(sent.length, 0)
    })

    t.test(
      'inside a transaction it is told after its commit, and never of one that is rolled back',
      async t => {
        const { one, wakes, sent } = signal(t)
        await datastore.transaction(async () => {
          one.announce(datastore)
          t.equal(wakes.length, 0)
        })
        t.equal(wakes.length, 1)
        sent[0]?.end()
        await t.rejects(
          datastore.transaction(async () => {
            one.announce(datastore)
            throw new RangeError('changed my mind')
          }),
        )
        t.equal(wakes.length, 1)

        await app.sqlAssist.run(async db => {
          const session = db.get('writer')
          await session.execute('select 1')
          one.announce(datastore.at(session as never))
          t.equal(wakes.length, 1)
        })
        t.same(wakes, [true, true])
        await t.rejects(
          app.sqlAssist.run(async db => {
            const session = db.get('writer')
            await session.execute('select 1')
            one.announce(datastore.at(session as never))
            throw new RangeError('changed my mind')
          }),
        )
        t.equal(wakes.length, 2)
      },
    )

    if (backend.dialect !== 'postgresql') return

    t.test('a notification is no part of the transaction, nor of one that is open', async t => {
      const here = await logOn(t, backend, { pollInterval: 60_000 })
      const there = await elsewhere(t, backend, here, { pollInterval: 60_000 })
      const release = there.log.hold()
      t.ok(await eventually(async () => (await there.log.settled()) === 0))
      const change = there.log.changes(0)
      await here.datastore.transaction(async () => {
        await here.application.insertEvents(events(1))
        here.log.announce(here.datastore)
        t.equal(await within(change, 60), 'nothing yet')
      })
      await here.datastore.transaction(async em => {
        await em.execute('select 1')
        t.equal(await within(change, 5_000), 1, 'told although another transaction is open here')
      })
      release()
    })

    t.test('a log that is closed has told of the last commit', async t => {
      const here = await logOn(t, backend, { pollInterval: 60_000 })
      const there = await elsewhere(t, backend, here, { pollInterval: 60_000 })
      const listening = there.log.hold()
      const listens = async () => {
        const rows = await here.engine.orm.em
          .fork()
          .execute(
            `select 1 from pg_stat_activity where datname = current_database() and query ilike 'listen %'`,
          )
        return rows.length === 1
      }
      t.ok(await eventually(listens))
      const change = there.log.changes(0)
      for (let n = 0; n < 3; n++) here.log.announce(here.datastore)
      await here.insert()
      here.log.announce(here.datastore)
      await here.log.close()
      t.equal(await within(change, 5_000), 1)
      t.equal(here.engine.figures.used, 0)
      const { pool } = here.engine
      const acquire = pool.acquire.bind(pool)
      pool.acquire = () => {
        t.fail('it tells later')
        return acquire()
      }
      await sleep(40)
      listening()
    })
  },
  ['PostgreSQL', 'SQLite'],
)
