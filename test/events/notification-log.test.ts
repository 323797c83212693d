import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { eventually } from '../support/app.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Dog, schoolOn } from './school.ts'

// The log in sections, as other systems read it.

await onEveryBackend(
  t,
  (t, backend) => {
    t.test('sections of ten, and the next one only when one is full', async t => {
      const { school } = await schoolOn(t, backend)
      const { notificationLog: log } = school
      t.same(await log.section('1,10'), { id: undefined, items: [], next: undefined })
      const dog = Dog.register('fido')
      for (let n = 1; n < 9; n++) dog.addTrick(`${n}`)
      await school.save(dog)
      const nine = await log.section('1,10')
      t.match(nine, { id: '1,9', next: undefined })
      t.match(nine.items[0], {
        id: 1,
        originatorId: dog.id,
        originatorVersion: 1,
        topic: 'Dog.Registered',
        timestamp: Date,
        data: { name: 'fido' },
      })
      for (let n = 9; n < 25; n++) dog.addTrick(`${n}`)
      await school.save(dog)
      const seen: number[] = []
      const ids: (string | undefined)[] = []
      for (let next: string | undefined = '1,10'; next !== undefined; ) {
        const section = await log.section(next)
        ids.push(section.id)
        seen.push(...section.items.map(({ id }) => id))
        next = section.next
      }
      t.same(ids, ['1,10', '11,20', '21,25'])
      t.same(
        seen,
        Array.from({ length: 25 }, (_, n) => n + 1),
      )
      t.match(await log.section('6,10'), { id: '6,10', next: '11,15' })
      t.match(await log.section('1,100'), { id: '1,10', next: '11,20' }, 'ten at most')
      t.match(await log.section('0,10'), { id: '1,10' })
      t.match(await log.section('0,5'), { id: '1,5', next: '6,10' })
      t.match(await log.section('10,1'), { id: undefined, items: [] })
      t.match(await log.section('26,35'), { id: undefined, next: undefined })
      for (const wrong of ['', '1', '1,2,3', 'a,b', '-1,5', `1,${'9'.repeat(20)}`, undefined]) {
        await t.rejects(log.section(wrong as string), { code: 'SQLA_ERR_INVALID_OPTION' })
      }
    })

    t.test('select: from, until, how many, of which topics', async t => {
      const { school } = await schoolOn(t, backend)
      for (const name of ['a', 'b', 'c']) {
        const dog = Dog.register(name)
        dog.addTrick('sit')
        await school.save(dog)
      }
      const ids = async (options?: Parameters<typeof school.notificationLog.select>[0]) =>
        (await school.notificationLog.select(options)).map(({ id }) => id)
      t.same(await ids(), [1, 2, 3, 4, 5, 6])
      t.same(await ids({ start: 3 }), [3, 4, 5, 6])
      t.same(await ids({ start: 3, limit: 2 }), [3, 4])
      t.same(await ids({ stop: 2 }), [1, 2])
      t.same(await ids({ start: 2, stop: 5, topics: ['Dog.Registered'] }), [3, 5])
      t.same(await ids({ topics: [] }), [])
      t.equal(await school.settled(), 6)
    })

    if (backend.dialect !== 'postgresql') return

    for (const ordering of ['watermark', 'strict'] as const) {
      t.test(`${ordering}: what a transaction is still to commit is never skipped`, async t => {
        const { school } = await schoolOn(t, backend, { ordering })
        const { notificationLog: log } = school
        const names = async () =>
          (await log.select({ limit: 100 })).map(({ data }) => (data as { name: string }).name)
        await school.register('before')
        t.same(await names(), ['before'])
        const { promise: saved, resolve: onSaved } = Promise.withResolvers<void>()
        const { promise: over, resolve: end } = Promise.withResolvers<void>()
        const slow = school.transaction(async () => {
          await school.register('slow')
          onSaved()
          await over
        })
        await saved
        await school.register('quick')
        // By number it comes before `quick` in one, and behind it in the other.
        t.same(await names(), ordering === 'watermark' ? ['before'] : ['before', 'quick'])
        end()
        await slow
        t.same(
          await names(),
          ordering === 'watermark' ? ['before', 'slow', 'quick'] : ['before', 'quick', 'slow'],
        )
        await school
          .transaction(async () => {
            await school.register('undone')
            throw new TypeError('undone')
          })
          .catch(() => {})
        await school.register('last')
        const ids = (await log.select({ limit: 100 })).map(({ id }) => id)
        t.same(ids, ordering === 'watermark' ? [1, 2, 3, 5] : [1, 2, 3, 4])
      })

      t.test(`${ordering}: a reader that goes on from the last place it has seen sees all, once`, async t => {
        const { school } = await schoolOn(t, backend, { ordering })
        let isWriting = true
        const writers = Promise.all(
          Array.from({ length: 4 }, async (_, writer) => {
            for (let n = 0; n < 40; n++) {
              await school
                .transaction(async () => {
                  await school.register(`${writer}-${n}`)
                  if (n % 5 === 0) await sleep(Math.random() * 5)
                  if (n % 7 === 0) throw new TypeError('undone')
                })
                .catch(() => {})
            }
          }),
        ).finally(() => {
          isWriting = false
        })
        const seen: string[] = []
        let last = 0
        const read = async () => {
          const page = await school.notificationLog.select({ start: last + 1, limit: 50 })
          for (const { id, data } of page) {
            t.ok(id > last)
            last = id
            seen.push((data as { name: string }).name)
          }
        }
        while (isWriting) await read()
        await writers
        const stored = (await school.recorder.selectNotifications({ limit: 1_000 })).length
        t.ok(
          await eventually(async () => {
            await read()
            return seen.length >= stored
          }),
        )
        t.equal(new Set(seen).size, seen.length)
        t.equal(seen.length, stored)
        t.equal(stored, 4 * 34)
      })
    }

    t.test('in a request the log shows what is settled, not what the request has not committed', async t => {
      const { app, school } = await schoolOn(t, backend, {
        plugin: { commitMode: 'autocommit' },
        routes(app) {
          app.post('/', async request => {
            await request.events.save(Dog.register('mine'))
            return (await request.events.notificationLog.select()).length
          })
        },
      })
      await school.register('before')
      t.equal((await school.notificationLog.select()).length, 1)
      t.equal((await app.inject({ method: 'POST', url: '/' })).json(), 1)
      t.equal((await school.notificationLog.select()).length, 2)
    })
  },
  ['PostgreSQL', 'MariaDB', 'SQLite'],
)
