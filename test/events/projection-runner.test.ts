import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Settled } from '../../plugins/events/log-poller.ts'
import { LogReader } from '../../plugins/events/log-reader.ts'
import { TrackingRecorder } from '../../plugins/events/recorders/tracking-recorder.ts'
import { sourceOf } from '../../plugins/events/source.ts'
import { Account, onEveryBank, Tally, until } from './followed-app.ts'

await onEveryBank(t, async (t, { bank, backend, counting, sql, total, lines }) => {
  t.test('what is saved is projected, and can be waited for', async t => {
    const { runner, count } = await counting(t)
    await runner.start()
    const recordings = await bank.save(Account.open('Ada').deposit(1).deposit(2))
    await runner.wait(recordings)
    const before = await count()
    t.ok(before >= 3)
    await runner.wait(await bank.save(Account.open('Bob')))
    t.equal(await count(), before + 1)
    t.match(runner.status, { name: runner.name, state: 'running', error: undefined })
    await runner.stop()
    t.match(runner.status, { state: 'stopped' })
    await runner.done
  })

  t.test('after a stop it goes on where it was', async t => {
    const { runner, count } = await counting(t, { runner: { batch: 10 } })
    await runner.start()
    await runner.wait(await bank.settled())
    await runner.stop()
    const before = await count()
    await bank.busy(25)
    await runner.start()
    await runner.start()
    await runner.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(await count(), before + 25)
    await runner.stop()
    await runner.stop()
  })

  t.test('entities that a projection persists are there for the next event', async t => {
    await sql('create table tally (owner varchar(50) primary key, sum int not null)')
    const id = randomUUID()
    await bank.save(Account.open('Tom', id).deposit(1).deposit(2).deposit(4))
    const sizes = new Set<number>()
    const { runner } = await counting(t, {
      topics: ['Account.Deposited'],
      async handle({ originatorId, data }, em) {
        sizes.add([...em.getUnitOfWork().getIdentityMap()].length)
        if (originatorId !== id) return
        const { amount } = data as { amount: number }
        // Not flushed by a projection: it changes what it has found, or persists.
        const [row]: { sum: number }[] = await em.execute("select sum from tally where owner = 'Tom'")
        const tally = await em.findOne(Tally, 'Tom')
        t.equal(row?.sum, tally?.sum)
        if (tally === null) em.persist(em.create(Tally, { owner: 'Tom', sum: amount }))
        else tally.sum += amount
      },
    })
    await runner.start()
    await runner.wait(await bank.settled())
    t.match(await sql('select sum from tally'), [{ sum: 7 }])
    t.same([...sizes], [0], 'nothing is left over from the event before')
  })

  t.test(
    'an error stops it; what came before is committed, and those who wait learn of it at once',
    async t => {
      const id = randomUUID()
      await bank.save(Account.open('Ada', id).deposit(1).deposit(13).deposit(2))
      const settled = await bank.settled()
      let isBroken = true
      const { runner, count } = await counting(t, {
        name: 'unlucky',
        async handle({ data }, em) {
          if (isBroken && (data as { amount?: number }).amount === 13)
            throw new RangeError('13 brings bad luck')
          await em.execute('update unlucky_view set counted = counted + 1 where id = 1')
        },
      })
      await runner.start()
      const waiting = t.rejects(runner.wait(settled + 1, { timeout: 60_000 }), {
        code: 'SQLA_ERR_PROJECTION_FAILED',
      })
      const failure = (await runner.done.catch(error => error)) as Error
      await waiting
      const bad = (await bank.recorder.notificationIdOf(id, 3)) as number
      t.match(failure, {
        code: 'SQLA_ERR_PROJECTION_FAILED',
        message: `'unlucky' has stopped at notification ${bad}: 13 brings bad luck`,
        cause: { message: '13 brings bad luck' },
      })
      await t.rejects(runner.wait(1), failure)
      t.match(runner.status, { state: 'failed', error: failure })
      t.ok(lines.some(({ level, err }) => level === 'error' && err === failure))
      t.equal(
        await count(),
        (await bank.recorder.selectNotifications({ limit: 10_000, stop: bad - 1 })).length,
      )
      isBroken = false
      await runner.start()
      await runner.wait(settled, { timeout: 20_000 })
      t.equal(await count(), await total())
    },
  )

  t.test('one that has failed can be started again at once', async t => {
    let isBroken = true
    const { runner } = await counting(t, {
      handle() {
        if (isBroken) throw new RangeError('broken')
      },
    })
    await runner.start()
    await t.rejects(runner.wait(1_000_000, { timeout: 60_000 }), { code: 'SQLA_ERR_PROJECTION_FAILED' })
    isBroken = false
    await runner.start()
    await runner.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(runner.status.state, 'running')
  })

  t.test('whoever has learned of a failure asks the database no more', async t => {
    const { runner } = await counting(t, {
      handle() {
        throw new RangeError('broken')
      },
    })
    const asked = t.capture(
      TrackingRecorder.prototype,
      'hasTrackingId',
      TrackingRecorder.prototype.hasTrackingId,
    )
    await runner.start()
    await t.rejects(runner.wait(1_000_000, { timeout: 60_000 }), { code: 'SQLA_ERR_PROJECTION_FAILED' })
    asked()
    // Two of its longest pauses.
    await sleep(200)
    t.same(asked(), [])
  })

  t.test('an error that only the database sees is that of the right event, too', async t => {
    const id = randomUUID()
    await bank.save(Account.open('Ada', id).deposit(1).deposit(17).deposit(2))
    const { runner } = await counting(t, {
      async handle({ data }, em) {
        if ((data as { amount?: number }).amount !== 17) return
        // Swallowed, but the transaction is lost.
        await em.execute('select nonsense').catch(() => {})
        em.persist(em.create(Tally, { owner: null as never, sum: 0 }))
      },
    })
    await runner.start()
    const bad = await bank.recorder.notificationIdOf(id, 3)
    await t.rejects(runner.done, { message: new RegExp(`stopped at notification ${bad}: `) })
  })

  t.test('events of other topics move it on, too', async t => {
    const { runner, count } = await counting(t, { topics: ['Account.Nothing'] })
    await runner.start()
    const recordings = await bank.save(Account.open('Ada').deposit(1))
    await runner.wait(recordings)
    t.equal(await count(), 0)
    await runner.wait(await bank.settled())
  })

  t.test('a place that nobody has, as of a transaction that was rolled back, is come to', async t => {
    const { runner } = await counting(t)
    const { runner: filtered } = await counting(t, { topics: ['Account.Opened'] })
    await Promise.all([runner.start(), filtered.start()])
    await bank.save(Account.open('Ada'))
    await t.rejects(
      bank.transaction(async () => {
        await bank.save(Account.open('Bob'))
        throw new RangeError('no')
      }),
      RangeError,
    )
    const settled = await bank.settled()
    await Promise.all([
      runner.wait(settled, { timeout: 20_000 }),
      filtered.wait(settled, { timeout: 20_000 }),
    ])
    // A crash of the server would give such a place to another event.
    const last = (await bank.recorder.maxNotificationId()) as number
    t.equal(runner.status.position, last)
    t.equal(filtered.status.position, last)
    const [recording] = await bank.save(Account.open('Eve').deposit(1))
    await filtered.wait(recording === undefined ? [] : [recording], { timeout: 20_000 })
  })

  t.test('what was settled before a crash is settled no more', async t => {
    const reader = new LogReader(sourceOf(bank), {
      topics: undefined,
      batch: 2,
      failure: error => error as Error,
    })
    const now = (await reader.advance(
      { epoch: 0, settled: 0 },
      performance.now() + 10_000,
      new AbortController().signal,
    )) as Settled
    const page = await reader.page(0, now)
    t.equal(page?.events.length, 2)
    t.equal(page?.isLast, false)
    t.ok((await reader.lastingPlace(now)) > 0)
    const before = { ...now, epoch: now.epoch - 1 }
    t.equal(await reader.page(0, before), undefined)
    t.equal(await reader.lastingPlace(before), 0)
  })

  t.test('whoever starts it inside of a transaction lends it nothing', async t => {
    const { runner, count } = await counting(t)
    await bank.save(Account.open('Ada'))
    const last = (await bank.recorder.maxNotificationId()) as number
    let starting: Promise<void> | undefined
    await t.rejects(
      bank.transaction(async () => {
        starting = runner.start()
        // SQLite has one connection, which the transaction has.
        if (backend.dialect !== 'sqlite') await until(() => runner.status.position === last, 'it is done')
        throw new RangeError('undone')
      }),
      RangeError,
    )
    if (backend.dialect !== 'sqlite') t.equal(await count(), await total(), 'nothing of that was undone')
    await starting
    await runner.wait(last, { timeout: 20_000 })
    t.equal(await count(), await total())
  })

  t.test('a position that nothing has come to times out, and a signal ends the waiting', async t => {
    const { runner } = await counting(t)
    await t.rejects(runner.wait(1_000_000, { timeout: 50 }), { code: 'SQLA_ERR_WAIT_TIMEOUT' })
    const giveUp = new AbortController()
    const waiting = runner.wait(1_000_000, { timeout: 60_000, signal: giveUp.signal })
    giveUp.abort(new RangeError('enough'))
    await t.rejects(waiting, { message: 'enough' })
    await t.rejects(
      runner.wait([{ event: { originatorId: randomUUID(), originatorVersion: 1 } as never, id: undefined }], {
        timeout: 50,
      }),
      {
        code: 'SQLA_ERR_WAIT_TIMEOUT',
      },
    )
  })

  t.test('another runner, perhaps of another process, can be waited for', async t => {
    const { runner, another, count } = await counting(t)
    await runner.start()
    await another().wait(await bank.save(Account.open('Ada')), { timeout: 20_000 })
    t.equal(await count(), await total())
  })

  t.test('two at once count each event once, without an election', async t => {
    const { runner, another, count } = await counting(t, { runner: { elect: false, batch: 7 } })
    const other = another({ elect: false, batch: 5 })
    await bank.busy(50)
    await Promise.all([runner.start(), other.start()])
    for (let round = 0; round < 10; round++) await bank.save(Account.open('Ada').deposit(1))
    const settled = await bank.settled()
    await Promise.all([runner.wait(settled, { timeout: 20_000 }), other.wait(settled, { timeout: 20_000 })])
    t.equal(await count(), await total())
  })

  t.test('a reset projects everything again, also for one that is at work', async t => {
    const { runner, another, count } = await counting(t)
    await runner.start()
    await runner.wait(await bank.settled(), { timeout: 20_000 })
    const all = await count()
    await another().reset()
    await until(
      async () => (await count()) === all && runner.status.position !== 0,
      'all is counted again',
      20_000,
    )
    await runner.reset()
    await runner.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(await count(), all)
    await runner.drop()
    await t.rejects(count())
  })

  t.test('what another writer has locked or killed is tried again', async t => {
    let failures = 3
    const { runner, count } = await counting(t, {
      name: 'patient',
      async handle(_event, em) {
        await em.execute('update patient_view set counted = counted + 1 where id = 1')
        if (failures-- > 0) throw Object.assign(new Error('lost'), { code: '40P01' })
      },
    })
    await runner.start()
    await runner.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(await count(), await total())
    t.equal(lines.filter(({ message, level }) => level === 'warn' && /tries again/.test(message)).length, 1)
  })

  t.test('a signal stops it', async t => {
    const stopping = new AbortController()
    const { runner } = await counting(t, { runner: { signal: stopping.signal } })
    await runner.start()
    stopping.abort()
    await runner.done
    t.equal(runner.status.state, 'stopped')
    await runner.start()
    t.equal(runner.status.state, 'stopped')
  })

  t.test('a stop waits for the event that is under way, but not for ever', async t => {
    const entered = Promise.withResolvers<void>()
    const leave = Promise.withResolvers<void>()
    const { runner } = await counting(t, {
      runner: { stopTimeout: 50 },
      async handle() {
        entered.resolve()
        await leave.promise
      },
    })
    await runner.start()
    await entered.promise
    const begun = performance.now()
    await runner.stop()
    t.ok(performance.now() - begun < 5_000)
    t.ok(lines.some(({ message }) => /longer than stopTimeout/.test(message)))
    leave.resolve()
    await runner.done
  })

  t.test('a tracking table that is missing is an error of the start', async t => {
    const { runner } = await counting(t, { runner: { storage: { name: 'nowhere' } } })
    await t.rejects(runner.start(), { code: 'SQLA_ERR_PROJECTION_FAILED' })
    const { runner: creating } = await counting(t, {
      runner: { storage: { name: 'somewhere' }, createTables: true },
    })
    await creating.start()
    await creating.wait(await bank.settled(), { timeout: 20_000 })
  })

  if (backend.dialect !== 'postgresql') return
  t.test('connections that are cut are no reason to stop', async t => {
    const { runner, count } = await counting(t, { runner: { batch: 5 } })
    await bank.busy(50)
    await runner.start()
    for (let cut = 1; cut <= 5; cut++) {
      const before = runner.status.position ?? 0
      await until(() => (runner.status.position ?? 0) > before || cut > 4, 'it goes on')
      await sql(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
    }
    await runner.wait(await total().then(() => bank.recorder.maxNotificationId() as Promise<number>), {
      timeout: 20_000,
    })
    t.equal(await count(), await total())
    t.equal(runner.status.state, 'running')
  })
})
