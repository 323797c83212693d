import { randomUUID } from 'node:crypto'
import t from 'tap'
import { Datastore } from '../../../plugins/events/datastore.ts'
import { ApplicationRecorder } from '../../../plugins/events/recorders/application-recorder.ts'
import type {
  Notification,
  SelectNotificationsOptions,
  StoredEvent,
} from '../../../plugins/events/stored-event.ts'
import { event, events, onEveryStore, type TestStore } from './stores.ts'

// The log of an application, on every database and in every ordering.

const idsOf = (found: readonly Notification[]): number[] => found.map(({ id }) => id)

const all = (store: TestStore): Promise<Notification[]> =>
  store.application.selectNotifications({ limit: 100_000 })

await onEveryStore(t, async (t, { backend, ordering, make, engine, sql }) => {
  const isLate = backend.dialect === 'postgresql' && ordering === 'strict'

  t.test('an empty log has no notifications', async t => {
    const store = await make()
    t.equal(await store.application.maxNotificationId(), null)
    t.same(await all(store), [])
    t.equal(await store.application.notificationIdOf(randomUUID(), 1), undefined)
    t.same(await store.application.insertEvents([]), [])
  })

  t.test('notifications are numbered from 1 in the order of the events', async t => {
    const store = await make()
    const [a, b] = [randomUUID(), randomUUID()]
    const first = [event(a, 1), event(b, 1, { topic: 'Cat' }), event(a, 2, { state: Buffer.alloc(0) })]
    t.same(await store.application.insertEvents(first), isLate ? undefined : [1, 2, 3])
    const second = [event(b, 2), event(a, 3)]
    t.same(await store.application.insertEvents(second), isLate ? undefined : [4, 5])
    t.equal(await store.application.maxNotificationId(), 5)
    const found = await all(store)
    t.same(
      found.map(one => ({ ...one, state: String(Buffer.from(one.state)) })),
      [...first, ...second].map((one, place) => ({
        id: place + 1,
        ...one,
        state: String(Buffer.from(one.state)),
      })),
    )
    t.equal(await store.application.notificationIdOf(b, 2), 4)
    t.equal(await store.application.notificationIdOf(b.toUpperCase(), 2), 4)
    t.equal(await store.application.notificationIdOf(b, 3), undefined)
    t.equal(await store.application.notificationIdOf('Fido', 1), undefined)
  })

  t.test('the ids of many events are in their order', async t => {
    const store = await make()
    const many = events(1_203)
    const ids = await store.application.insertEvents(many)
    const expected = Array.from(many, (_, place) => place + 1)
    t.same(ids, isLate ? undefined : expected)
    const found = await all(store)
    t.same(idsOf(found), expected)
    t.same(
      found.map(one => one.originatorVersion),
      expected,
    )
  })

  t.test('large events are recorded by as many statements as a server takes', async t => {
    // The others take a gigabyte.
    if (backend.dialect !== 'mysql') return
    const store = await make()
    const id = randomUUID()
    const large = [1, 2, 3, 4].map(version =>
      event(id, version, { state: Buffer.alloc(3 * 1024 ** 2, version) }),
    )
    await store.application.insertEvents(large)
    const found = await store.application.selectNotifications({ limit: 4 })
    t.same(idsOf(found), [1, 2, 3, 4])
    t.ok(found.every(({ state }, place) => state.length === 3 * 1024 ** 2 && state[9] === place + 1))
  })

  t.test('notifications are chosen by every combination of options', async t => {
    const store = await make()
    const id = randomUUID()
    const TOPICS = ['A', 'B', 'A', 'C', 'B', 'A']
    await store.application.insertEvents(TOPICS.map((topic, place) => event(id, place + 1, { topic })))
    let combinations = 0
    // The same statements as on the newer one.
    const each = backend.name === 'PostgreSQL 15' ? 7 : 1
    for (const start of [undefined, -1, 3, 7]) {
      for (const stop of [undefined, 0, 4]) {
        for (const topics of [undefined, [], ['A'], ['A', 'C'], ['none', "'; drop"]]) {
          for (const inclusiveOfStart of [undefined, true, false]) {
            for (const limit of [2, 10]) {
              if (combinations++ % each > 0) continue
              const given = Object.fromEntries(
                Object.entries({ start, stop, topics, inclusiveOfStart, limit }).filter(
                  ([, value]) => value !== undefined,
                ),
              ) as unknown as SelectNotificationsOptions
              const expected = [1, 2, 3, 4, 5, 6]
                .filter(one => (inclusiveOfStart === false ? one > (start ?? 0) : one >= (start ?? 0)))
                .filter(one => one <= (stop ?? 9))
                .filter(one => topics === undefined || topics.includes(TOPICS[one - 1] as string))
                .slice(0, limit)
              const found = idsOf(await store.application.selectNotifications(given))
              if (found.join() !== expected.join()) t.same(found, expected, JSON.stringify(given))
            }
          }
        }
      }
    }
    t.equal(combinations, 4 * 3 * 5 * 3 * 2)
  })

  t.test('topics are what they are', async t => {
    const store = await make()
    const TOPICS = ['a', 'A', 'a ', 'á', 'a\\', 'a?', "a'", '😀']
    await store.application.insertEvents(
      TOPICS.map((topic, place) => event(randomUUID(), place + 1, { topic })),
    )
    for (const [place, topic] of TOPICS.entries()) {
      const found = await store.application.selectNotifications({ limit: 10, topics: [topic] })
      t.same(idsOf(found), [place + 1], topic)
    }
  })

  t.test('options that make no sense are refused', async t => {
    const { application } = await make()
    for (const options of [
      {},
      { limit: 0 },
      { limit: -1 },
      { limit: 1.5 },
      { limit: '10' },
      { limit: Number.POSITIVE_INFINITY },
      { limit: 1, start: 1.5 },
      { limit: 1, start: '1' },
      { limit: 1, stop: Number.NaN },
      { limit: 1, topics: 'A' },
      { limit: 1, topics: [1] },
    ]) {
      await t.rejects(
        application.selectNotifications(options as never),
        { code: 'SQLA_ERR_INVALID_OPTION' },
        JSON.stringify(options),
      )
    }
    await t.rejects(application.notificationIdOf(randomUUID(), 1.5), { code: 'SQLA_ERR_INVALID_OPTION' })
    await t.rejects(application.notificationIdOf(7 as never, 1), { code: 'SQLA_ERR_INVALID_OPTION' })
  })

  t.test('what is refused is not in the log, and strict ordering has no gap', async t => {
    const store = await make()
    const id = randomUUID()
    await store.application.insertEvents(events(2, id))
    for (const count of [1, 700]) {
      await t.rejects(store.application.insertEvents([...events(count), event(id, 2)]), {
        code: 'SQLA_ERR_VERSION_CONFLICT',
      })
    }
    await store.application.insertEvents(events(2, id, 3))
    const ids = idsOf(await all(store))
    t.equal(ids.length, 4)
    if (ordering === 'strict') t.same(ids, [1, 2, 3, 4])
  })

  t.test('what is rolled back is not in the log, and strict ordering has no gap', async t => {
    const store = await make()
    const id = randomUUID()
    await store.application.insertEvents(events(1, id))
    await t.rejects(
      store.datastore.transaction(async () => {
        await store.application.insertEvents(events(2, id, 2))
        t.equal((await store.application.selectEvents(id)).length, 3, 'inside it is there')
        throw new Error('no')
      }),
      { message: 'no' },
    )
    t.same(idsOf(await all(store)), [1])
    await store.application.insertEvents(events(1, id, 2))
    if (ordering === 'strict') t.same(idsOf(await all(store)), [1, 2])
  })

  t.test('what a savepoint has undone is not in the log, and strict ordering has no gap', async t => {
    const store = await make()
    const id = randomUUID()
    await store.datastore.transaction(async () => {
      await store.application.insertEvents(events(1, id))
      await t.rejects(
        store.datastore.transaction(async () => {
          await store.application.insertEvents(events(2, id, 2))
          throw new Error('no')
        }),
        { message: 'no' },
      )
      await store.datastore.transaction(() => store.application.insertEvents(events(1, id, 2)))
    })
    const found = await all(store)
    t.same(
      found.map(one => one.originatorVersion),
      [1, 2],
    )
    if (ordering === 'strict') t.same(idsOf(found), [1, 2])
  })

  t.test('in a transaction that goes on, nothing of a refused batch is there', async t => {
    const store = await make()
    const id = randomUUID()
    await store.application.insertEvents(events(1, id))
    const attempt = store.datastore.transaction(async () => {
      await store.application.insertEvents(events(1))
      for (const count of [1, 700]) {
        await store.application.insertEvents([...events(count), event(id, 1)]).catch(() => {})
      }
      await store.application.insertEvents(events(1))
    })
    if (backend.dialect === 'postgresql') {
      await t.rejects(attempt, { message: /aborted/ }, 'PostgreSQL has given up')
      t.same(idsOf(await all(store)), [1])
    } else {
      await attempt
      t.same(idsOf(await all(store)), [1, 2, 3])
    }
  })

  t.test('in a session it neither begins, commits nor closes', async t => {
    const store = await make()
    const em = engine.orm.em.fork()
    await em.begin()
    const told: Datastore[] = []
    const recorder = new ApplicationRecorder({
      datastore: store.datastore,
      tables: store.tables,
      ordering,
      onRecorded: datastore => told.push(datastore),
    }).at(em as never)
    await recorder.insertEvents(events(2))
    t.equal(told.length, 1)
    t.ok(told[0]?.isJoined)
    t.equal((await recorder.selectEvents(randomUUID())).length, 0)
    t.ok(em.isInTransaction())
    if (backend.dialect !== 'sqlite') t.same(await all(store), [], 'nobody else sees it')
    await em.commit()
    t.same(idsOf(await all(store)), [1, 2])
    t.ok(told[0] instanceof Datastore)
  })

  t.test('a refused batch is not told of', async t => {
    const store = await make()
    let told = 0
    const recorder = new ApplicationRecorder({
      datastore: store.datastore,
      tables: store.tables,
      ordering,
      onRecorded: () => told++,
    })
    const batch = events(1)
    await recorder.insertEvents(batch)
    await t.rejects(recorder.insertEvents(batch))
    await recorder.insertEvents([])
    t.equal(told, 1)
  })

  t.test('writers and readers at once do not disturb each other', async t => {
    const store = await make()
    const written: StoredEvent[] = []
    let writing = true
    const reader = async (): Promise<void> => {
      while (writing) {
        const found = await store.application.selectNotifications({ limit: 1_000 })
        const ids = idsOf(found)
        if (ids.some((one, place) => place > 0 && one <= (ids[place - 1] as number))) {
          t.fail(`not in order: ${ids}`)
        }
      }
    }
    const writer = async (): Promise<void> => {
      const id = randomUUID()
      for (let round = 0; round < 10; round++) {
        const batch = events(3, id, 1 + 3 * round)
        await store.application.insertEvents(batch)
        written.push(...batch)
        t.equal((await store.application.selectEvents(id)).length, 3 * round + 3)
      }
    }
    const readers = [reader(), reader()]
    await Promise.all([writer(), writer(), writer(), writer()])
    writing = false
    await Promise.all(readers)
    const found = await all(store)
    t.equal(found.length, written.length)
    if (ordering === 'strict') {
      t.same(
        idsOf(found),
        found.map((_, place) => place + 1),
      )
    }
    for (const { originatorId } of written) {
      const versions = found
        .filter(one => one.originatorId === originatorId)
        .map(one => one.originatorVersion)
      if (versions.some((version, place) => version !== place + 1)) t.fail(`not in order: ${versions}`)
    }
  })

  t.test('strict ordering has no gaps under writers that roll back, wholly and in part', async t => {
    if (ordering !== 'strict') return
    const store = await make()
    let expected = 0
    const commits: string[] = []
    const writer = async (seed: number): Promise<void> => {
      for (let round = 0; round < 12; round++) {
        const id = randomUUID()
        const fate = (seed + round) % 4
        await store.datastore
          .transaction(async () => {
            await store.application.insertEvents(events(2, id))
            const inner = store.datastore.transaction(async () => {
              await store.application.insertEvents(events(2, id, 3))
              if (fate === 1) throw new Error('part')
            })
            await inner.catch(() => {})
            if (fate !== 1) return fate === 2 ? Promise.reject(new Error('all')) : undefined
            await store.application.insertEvents(events(1, id, 3))
          })
          .then(
            () => {
              expected += fate === 1 ? 3 : 4
              commits.push(id)
            },
            error => {
              if (error.message !== 'all') throw error
            },
          )
      }
    }
    await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(writer))
    const found = await store.application.selectNotifications({ limit: 10_000 })
    t.equal(found.length, expected)
    t.ok(found.every(({ id }, place) => id === place + 1))
    t.same(await sql(`select id from ${store.tables.events.sql} where id < 1`), [])
    // Those of a transaction are side by side.
    const runs = found.filter(({ originatorId }, place) => originatorId !== found[place - 1]?.originatorId)
    t.equal(runs.length, new Set(commits).size)
    t.ok(
      found.every(
        (one, place) =>
          one.originatorId !== found[place - 1]?.originatorId ||
          one.originatorVersion === (found[place - 1]?.originatorVersion ?? 0) + 1,
      ),
    )
  })

  const size = backend.name === 'PostgreSQL' ? 5_000 : 1_000

  t.test(`two writers of ${size} events each get ids that do not interleave`, async t => {
    if (ordering !== 'strict') return
    const store = await make()
    const write = (id: string) =>
      store.datastore.transaction(async () => {
        for (let first = 1; first <= size; first += size / 5) {
          await store.application.insertEvents(events(size / 5, id, first))
        }
      })
    const writers = [randomUUID(), randomUUID()]
    await Promise.all(writers.map(write))
    const found = await all(store)
    t.equal(found.length, 2 * size)
    t.same([found[0]?.id, found.at(-1)?.id], [1, 2 * size])
    t.equal(new Set(found.slice(0, size).map(one => one.originatorId)).size, 1)
    t.equal(new Set(found.slice(size).map(one => one.originatorId)).size, 1)
    t.ok(found.every((one, place) => one.originatorVersion === (place % size) + 1))
  })
})
