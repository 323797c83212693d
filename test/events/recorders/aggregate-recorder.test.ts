import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { AggregateRecorder } from '../../../plugins/events/recorders/aggregate-recorder.ts'
import type { SelectEventsOptions, StoredEvent } from '../../../plugins/events/stored-event.ts'
import { event, events, onEveryStore, type TestStore } from './stores.ts'

// What a recorder of aggregates does with events and with snapshots, on every database.

const versionsOf = (found: readonly StoredEvent[]): number[] =>
  found.map(({ originatorVersion }) => originatorVersion)

const ROLES: [name: string, of: (store: TestStore) => AggregateRecorder][] = [
  ['events', store => store.application],
  ['snapshots', store => store.snapshots],
]

await onEveryStore(t, async (t, { backend, ordering, make, sql }) => {
  const isLate = backend.dialect === 'postgresql' && ordering === 'strict'
  for (const [role, of] of ROLES) {
    await t.test(role, async t => {
      const store = await make()
      const recorder = of(store)
      const table = role === 'events' ? store.tables.events : store.tables.snapshots

      t.test('nothing is found where nothing is', async t => {
        t.same(await recorder.selectEvents(randomUUID()), [])
      })

      t.test('what is recorded is found as it was', async t => {
        const id = randomUUID()
        const all = [
          event(id, 1, {
            topic: "O'Topic \\ ? $1 😀",
            state: Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
          }),
          event(id, 2, { state: Buffer.alloc(0) }),
          event(id, 3, { state: new Uint8Array([0, 39, 92, 255]).subarray(1) }),
          event(id, Number.MAX_SAFE_INTEGER),
        ]
        await recorder.insertEvents(all)
        await recorder.insertEvents(events(3))
        const found = await recorder.selectEvents(id)
        t.equal(found.length, all.length)
        for (const [place, one] of found.entries()) {
          const { state, ...rest } = all[place] as StoredEvent
          t.match(one, rest)
          t.ok(one.state instanceof Uint8Array)
          t.same(Buffer.from(one.state), Buffer.from(state))
          t.same(Object.keys(one), ['originatorId', 'originatorVersion', 'topic', 'state'])
        }
      })

      t.test('a UUID is the same in capitals', async t => {
        const id = randomUUID()
        await recorder.insertEvents(events(1, id.toUpperCase()))
        await recorder.insertEvents(events(1, id, 2))
        for (const written of [id, id.toUpperCase()]) {
          t.match(await recorder.selectEvents(written), [
            { originatorId: id, originatorVersion: 1 },
            { originatorId: id, originatorVersion: 2 },
          ])
        }
        await t.rejects(recorder.insertEvents(events(1, id.toUpperCase(), 2)), {
          code: 'SQLA_ERR_VERSION_CONFLICT',
        })
      })

      t.test('versions are chosen by every combination of options', async t => {
        const id = randomUUID()
        // In another order, as another writer might have.
        for (const version of [3, 1, 5, 2, 4]) await recorder.insertEvents([event(id, version)])
        const LIMITS = [undefined, 2, 9]
        const BOUNDS = [undefined, 0, 3, 5]
        for (const gt of BOUNDS) {
          for (const lte of BOUNDS) {
            for (const desc of [undefined, false, true]) {
              for (const limit of LIMITS) {
                const options = { gt, lte, desc, limit }
                const expected = [1, 2, 3, 4, 5].filter(v => v > (gt ?? 0) && v <= (lte ?? 9))
                if (desc) expected.reverse()
                const given = Object.fromEntries(
                  Object.entries(options).filter(([, value]) => value !== undefined),
                ) as SelectEventsOptions
                const found = versionsOf(await recorder.selectEvents(id, given))
                if (found.join() === expected.slice(0, limit ?? 9).join()) continue
                t.same(found, expected.slice(0, limit ?? 9), JSON.stringify(given))
              }
            }
          }
        }
      })

      t.test('a version that is there makes all fail, wherever it is in the batch', async t => {
        const id = randomUUID()
        await recorder.insertEvents(events(2, id))
        const other = randomUUID()
        for (const place of [0, 1, 2]) {
          const batch = events(3, other)
          batch.splice(place, 0, event(id, 2))
          const error: { cause?: Error } = await recorder.insertEvents(batch).then(
            () => ({}),
            error => error,
          )
          t.match(error, { code: 'SQLA_ERR_VERSION_CONFLICT', statusCode: 409 })
          t.equal(error.cause?.name, 'UniqueConstraintViolationException')
          t.same(await recorder.selectEvents(other), [])
        }
        t.same(versionsOf(await recorder.selectEvents(id)), [1, 2])
        await recorder.insertEvents(events(3, other))
        t.equal((await recorder.selectEvents(other)).length, 3)
      })

      t.test('so does a version that is twice in the batch', async t => {
        const id = randomUUID()
        await t.rejects(recorder.insertEvents([...events(2, id), event(id, 2)]), {
          code: 'SQLA_ERR_VERSION_CONFLICT',
          message: new RegExp(`of ${id} has`),
        })
        t.same(await recorder.selectEvents(id), [])
      })

      t.test('many events are recorded at once, or none of them', async t => {
        const id = randomUUID()
        await recorder.insertEvents(events(1_203, id))
        const found = await recorder.selectEvents(id)
        t.same(
          versionsOf(found),
          Array.from({ length: 1_203 }, (_, place) => place + 1),
        )
        const other = randomUUID()
        await t.rejects(recorder.insertEvents([...events(1_100, other), event(id, 1_203)]), {
          code: 'SQLA_ERR_VERSION_CONFLICT',
        })
        t.same(await recorder.selectEvents(other), [])
      })

      t.test('nothing is recorded of nothing', async t => {
        t.same((await recorder.insertEvents([])) ?? [], [])
      })

      t.test('what cannot be stored is refused before the database sees it', async t => {
        const id = randomUUID()
        const wrong: unknown[] = [
          { originatorId: 'Fido' },
          { originatorId: `${id}0` },
          { originatorId: 7 },
          { originatorVersion: 1.5 },
          { originatorVersion: '1' },
          { originatorVersion: Number.NaN },
          { originatorVersion: 2 ** 53 },
          { topic: '' },
          { topic: 'a\0b' },
          { topic: undefined },
          { state: 'text' },
          { state: null },
        ]
        for (const more of wrong) {
          await t.rejects(
            recorder.insertEvents([event(id, 1), event(id, 2, more as never)]),
            { code: 'SQLA_ERR_INVALID_OPTION' },
            JSON.stringify(more),
          )
        }
        t.same(await recorder.selectEvents(id), [])
      })

      t.test('so are options that make no sense', async t => {
        const id = randomUUID()
        for (const options of [
          { limit: 0 },
          { limit: -1 },
          { limit: 1.5 },
          { limit: '1' },
          { limit: Number.POSITIVE_INFINITY },
          { limit: null },
          { gt: 1.5 },
          { gt: '1' },
          { lte: Number.NaN },
          { lte: null },
        ]) {
          await t.rejects(
            recorder.selectEvents(id, options as never),
            { code: 'SQLA_ERR_INVALID_OPTION' },
            JSON.stringify(options),
          )
        }
        await t.rejects(recorder.selectEvents(7 as never), { code: 'SQLA_ERR_INVALID_OPTION' })
      })

      t.test('nothing can have happened to what is no UUID', async t => {
        t.same(await recorder.selectEvents("Fido'; drop table x; --"), [])
      })

      t.test('another constraint of the table is no conflict of versions', async t => {
        if (role === 'snapshots') return
        const id = randomUUID()
        const unique = await make()
        const column = backend.dialect === 'mysql' ? 'topic(50)' : 'topic'
        const index = unique.tables.events.sql.replace('events', 'topic')
        await sql(`create unique index ${index} on ${unique.tables.events.sql} (${column})`)
        await unique.application.insertEvents([event(id, 1)])
        const error = await unique.application.insertEvents([event(id, 2)]).catch(error => error)
        t.equal(error.name, 'UniqueConstraintViolationException')
      })

      t.test('nor is an id that is there, after somebody has set back the numbers', async t => {
        if (role === 'snapshots' || backend.dialect === 'sqlite' || isLate) return
        const { application, tables } = await make()
        await application.insertEvents(events(2))
        await sql(
          backend.dialect === 'mysql'
            ? `update ${tables.events.sql.replace('events', 'events_counter')} set last = 0`
            : `alter table ${tables.events.sql} alter column id restart with 1`,
        )
        const error = await application.insertEvents(events(1)).catch(error => error)
        t.equal(error.name, 'UniqueConstraintViolationException')
      })

      t.test('of two writers of the same version one wins', async t => {
        const id = randomUUID()
        const outcomes = await Promise.allSettled(
          Array.from({ length: 10 }, () => recorder.insertEvents(events(3, id))),
        )
        const lost = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
        t.equal(lost.length, 9)
        for (const { reason } of lost) t.equal(reason.code, 'SQLA_ERR_VERSION_CONFLICT', String(reason))
        t.same(versionsOf(await recorder.selectEvents(id)), [1, 2, 3])
        t.match(await sql(`select count(*) as n from ${table.sql} where originator_id = ?`, [id]), [
          { n: /3/ },
        ])
      })

      t.test('in a session it is part of the transaction of that', async t => {
        const id = randomUUID()
        const em = store.datastore.em.fork()
        await em.begin()
        const inside = recorder.at(em as never)
        await inside.insertEvents(events(2, id))
        t.same(versionsOf(await inside.selectEvents(id)), [1, 2])
        t.ok(em.isInTransaction())
        await em.rollback()
        t.same(await recorder.selectEvents(id), [])
        await em.begin()
        await recorder.at(em as never).insertEvents(events(2, id))
        await em.commit()
        t.same(versionsOf(await recorder.selectEvents(id)), [1, 2])
      })
    })
  }
})
