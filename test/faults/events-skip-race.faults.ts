import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createEventTables } from '../../plugins/events/create-tables.ts'
import { Datastore } from '../../plugins/events/datastore.ts'
import { Log } from '../../plugins/events/log.ts'
import { Mapper } from '../../plugins/events/mapper.ts'
import { ApplicationRecorder } from '../../plugins/events/recorders/application-recorder.ts'
import { Subscription } from '../../plugins/events/subscription.ts'
import { eventTables, type Ordering } from '../../plugins/events/tables.ts'
import { EventTopics } from '../../plugins/events/topics.ts'
import sqlAssist, { type Engine, type SqlEm } from '../../src/index.ts'
import { eventually } from '../support/app.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'
import { random } from '../support/random.ts'

// Writers commit in any order, roll back, and hold their transactions open, while others follow what they write. Whoever
// follows must see everything that was committed, once, and each stream in the order of its versions.

const SECONDS = Number(process.env.SECONDS ?? 60)
const ROUNDS = Number(process.env.ROUNDS ?? 1_000)
const WRITERS = 16
const STREAMS = 40
/** Milliseconds. */
const MAX_LAG = 250

t.setTimeout((SECONDS + 120) * 1_000)

const mapper = new Mapper(new EventTopics([]))

/** What a process of an application has. */
interface Process {
  readonly app: FastifyInstance
  readonly engine: Engine
  readonly recorder: ApplicationRecorder
  readonly log: Log
}

async function processOn(t: Test, db: TestDatabase, ordering: Ordering, notify = true): Promise<Process> {
  const app = Fastify()
  const orm = defineConfig({
    clientUrl: db.superUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: WRITERS + 4 },
  })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  await app.ready()
  const engine = app.sqlAssist.engines.get('writer')
  const datastore = new Datastore(engine)
  await createEventTables(datastore, { ordering })
  const tables = eventTables(datastore.em)
  const log = Log.of(engine, tables, { ordering, notify, pollInterval: notify ? 60_000 : 50 })
  const onRecorded = (where: Datastore) => log.announce(where)
  const recorder = new ApplicationRecorder({ datastore, tables, ordering, onRecorded })
  t.teardown(async () => {
    await log.close()
    await app.close()
  })
  return { app, engine, recorder, log }
}

/** What a follower has seen, in the order in which it came. */
interface Seen {
  readonly id: number
  readonly stream: string
  readonly version: number
  readonly at: number
}

/** @returns what it has seen when `until` says that this is all */
function follow({ log, recorder }: Process, more: { pause?: () => number } = {}) {
  const seen: Seen[] = []
  const subscription = new Subscription({ log, recorder, mapper })
  const done = (async () => {
    for await (const { id, originatorId, originatorVersion } of subscription) {
      seen.push({ id, stream: originatorId, version: originatorVersion, at: performance.now() })
      const pause = more.pause?.() ?? 0
      if (pause > 0) await sleep(pause)
    }
  })()
  return { seen, end: async () => void (await Promise.all([subscription.return(), done])) }
}

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

function assertOrder(t: Test, who: string, seen: readonly Seen[], stored: readonly number[]): void {
  const ids = seen.map(({ id }) => id)
  const known = new Set(ids)
  t.same(
    stored.filter(id => !known.has(id)),
    [],
    `${who} has missed none of ${stored.length}`,
  )
  t.equal(known.size, ids.length, `${who} has seen none twice`)
  t.equal(ids.length, stored.length, `${who} has seen nothing else`)
  const versions = new Map<string, number>()
  const disorder = seen.filter(({ stream, version }) => {
    const before = versions.get(stream) ?? 0
    versions.set(stream, version)
    return version !== before + 1
  })
  t.same(disorder, [], `${who} has seen each stream in the order of its versions`)
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

t.test(`${WRITERS} writers for ${SECONDS} s`, async t => {
  const [db, elsewhere] = await Promise.all([testDatabase(t), testDatabase(t)])
  await db.sql('create table crud (id bigint generated always as identity, body text)')
  const writing = await processOn(t, db, 'watermark')
  const notified = await processOn(t, db, 'watermark')
  const polling = await processOn(t, db, 'watermark', false)

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
  const end = performance.now() + SECONDS * 1_000
  const write = async (): Promise<void> => {
    const stream = streams.filter(({ isTaken }) => !isTaken)[Math.floor(chance() * (STREAMS - WRITERS))]
    if (stream === undefined) return
    stream.isTaken = true
    const count = 1 + Math.floor(chance() * 5)
    const events = Array.from({ length: count }, (_, place) => ({
      originatorId: stream.id,
      originatorVersion: stream.version + 1 + place,
      topic: 'Race.Ran',
      state: Buffer.from('{"data":{},"timestamp":"2026-01-01T00:00:00.000Z","version":1}'),
    }))
    let ids: readonly number[] | undefined
    const fails = chance() < 0.2
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
    if (who !== 'a slow subscriber elsewhere') t.ok(p99 <= MAX_LAG, `${who} is not late`)
  }
  await naive.end()
  const missed = stored.length - new Set(naive.seen).size
  t.ok(missed > 0, `a reader that asks for what is behind the last it has seen has missed ${missed}`)
})

for (const ordering of ['watermark', 'strict'] as const) {
  t.test(`version 1 before version 2, ${ROUNDS} times, with ${ordering} ordering`, async t => {
    const db = await testDatabase(t)
    await db.sql('create table crud (id bigint generated always as identity, body text)')
    const writing = await processOn(t, db, ordering)
    const reading = await processOn(t, db, ordering)
    const { seen, end } = follow(reading)
    const event = (originatorId: string, originatorVersion: number) => ({
      originatorId,
      originatorVersion,
      topic: 'Race.Ran',
      state: Buffer.from('{"data":{},"timestamp":"2026-01-01T00:00:00.000Z","version":1}'),
    })
    const { app, recorder } = writing
    let rounds = 0
    const round = async (): Promise<void> => {
      const stream = randomUUID()
      await app.sqlAssist.run(async late => {
        const session = late.get('writer') as SqlEm
        // Its transaction is the older one.
        await session.execute(`insert into crud (body) values ('early')`)
        await app.sqlAssist.run(async quick => {
          await recorder.at(quick.get('writer') as SqlEm).insertEvents([event(stream, 1)])
        })
        await recorder.at(session).insertEvents([event(stream, 2)])
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
