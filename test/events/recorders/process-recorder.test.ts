import { randomUUID } from 'node:crypto'
import t from 'tap'
import { event, events, onEveryStore, type TestStore } from './stores.ts'

// Events and tracking together, on every database and in every ordering.

/** What there is: ids of the log, and where `name` is. */
async function stateOf(store: TestStore, name = 'a'): Promise<[events: number, tracking: number | null]> {
  const found = await store.process.selectNotifications({ limit: 10_000 })
  return [found.length, await store.tracking.maxTrackingId(name)]
}

await onEveryStore(t, async (t, { app, backend, ordering, make }) => {
  const isLate = backend.dialect === 'postgresql' && ordering === 'strict'
  const tracking = (notificationId: number, applicationName = 'a') => ({ applicationName, notificationId })

  t.test('events and tracking are recorded together', async t => {
    const store = await make()
    t.same(
      await store.process.insertEvents(events(2), { tracking: tracking(7) }),
      isLate ? undefined : [1, 2],
    )
    t.same(await stateOf(store), [2, 7])
    t.same(await store.process.insertEvents(events(1)), isLate ? undefined : [3])
    t.same(await stateOf(store), [3, 7])
    t.same(await store.process.insertEvents([], { tracking: tracking(8) }), [])
    t.same(await stateOf(store), [3, 8])
    await store.process.insertEvents(events(1_203), { tracking: tracking(9) })
    t.same(await stateOf(store), [1_206, 9])
    t.equal(await store.process.tracking.maxTrackingId('a'), 9)
  })

  t.test('a notification that was processed records no events', async t => {
    const store = await make()
    await store.process.insertEvents(events(1), { tracking: tracking(7) })
    for (const id of [7, 6]) {
      for (const count of [1, 3, 700]) {
        await t.rejects(store.process.insertEvents(events(count), { tracking: tracking(id) }), {
          code: 'SQLA_ERR_TRACKING_CONFLICT',
          message: `'a' has processed notification ${id} already`,
        })
      }
      await t.rejects(store.process.insertEvents([], { tracking: tracking(id) }), {
        code: 'SQLA_ERR_TRACKING_CONFLICT',
      })
    }
    t.same(await stateOf(store), [1, 7])
    await store.process.insertEvents(events(1), { tracking: tracking(8) })
    const found = await store.process.selectNotifications({ limit: 10 })
    if (ordering === 'strict') t.match(found, [{ id: 1 }, { id: 2 }])
  })

  t.test('a version that is there records no tracking', async t => {
    const store = await make()
    const id = randomUUID()
    await store.process.insertEvents(events(2, id), { tracking: tracking(1) })
    for (const count of [0, 2, 700]) {
      await t.rejects(
        store.process.insertEvents([...events(count), event(id, 2)], { tracking: tracking(2) }),
        { code: 'SQLA_ERR_VERSION_CONFLICT' },
      )
      await t.rejects(
        store.process.insertEvents([...events(count), event(id, 2)], { tracking: tracking(2, 'new') }),
        { code: 'SQLA_ERR_VERSION_CONFLICT' },
      )
    }
    t.same(await stateOf(store), [2, 1])
    t.same(await stateOf(store, 'new'), [2, null])
  })

  t.test('what cannot be stored records nothing', async t => {
    const store = await make()
    for (const [wrong, more] of [
      [[event('Fido', 1)], { tracking: tracking(1) }],
      [events(1), { tracking: tracking(1.5) }],
      [events(1), { tracking: tracking(1, '') }],
    ] as const) {
      await t.rejects(store.process.insertEvents(wrong, more), { code: 'SQLA_ERR_INVALID_OPTION' })
    }
    t.same(await stateOf(store), [0, null])
  })

  t.test('in a transaction that goes on it is both or neither', async t => {
    const store = await make()
    const id = randomUUID()
    await store.process.insertEvents(events(1, id), { tracking: tracking(1) })
    await store.datastore.transaction(async () => {
      await t.rejects(store.process.insertEvents(events(1), { tracking: tracking(1) }), {
        code: 'SQLA_ERR_TRACKING_CONFLICT',
      })
      await store.process.insertEvents(events(1), { tracking: tracking(2) })
    })
    t.same(await stateOf(store), [2, 2])
    const attempt = store.datastore.transaction(async () => {
      for (const count of [0, 700]) {
        const batch = [...events(count), event(id, 1)]
        const error: { code?: string } = await store.process
          .insertEvents(batch, { tracking: tracking(3) })
          .then(
            () => ({}),
            error => error,
          )
        // In PostgreSQL the second meets the end of the transaction.
        if (count === 0 || backend.dialect !== 'postgresql') t.equal(error.code, 'SQLA_ERR_VERSION_CONFLICT')
      }
      await store.process.insertEvents(events(1), { tracking: tracking(4) })
    })
    if (backend.dialect === 'postgresql') {
      await t.rejects(attempt, { message: /aborted/ })
      t.same(await stateOf(store), [2, 2])
    } else {
      await attempt
      t.same(await stateOf(store), [3, 4])
    }
  })

  t.test('in a session it is part of the transaction of that', async t => {
    const store = await make()
    const em = store.datastore.em.fork()
    await em.begin()
    await store.process.at(em as never).insertEvents(events(2), { tracking: tracking(1) })
    await em.rollback()
    t.same(await stateOf(store), [0, null])
    await em.begin()
    const inside = store.process.at(em as never)
    await inside.insertEvents(events(2), { tracking: tracking(1) })
    t.equal(await inside.tracking.maxTrackingId('a'), 1)
    await em.commit()
    t.same(await stateOf(store), [2, 1])
  })

  t.test('in a session of the plugin, too', async t => {
    const store = await make()
    const id = randomUUID()
    await app.sqlAssist.run(async db => {
      const inside = store.process.at(db.get('writer') as never)
      await inside.insertEvents(events(2, id), { tracking: tracking(1) })
      await inside.insertEvents(events(700), { tracking: tracking(2) })
    })
    t.same(await stateOf(store), [702, 2])
    const failure = app.sqlAssist.run(async db => {
      await store.process.at(db.get('writer') as never).insertEvents(events(2), { tracking: tracking(3) })
      throw new Error('no')
    })
    await t.rejects(failure, { message: 'no' })
    t.same(await stateOf(store), [702, 2])
    // Where a transaction outlives a failed statement.
    if (backend.dialect === 'postgresql') return
    await app.sqlAssist.run(async db => {
      const inside = store.process.at(db.get('writer') as never)
      for (const count of [0, 700]) {
        await t.rejects(inside.insertEvents([...events(count), event(id, 1)], { tracking: tracking(3) }), {
          code: 'SQLA_ERR_VERSION_CONFLICT',
        })
      }
      await inside.insertEvents(events(1), { tracking: tracking(3) })
    })
    t.same(await stateOf(store), [703, 3])
  })

  t.test('of many that process the same notification one succeeds', async t => {
    const store = await make()
    for (const notificationId of [1, 2, 3]) {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, () =>
          store.process.insertEvents(events(2), { tracking: tracking(notificationId) }),
        ),
      )
      const lost = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
      t.equal(lost.length, 9)
      for (const { reason } of lost) {
        if (reason.code !== 'SQLA_ERR_TRACKING_CONFLICT') t.fail(String(reason))
      }
      t.same(await stateOf(store), [2 * notificationId, notificationId])
    }
  })

  t.test('who waits for it is woken', async t => {
    const store = await make()
    const waiting = store.tracking.wait('a', 1, { timeout: 60_000 })
    await store.process.insertEvents(events(1), { tracking: tracking(1) })
    t.equal(await waiting, undefined)
  })
})
