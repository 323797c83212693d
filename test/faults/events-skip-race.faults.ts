import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { SqlEm } from '../../src/index.ts'
import { eventually } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { random } from '../support/random.ts'
import { assertOrder, eventsOf, follow, type Process, percentile, processOn } from './events-followers.ts'

// Writers commit in any order, roll back, and hold their transactions open, while others follow what they write. Whoever
// follows must see everything that was committed, once, and each stream in the order of its versions.

const SECONDS = Number(process.env.SECONDS ?? 60)
const ROUNDS = Number(process.env.ROUNDS ?? 1_000)
const WRITERS = 16
const STREAMS = 40
/** Milliseconds. */
const MAX_LAG = 250
/** What a transaction takes that is held open for 10 ms, where the machine has time for it. */
const USUAL = 50

t.setTimeout((SECONDS + 120) * 1_000)

/** What everybody would write: the next page behind the last one that was seen. */
function followNaively({ recorder }: Process) {
  const seen: number[] = []
  let isEnded = false
  const done = (async () => {
    for (let last = 0; !isEnded; ) {
      const page = await recorder.selectNotifications({ start: last, inclusiveOfStart: false, limit: 500 })
      for (const { id } of page) seen.push(id)
      last = seen.at(-1) ?? 0
      await sleep(1)
    }
  })()
  return {
    seen,
    end: () => {
      isEnded = true
      return done
    },
  }
}

t.test(`${WRITERS} writers for ${SECONDS} s`, async t => {
  const [db, elsewhere] = await Promise.all([testDatabase(t), testDatabase(t)])
  await db.sql('create table crud (id bigint generated always as identity, body text)')
  const writing = await processOn(t, db.superUrl)
  const notified = await processOn(t, db.superUrl)
  const polling = await processOn(t, db.superUrl, { notify: false })

  const foreign = new pg.Client(elsewhere.superUrl)
  await foreign.connect()
  t.teardown(() => foreign.end())
  await foreign.query('create table other (id int)')
  await foreign.query('begin')
  await foreign.query('insert into other values (1)')

  const chance = random(7)
  const followers = {
    'a subscriber in the same process': follow(writing),
    'a subscriber elsewhere': follow(notified),
    'a slow subscriber elsewhere': follow(notified, { pause: () => (chance() < 0.001 ? 100 : 0) }),
    'a subscriber that only polls': follow(polling),
  }
  const naive = followNaively(notified)

  const streams = Array.from({ length: STREAMS }, () => ({ id: randomUUID(), version: 0, isTaken: false }))
  /** When each event was committed. */
  const committed = new Map<number, number>()
  let [commits, rollbacks] = [0, 0]
  const durations: number[] = []
  const end = performance.now() + SECONDS * 1_000
  const write = async (): Promise<void> => {
    const stream = streams.filter(({ isTaken }) => !isTaken)[Math.floor(chance() * (STREAMS - WRITERS))]
    if (stream === undefined) return
    stream.isTaken = true
    const count = 1 + Math.floor(chance() * 5)
    const events = eventsOf(stream.id, stream.version + 1, count)
    let ids: readonly number[] | undefined
    const fails = chance() < 0.2
    const begun = performance.now()
    try {
      await writing.app.sqlAssist.run(async db => {
        const session = db.get('writer') as SqlEm
        if (chance() < 0.5) await session.execute(`insert into crud (body) values ('early')`)
        ids = await writing.recorder.at(session).insertEvents(events)
        await sleep(chance() * 10)
        if (fails) throw new RangeError('changed my mind')
      })
      const at = performance.now()
      for (const id of ids ?? []) committed.set(id, at)
      stream.version += count
      commits++
      durations.push(at - begun)
    } catch (error) {
      if (!fails) throw error
      rollbacks++
    } finally {
      stream.isTaken = false
    }
  }
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (performance.now() < end) await write()
    }),
  )
  const rows = await db.sql<{ id: string }>('select id from stored_events order by id')
  const stored = rows.map(({ id }) => Number(id))
  t.comment(`${stored.length} events, ${commits} commits, ${rollbacks} rollbacks`)
  t.ok(rollbacks > commits / 10)
  t.equal(stored.length, committed.size)
  await foreign.query('rollback')
  // Where the machine is busy with something else, everything takes longer, and so does this.
  const longest = percentile(durations, 0.99)
  const limit = MAX_LAG * Math.max(1, longest / USUAL)
  t.comment(`transactions: p50 ${percentile(durations, 0.5).toFixed(1)} ms, p99 ${longest.toFixed(1)} ms`)

  for (const [who, { seen, end: stop }] of Object.entries(followers)) {
    t.ok(
      await eventually(() => seen.length >= stored.length, 15_000),
      `${who} has come to the end: ${seen.length}`,
    )
    await stop()
    assertOrder(t, who, seen, stored)
    const lags = seen.map(({ id, at }) => Math.max(0, at - (committed.get(id) as number)))
    const [p50, p99, max] = [percentile(lags, 0.5), percentile(lags, 0.99), percentile(lags, 1)]
    t.comment(`${who}: lag p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, at most ${max.toFixed(1)} ms`)
    if (who !== 'a slow subscriber elsewhere') t.ok(p99 <= limit, `${who} is not late`)
  }
  await naive.end()
  const missed = stored.length - new Set(naive.seen).size
  t.ok(missed > 0, `a reader that asks for what is behind the last it has seen has missed ${missed}`)
})

for (const ordering of ['watermark', 'strict'] as const) {
  t.test(`version 1 before version 2, ${ROUNDS} times, with ${ordering} ordering`, async t => {
    const db = await testDatabase(t)
    await db.sql('create table crud (id bigint generated always as identity, body text)')
    const writing = await processOn(t, db.superUrl, { ordering })
    const reading = await processOn(t, db.superUrl, { ordering })
    const { seen, end } = follow(reading)
    const { app, recorder } = writing
    let rounds = 0
    const round = async (): Promise<void> => {
      const stream = randomUUID()
      await app.sqlAssist.run(async late => {
        const session = late.get('writer') as SqlEm
        // Its transaction is the older one.
        await session.execute(`insert into crud (body) values ('early')`)
        await app.sqlAssist.run(async quick => {
          await recorder.at(quick.get('writer') as SqlEm).insertEvents(eventsOf(stream, 1))
        })
        await recorder.at(session).insertEvents(eventsOf(stream, 2))
      })
    }
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (rounds++ < ROUNDS) await round()
      }),
    )
    const stored = await db.sql<{ id: string }>('select id from stored_events order by id')
    t.equal(stored.length, 2 * ROUNDS)
    t.ok(await eventually(() => seen.length >= stored.length, 15_000), `${seen.length}`)
    await end()
    assertOrder(
      t,
      'a subscriber',
      seen,
      stored.map(({ id }) => Number(id)),
    )
  })
}
