import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import type { RecordedEvent } from '../../plugins/events/domain-event.ts'
import { Mapper } from '../../plugins/events/mapper.ts'
import type { StoredEvent } from '../../plugins/events/stored-event.ts'
import { type SubscribeOptions, Subscription } from '../../plugins/events/subscription.ts'
import { EventTopics } from '../../plugins/events/topics.ts'
import { eventually } from '../support/app.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { elsewhere, logOn, type TestLog, within } from './logs.ts'
import { event } from './recorders/stores.ts'

const mapper = new Mapper(new EventTopics([]))

/** Of a new aggregate, with a state that can be read. */
function readable(count: number, topic = 'Dog.Registered', originatorId = randomUUID()): StoredEvent[] {
  return Array.from({ length: count }, (_, place) =>
    mapper.toStored({
      originatorId,
      originatorVersion: place + 1,
      topic,
      timestamp: new Date(0),
      data: { place },
    }),
  )
}

function subscribe({ log, application }: TestLog, options?: SubscribeOptions): Subscription {
  return new Subscription({ log, recorder: application, mapper }, options)
}

/** The next events' ids. */
async function take(subscription: Subscription, count: number): Promise<number[]> {
  const ids: number[] = []
  while (ids.length < count) {
    const { value, done } = await inTime(subscription.next())
    if (done) return ids
    ids.push((value as RecordedEvent).id)
  }
  return ids
}

/** Fails, rather than to wait for ever. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  const result = await within(promise, 10_000)
  if (result === 'nothing yet') throw new RangeError('nothing has come within 10 s')
  return result
}

/** Is told of every statement of the engine's EntityManagers before it is run, and of what was found. @returns ends it */
function watch(
  { engine }: TestLog,
  {
    before,
    after,
  }: {
    before?(sql: string, values: readonly unknown[]): unknown
    after?(rows: unknown[]): void
  },
): () => void {
  const { em } = engine.orm
  const fork = em.fork.bind(em)
  em.fork = options => {
    const forked = fork(options)
    const execute = forked.execute.bind(forked) as (...query: unknown[]) => Promise<unknown[]>
    forked.execute = (async (sql: string, values: unknown[], ...rest: unknown[]) => {
      await before?.(sql, values)
      const rows = await execute(sql, values, ...rest)
      after?.(rows)
      return rows
    }) as never
    return forked
  }
  return () => void Reflect.deleteProperty(em, 'fork')
}

/** As if there were no server. @returns ends it */
function takeAway(made: TestLog, onAttempt: () => void): () => void {
  const { pool } = made.engine
  const fail = (): never => {
    onAttempt()
    throw Object.assign(new RangeError('away'), { code: 'ECONNREFUSED' })
  }
  const { acquire } = pool
  pool.acquire = async () => fail()
  const unwatch = watch(made, { before: fail })
  return () => {
    pool.acquire = acquire
    unwatch()
  }
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n)

await onEveryBackend(t, async (t: Test, backend: TestBackend) => {
  const on = (more: Parameters<typeof logOn>[2] = {}) => logOn(t, backend, { pollInterval: 20, ...more })

  t.test('events come in the order of the log, as they were recorded', async t => {
    const made = await on()
    await made.application.insertEvents(readable(3))
    const [first] = readable(1, 'Cat.Registered')
    await made.application.insertEvents([first as StoredEvent])
    const found: RecordedEvent[] = []
    for await (const one of subscribe(made)) {
      found.push(one)
      if (found.length === 4) break
    }
    t.match(found, [
      { id: 1, originatorVersion: 1, topic: 'Dog.Registered', data: { place: 0 } },
      { id: 2, originatorVersion: 2, timestamp: new Date(0) },
      { id: 3, originatorVersion: 3 },
      { id: 4, originatorId: first?.originatorId, topic: 'Cat.Registered' },
    ])
  })

  t.test('it goes on with what is recorded later', async t => {
    const made = await on()
    const subscription = subscribe(made)
    const first = subscription.next()
    t.equal(await within(first, 60), 'nothing yet')
    await made.application.insertEvents(readable(2))
    t.match(await inTime(first), { done: false, value: { id: 1 } })
    t.same(await take(subscription, 1), [2])
    await made.application.insertEvents(readable(2))
    t.same(await take(subscription, 2), [3, 4])
    await subscription.return()
  })

  t.test('it begins behind a position, and says where it is', async t => {
    const made = await on()
    await made.application.insertEvents(readable(5))
    const subscription = subscribe(made, { after: 2 })
    t.equal(subscription.position, 2)
    t.same(await take(subscription, 2), [3, 4])
    t.equal(subscription.position, 4)
    await subscription.return()
    t.equal(subscription.position, 4)
    t.same(await take(subscribe(made, { after: subscription.position }), 1), [5])
  })

  t.test('it waits at a position that the log has not come to', async t => {
    const made = await on()
    await made.application.insertEvents(readable(2))
    const subscription = subscribe(made, { after: 3 })
    const first = subscription.next()
    t.equal(await within(first, 60), 'nothing yet')
    await made.application.insertEvents(readable(2))
    t.match(await inTime(first), { value: { id: 4 } })
    await subscription.return()
  })

  t.test('it reads page by page', async t => {
    const made = await on()
    await made.application.insertEvents(readable(10))
    for (const batch of [1, 3, 5, 10, 11]) {
      const subscription = subscribe(made, { batch })
      t.same(await take(subscription, 10), numbers(1, 10))
      t.equal(await within(subscription.next(), 30), 'nothing yet')
      await subscription.return()
    }
  })

  t.test('it brings the topics that are wanted, and no others', async t => {
    const made = await on()
    for (const topic of ['a', 'b', 'c', 'a', 'b', 'c'])
      await made.application.insertEvents(readable(1, topic))
    t.same(await take(subscribe(made, { topics: ['a', 'c'], batch: 1 }), 4), [1, 3, 4, 6])
    const seldom = subscribe(made, { topics: ['d'] })
    const next = seldom.next()
    t.equal(await within(next, 60), 'nothing yet')
    await made.application.insertEvents(readable(1, 'd'))
    t.match(await inTime(next), { value: { id: 7 } })
    t.equal(seldom.position, 7)
    await seldom.return()
  })

  t.test('many follow, each at its own pace', async t => {
    const made = await on()
    await made.application.insertEvents(readable(20))
    const all = Array.from({ length: 10 }, (_, n) => subscribe(made, { after: n, batch: n + 1 }))
    t.same(
      await Promise.all(all.map((one, n) => take(one, 20 - n))),
      all.map((_one, n) => numbers(n + 1, 20)),
    )
    const next = all.map(one => one.next())
    await made.application.insertEvents(readable(1))
    for (const one of await inTime(Promise.all(next))) t.match(one, { value: { id: 21 } })
    await Promise.all(all.map(one => one.return()))
  })

  t.test('whoever asks several times at once gets one after the other', async t => {
    const made = await on()
    await made.application.insertEvents(readable(3))
    const subscription = subscribe(made)
    const asked = [subscription.next(), subscription.next(), subscription.next(), subscription.next()]
    t.match(await inTime(Promise.all(asked.slice(0, 3))), [
      { value: { id: 1 } },
      { value: { id: 2 } },
      { value: { id: 3 } },
    ])
    await subscription.return()
    t.same(await inTime(asked[3] as Promise<unknown>), { done: true, value: undefined })
  })

  t.test('it ends quietly: with its signal, when it is left, when the log is closed', async t => {
    const made = await on()
    await made.application.insertEvents(readable(3))
    const done = { done: true, value: undefined }
    const controller = new AbortController()
    const aborted = subscribe(made, { signal: controller.signal })
    await take(aborted, 1)
    controller.abort()
    t.same(await aborted.next(), done, 'what has been read is not delivered any more')
    t.equal(aborted.position, 1)
    t.same(await subscribe(made, { signal: controller.signal }).next(), done, 'from the beginning')

    const waiting = new AbortController()
    const next = subscribe(made, { after: 3, signal: waiting.signal }).next()
    t.equal(await within(next, 40), 'nothing yet')
    waiting.abort()
    t.same(await inTime(next), done)

    let left: Subscription
    {
      await using disposed = subscribe(made)
      left = disposed
      await take(disposed, 1)
    }
    t.same(await left.next(), done)

    const other = made.again()
    const ofOther = new Subscription({ log: other, recorder: made.application, mapper }, { after: 3 })
    const ofOne = subscribe(made, { after: 3 })
    const [one, another] = [ofOne.next(), ofOther.next()]
    t.equal(await within(another, 40), 'nothing yet')
    await other.close()
    t.same(await inTime(another), done)
    t.equal(await within(one, 40), 'nothing yet', 'that of another application goes on')
    await made.log.close()
    t.same(await inTime(one), done)
    t.same(await subscribe(made).next(), done)
  })

  t.test('nothing follows any more when all have ended', async t => {
    const made = await on()
    const { engine } = made
    await made.application.insertEvents(readable(3))
    const controller = new AbortController()
    for await (const { id } of subscribe(made)) if (id === 2) break
    await t.rejects(async () => {
      for await (const { id } of subscribe(made)) throw new RangeError(`${id}`)
    }, new RangeError('1'))
    const next = subscribe(made, { after: 3, signal: controller.signal }).next()
    await within(next, 40)
    controller.abort()
    await next
    await within(new Promise(() => {}), 40)
    const { pool } = engine
    let acquired = 0
    const acquire = pool.acquire.bind(pool)
    pool.acquire = () => {
      acquired++
      return acquire()
    }
    await within(new Promise(() => {}), 120)
    t.equal(acquired, 0)
    t.match(engine.figures, { used: 0, waiting: 0 })
  })

  t.test('an event that cannot be read ends it, before that event', async t => {
    const made = await on()
    await made.application.insertEvents([...readable(2), event(randomUUID(), 1), ...readable(1)])
    const subscription = subscribe(made)
    t.same(await take(subscription, 2), [1, 2])
    await t.rejects(subscription.next(), { code: 'SQLA_ERR_EVENT_UNREADABLE' })
    t.equal(subscription.position, 2)
    t.same(await subscription.next(), { done: true, value: undefined })
    t.same(await take(subscribe(made, { after: 3 }), 1), [4])
  })

  t.test('it goes on when the database has been away, without missing or repeating anything', async t => {
    const made = await on()
    const { warnings } = made
    await made.application.insertEvents(readable(5))
    const subscription = subscribe(made, { batch: 2 })
    t.same(await take(subscription, 3), [1, 2, 3])
    let attempts = 0
    const bringBack = takeAway(made, () => attempts++)
    t.same(await take(subscription, 1), [4], 'what has been read is delivered')
    const next = subscription.next()
    const from = performance.now()
    t.ok(await eventually(() => attempts > 2), 'it tries again')
    const ms = performance.now() - from
    t.ok(attempts < 4 + ms / 10, `but not all the time: ${attempts} times in ${ms} ms`)
    t.equal(await within(next, 20), 'nothing yet')
    bringBack()
    t.match(await inTime(next), { value: { id: 5 } })
    await made.application.insertEvents(readable(2))
    t.same(await take(subscription, 2), [6, 7])
    t.equal(warnings.length, 1, String(warnings))
    await subscription.return()
  })

  t.test('it goes on when events could not be read for a while', async t => {
    const made = await on()
    const { warnings, application } = made
    await application.insertEvents(readable(3))
    const failing = subscribe(made)
    let failures = 0
    const unwatch = watch(made, {
      before() {
        if (failures++ < 3) throw Object.assign(new RangeError('away'), { code: 'ECONNRESET' })
      },
    })
    t.same(await take(failing, 3), [1, 2, 3])
    unwatch()
    t.ok(failures > 3)
    t.same(warnings, ['the log of events could not be read; it is tried again'])
    await failing.return()
  })

  t.test('options that make no sense are refused', async t => {
    const made = await on()
    const wrong: SubscribeOptions[] = [
      { after: -1 },
      { after: 1.5 },
      { after: '1' as never },
      { batch: 0 },
      { batch: Number.POSITIVE_INFINITY },
      { topics: [] },
    ]
    for (const options of wrong) t.throws(() => subscribe(made, options), { code: 'SQLA_ERR_INVALID_OPTION' })
  })

  t.test('it reads one page at most ahead of whoever is slow', async t => {
    const made = await on()
    for (let n = 0; n < 10; n++) await made.application.insertEvents(readable(100))
    const pages: number[] = []
    watch(made, { after: rows => pages.push(rows.length) })
    const subscription = subscribe(made, { batch: 30 })
    let delivered = 0
    for await (const { id } of subscription) {
      delivered++
      if (id % 100 === 0) await within(new Promise(() => {}), 2)
      const read = pages.reduce((sum, rows) => sum + rows, 0)
      if (read - delivered >= 30) t.fail(`${read} have been read when ${delivered} were delivered`)
      if (id === 1_000) break
    }
    t.equal(delivered, 1_000)
    t.equal(pages.length, 34)
  })

  t.test('topics that come seldom are not looked for again in what has been read', async t => {
    const made = await on()
    await made.application.insertEvents(readable(50))
    const starts: unknown[] = []
    watch(made, {
      before(sql, values) {
        if (/ and id <= \?/.test(sql)) starts.push(values[0])
      },
    })
    const subscription = subscribe(made, { topics: ['seldom'] })
    const next = subscription.next()
    await eventually(() => starts.length === 1)
    await made.application.insertEvents(readable(10))
    await eventually(() => starts.length === 2)
    await made.application.insertEvents(readable(1, 'seldom'))
    t.match(await inTime(next), { value: { id: 61 } })
    t.same(starts, [0, 50, 60])
    await subscription.return()
  })

  // It has one connection: while nobody gives that back, nobody can look either.
  if (backend.dialect === 'sqlite') return

  t.test('it waits for no answer that may never come', async t => {
    const made = await on()
    await made.application.insertEvents(readable(3))
    let reads = 0
    watch(made, { before: () => (reads++ === 0 ? new Promise(() => {}) : undefined) })
    const subscription = subscribe(made)
    const next = subscription.next()
    t.equal(await within(next, 60), 'nothing yet')
    // The engine knows that its server is gone: whoever looks fails.
    const { pool } = made.engine
    const { acquire } = pool
    pool.acquire = async () => {
      pool.acquire = acquire
      throw Object.assign(new RangeError('away'), { code: 'ECONNREFUSED' })
    }
    t.match(await inTime(next), { value: { id: 1 } })
    t.equal(reads, 2)
    await subscription.return()
    reads = 0
    const left = subscribe(made)
    const last = left.next()
    t.ok(await eventually(() => reads === 1))
    await left.return()
    t.same(await inTime(last), { done: true, value: undefined })
  })

  if (backend.dialect !== 'postgresql') return

  t.test('a transaction that is open holds back what is behind it', async t => {
    const made = await on()
    const slow = await made.open()
    await slow.insert(readable(2))
    await made.application.insertEvents(readable(2))
    const subscription = subscribe(made)
    const next = subscription.next()
    t.equal(await within(next, 100), 'nothing yet')
    await slow.commit()
    t.match(await inTime(next), { value: { id: 1 } })
    t.same(await take(subscription, 3), [2, 3, 4])
    await subscription.return()
  })

  t.test('where numbers begin again, what had been looked through is looked through again', async t => {
    const made = await on()
    await made.application.insertEvents(readable(5))
    const subscription = subscribe(made, { topics: ['seldom'] })
    const next = subscription.next()
    t.equal(await within(next, 60), 'nothing yet')
    const em = made.engine.orm.em.fork()
    await em.execute(`truncate ${made.tables.events.sql} restart identity`)
    await made.application.insertEvents(readable(2, 'seldom'))
    t.match(await inTime(next), { value: { id: 1 } })
    t.same(await take(subscription, 1), [2])
    await subscription.return()
  })

  t.test('it is no part of a transaction that it is used in', async t => {
    const made = await on()
    const there = await elsewhere(t, backend, made)
    await made.datastore.transaction(async em => {
      // Nothing that is committed from now on is seen in it.
      await em.execute('set transaction isolation level repeatable read')
      await em.execute('select 1')
      const subscription = subscribe({ ...made, application: made.application.at(em) } as TestLog)
      await there.application.insertEvents(readable(1))
      t.same(await take(subscription, 1), [1])
      await made.application.insertEvents(readable(1))
      t.equal(await within(subscription.next(), 60), 'nothing yet', 'it would hold itself back')
      await subscription.return()
    })
  })
})

t.test('a script that follows goes on, and ends when it follows no more', async t => {
  const script = fileURLToPath(new URL('following-script.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script], {
    env: childEnvironment,
    timeout: 30_000,
  })
  t.equal(stdout, 'Dog.Registered\n')
})
