import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Datastore } from '../../../plugins/events/datastore.ts'
import { Moves } from '../../../plugins/events/recorders/moves.ts'
import { TrackingRecorder } from '../../../plugins/events/recorders/tracking-recorder.ts'
import type { SqlEm } from '../../../src/index.ts'
import { onEveryStore } from './stores.ts'

// How far followers have come, on every database.

await onEveryStore(t, async (t, { backend, ordering, make, engine, sql }) => {
  // The table is the same in all orderings.
  if (backend.dialect === 'postgresql' && ordering === 'strict') return

  t.test('who has processed nothing is nowhere', async t => {
    const { tracking } = await make()
    t.equal(await tracking.maxTrackingId('a'), null)
    t.equal(await tracking.hasTrackingId('a', 1), false)
    t.equal(await tracking.hasTrackingId('a', 0), false)
  })

  t.test('each name moves for itself, and only forward', async t => {
    const { tracking } = await make()
    const move = (applicationName: string, notificationId: number): Promise<void> =>
      tracking.insertTracking({ applicationName, notificationId })
    await move('a', 1)
    await move('a', 2)
    await move('a', 5)
    await move('b', 3)
    for (const id of [5, 4, 1, 0, -7]) {
      await t.rejects(move('a', id), { code: 'SQLA_ERR_TRACKING_CONFLICT', statusCode: 409 })
    }
    t.equal(await tracking.maxTrackingId('a'), 5)
    t.equal(await tracking.maxTrackingId('b'), 3)
    t.equal(await tracking.hasTrackingId('a', 5), true)
    t.equal(await tracking.hasTrackingId('a', 3), true, 'what is before has been processed')
    t.equal(await tracking.hasTrackingId('a', 6), false)
    await move('b', Number.MAX_SAFE_INTEGER)
    t.equal(await tracking.maxTrackingId('b'), Number.MAX_SAFE_INTEGER)
  })

  t.test('names are what they are', async t => {
    const { tracking } = await make()
    const NAMES = ["it's", 'It’s', 'a?', 'a\\', '😀', 'dogs@2', 'Dogs@2', "'; drop table x; --", '__proto__']
    for (const [place, applicationName] of NAMES.entries()) {
      await tracking.insertTracking({ applicationName, notificationId: place + 1 })
    }
    for (const [place, name] of NAMES.entries()) t.equal(await tracking.maxTrackingId(name), place + 1, name)
  })

  t.test('what makes no sense is refused', async t => {
    const { tracking } = await make()
    for (const wrong of [
      { applicationName: '', notificationId: 1 },
      { applicationName: 7, notificationId: 1 },
      { applicationName: 'a\0', notificationId: 1 },
      { applicationName: 'a', notificationId: 1.5 },
      { applicationName: 'a', notificationId: '1' },
      { applicationName: 'a' },
    ]) {
      await t.rejects(tracking.insertTracking(wrong as never), { code: 'SQLA_ERR_INVALID_OPTION' })
    }
    await t.rejects(tracking.hasTrackingId('a', 'x' as never), { code: 'SQLA_ERR_INVALID_OPTION' })
    await t.rejects(tracking.maxTrackingId(undefined as never), { code: 'SQLA_ERR_INVALID_OPTION' })
    for (const timeout of [-1, Number.NaN, 2 ** 31, '10']) {
      await t.rejects(tracking.wait('a', 1, { timeout: timeout as never }), {
        code: 'SQLA_ERR_INVALID_OPTION',
      })
    }
  })

  t.test('of many that record the same notification one succeeds', async t => {
    const { tracking } = await make()
    for (const notificationId of [1, 2]) {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, () => tracking.insertTracking({ applicationName: 'a', notificationId })),
      )
      const lost = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
      t.equal(lost.length, 19)
      for (const { reason } of lost) {
        if (reason.code !== 'SQLA_ERR_TRACKING_CONFLICT') t.fail(String(reason))
      }
    }
  })

  t.test('of many that record different ones the last is what stays', async t => {
    const { tracking } = await make()
    const ids = Array.from({ length: 20 }, (_, place) => ((place * 7) % 20) + 1)
    const outcomes = await Promise.allSettled(
      ids.map(notificationId => tracking.insertTracking({ applicationName: 'a', notificationId })),
    )
    t.equal(outcomes[ids.indexOf(20)]?.status, 'fulfilled')
    t.equal(await tracking.maxTrackingId('a'), 20)
  })

  t.test('in a session it is part of the transaction of that', async t => {
    const { tracking } = await make()
    const em = engine.orm.em.fork()
    await em.begin()
    const inside = tracking.at(em as never)
    await inside.insertTracking({ applicationName: 'a', notificationId: 2 })
    await t.rejects(inside.insertTracking({ applicationName: 'a', notificationId: 2 }), {
      code: 'SQLA_ERR_TRACKING_CONFLICT',
    })
    t.equal(await inside.maxTrackingId('a'), 2, 'which goes on')
    await em.rollback()
    t.equal(await tracking.maxTrackingId('a'), null)
  })

  t.test('waiting for what has been processed is no waiting', async t => {
    const { tracking } = await make()
    await tracking.insertTracking({ applicationName: 'a', notificationId: 3 })
    await tracking.wait('a', 3)
    await tracking.wait('a', 1, { timeout: 0 })
    t.equal(await tracking.wait('a', 3, { signal: new AbortController().signal }), undefined)
  })

  t.test('waiting ends with its time', async t => {
    const { tracking } = await make()
    await tracking.insertTracking({ applicationName: 'a', notificationId: 3 })
    for (const timeout of [0, 60]) {
      const began = performance.now()
      await t.rejects(tracking.wait('a', 4, { timeout }), {
        code: 'SQLA_ERR_WAIT_TIMEOUT',
        statusCode: 503,
        message: `'a' has not come to notification 4 within ${timeout} ms`,
      })
      t.ok(performance.now() - began > timeout - 2)
    }
  })

  t.test('waiting is interrupted by a signal', async t => {
    const { tracking } = await make()
    const reason = new Error('enough')
    await t.rejects(tracking.wait('a', 1, { signal: AbortSignal.abort(reason) }), reason)
    const controller = new AbortController()
    const waiting = tracking.wait('a', 1, { timeout: 60_000, signal: controller.signal })
    setTimeout(() => controller.abort(reason), 20)
    t.equal(await waiting.catch(error => error), reason)
  })

  t.test('waiting fails with what a look fails with', async t => {
    const { tracking, tables } = await make()
    const waiting = tracking.wait('a', 1, { timeout: 60_000 }).catch(error => error)
    await sql(`drop table ${tables.tracking.sql}`)
    t.equal((await waiting).name, 'TableNotFoundException')
  })

  t.test('who waits is woken by whoever moves in this process, once that is committed', async t => {
    const store = await make()
    // Another one on the same table.
    const other = new TrackingRecorder({ datastore: store.datastore, table: store.tables.tracking })
    const woken: string[] = []
    const waiting = [
      store.tracking.wait('a', 2, { timeout: 60_000 }).then(() => woken.push('a 2')),
      store.tracking.wait('a', 5, { timeout: 60_000 }).then(() => woken.push('a 5')),
      store.tracking.wait('b', 1, { timeout: 60_000 }).then(() => woken.push('b 1')),
    ]
    await other.insertTracking({ applicationName: 'a', notificationId: 1 })
    await other.insertTracking({ applicationName: 'a', notificationId: 4 })
    await waiting[0]
    t.same(woken, ['a 2'])
    await store.datastore.transaction(async () => {
      await other.insertTracking({ applicationName: 'a', notificationId: 5 })
      await store.process.tracking.insertTracking({ applicationName: 'b', notificationId: 1 })
      t.same(woken, ['a 2'])
    })
    await Promise.all(waiting)
    t.same([...woken].sort(), ['a 2', 'a 5', 'b 1'])
  })

  t.test('what is not committed is told to nobody', async t => {
    const store = await make()
    const move = Moves.of(engine, store.tables.tracking).next('a')
    let isMade = false
    const made = move.made.then(() => {
      isMade = true
    })
    const record = async (notificationId: number): Promise<void> => {
      await store.tracking.insertTracking({ applicationName: 'a', notificationId })
      await setImmediate()
      t.notOk(isMade)
    }
    const failure = store.datastore.transaction(async () => {
      await record(1)
      throw new Error('no')
    })
    await t.rejects(failure, { message: 'no' })
    await store.datastore.transaction(() => record(2))
    await made
    t.ok(isMade)
    move.forget()
  })

  t.test('and at once, not with the next look', async t => {
    const store = await make()
    let looks = 0
    class Counting extends Datastore {
      override run<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
        looks++
        return super.run(work)
      }
    }
    const waiter = new TrackingRecorder({ datastore: new Counting(engine), table: store.tables.tracking })
    const delays: number[] = []
    for (let id = 1; id <= 4; id++) {
      looks = 0
      const waiting = waiter.wait('a', id, { timeout: 20_000 })
      // The next look is 80 ms away, or further.
      while (looks < 4) await sleep(1)
      const began = performance.now()
      await store.tracking.insertTracking({ applicationName: 'a', notificationId: id })
      await waiting
      delays.push(performance.now() - began)
    }
    t.ok(Math.min(...delays) < 60, `${delays} ms`)
  })

  t.test('who waits sees what somebody else has recorded', async t => {
    const { tracking, tables } = await make()
    const waiting = tracking.wait('a', 2, { timeout: 60_000 })
    await sleep(30)
    await sql(`insert into ${tables.tracking.sql} values ('a', 2)`)
    t.equal(await waiting, undefined)
  })

  t.test('waiting leaves no timer and no listener behind', async t => {
    const { tracking } = await make()
    const timers = (): number => process.getActiveResourcesInfo().filter(one => one === 'Timeout').length
    const { signal } = new AbortController()
    const before = timers()
    let listeners = 0
    const { addEventListener, removeEventListener } = signal
    signal.addEventListener = (...args: unknown[]) => {
      listeners++
      return (addEventListener as (...args: unknown[]) => void).apply(signal, args)
    }
    signal.removeEventListener = (...args: unknown[]) => {
      listeners--
      return (removeEventListener as (...args: unknown[]) => void).apply(signal, args)
    }
    const waiting = tracking.wait('a', 1, { timeout: 60_000, signal })
    await sleep(30)
    t.ok(timers() > before)
    t.equal(listeners, 1)
    await tracking.insertTracking({ applicationName: 'a', notificationId: 1 })
    await waiting
    await t.rejects(tracking.wait('a', 2, { timeout: 15, signal }), { code: 'SQLA_ERR_WAIT_TIMEOUT' })
    t.equal(listeners, 0)
    // The look that was under way when the time was over ends by itself.
    for (let round = 0; round < 100 && timers() > before; round++) await sleep(5)
    t.ok(timers() <= before)
  })
})
