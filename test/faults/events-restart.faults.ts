import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { EmbeddedServer } from '../../plugins/embedded/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { within } from '../events/logs.ts'
import { eventually } from '../support/app.ts'
import { testCluster } from '../support/cluster.ts'
import { databaseOf } from '../support/routed-app.ts'
import { assertOrder, eventsOf, follow, type Process, processOn } from './events-followers.ts'

// Servers that crash, and start again, while events are recorded and followed.

const RESTARTS = Number(process.env.RESTARTS ?? 10)
const WRITERS = 8
/** Milliseconds. */
const MAX_RESUME = 5_000

t.setTimeout(300_000)

/** What `pg_ctl restart -m immediate` does: nobody finishes anything, and the server recovers. */
async function restart(server: EmbeddedServer): Promise<void> {
  process.kill(server.pid as number, 'SIGQUIT')
  await eventually(() => server.pid === undefined, 10_000)
  await server.start()
}

/** Streams that are written until it is told to stop, whatever happens to the server. */
function writeTo({ app, recorder }: Process) {
  /** When the commit of which event was acknowledged. */
  const acknowledged = new Map<number, number>()
  let failures = 0
  let isEnded = false
  const write = async (): Promise<void> => {
    let stream = randomUUID()
    let version = 1
    while (!isEnded) {
      const count = 1 + (version % 3)
      let ids: readonly number[] | undefined
      try {
        await app.sqlAssist.run(async db => {
          ids = await recorder.at(db.get('writer') as SqlEm).insertEvents(eventsOf(stream, version, count))
          await sleep(Math.random() * 5)
        })
        for (const id of ids ?? []) acknowledged.set(id, performance.now())
        version += count
      } catch {
        // Whether it was committed is not known: it goes on with another stream.
        failures++
        stream = randomUUID()
        version = 1
        await sleep(50)
      }
    }
  }
  const done = Promise.all(Array.from({ length: WRITERS }, write))
  return {
    acknowledged,
    failures: () => failures,
    end: async () => {
      isEnded = true
      await done
    },
  }
}

t.test(`a server that is restarted ${RESTARTS} times without mercy`, async t => {
  const cluster = await testCluster(t)
  const { primary } = cluster
  const db = databaseOf(cluster, t)
  const writing = await processOn(t, primary.url, { pollInterval: 1_000 })
  const notified = await processOn(t, primary.url, { pollInterval: 1_000 })
  const polling = await processOn(t, primary.url, { notify: false, pollInterval: 100 })
  const followers = {
    'a subscriber in the same process': follow(writing),
    'a subscriber elsewhere': follow(notified),
    'a subscriber that only polls': follow(polling),
  }
  const writers = writeTo(writing)
  const resumed: number[] = []
  for (let n = 0; n < RESTARTS; n++) {
    await sleep(300 + Math.random() * 400)
    await restart(primary)
    const from = performance.now()
    for (const [who, { seen }] of Object.entries(followers)) {
      const since = (id: number) => (writers.acknowledged.get(id) ?? 0) > from
      const has = await eventually(() => since(seen.at(-1)?.id ?? 0), 2 * MAX_RESUME)
      const ms = performance.now() - from
      resumed.push(ms)
      if (!has || ms > MAX_RESUME) t.fail(`${who} has gone on ${ms.toFixed(0)} ms after restart ${n + 1}`)
    }
  }
  await writers.end()
  t.comment(`gone on after ${Math.min(...resumed).toFixed(0)} to ${Math.max(...resumed).toFixed(0)} ms`)
  const rows = await db.sql<{ id: string }>('select id from stored_events order by id')
  const stored = rows.map(({ id }) => Number(id))
  const there = new Set(stored)
  t.same(
    [...writers.acknowledged.keys()].filter(id => !there.has(id)),
    [],
    `all of ${writers.acknowledged.size} acknowledged events are there`,
  )
  t.comment(`${stored.length} events, ${writers.failures()} failures`)
  for (const [who, { seen, end }] of Object.entries(followers)) {
    t.ok(await eventually(() => seen.length >= stored.length, 10_000), `${who}: ${seen.length}`)
    await end()
    assertOrder(t, who, seen, stored)
  }
  t.ok(polling.warnings.length <= RESTARTS, `${polling.warnings.length} warnings`)
})

t.test('numbers that a server gives once more after a crash', async t => {
  const settings = { wal_writer_delay: '10s', restart_after_crash: 'on', checkpoint_timeout: '1h' }
  const cluster = await testCluster(t, { settings })
  const db = databaseOf(cluster, t)
  // Nobody tells, and nobody looks by himself: what was known stays known until somebody asks.
  const quiet = { notify: false, pollInterval: 600_000 }
  const writing = await processOn(t, cluster.primary.url, quiet)
  const reading = await processOn(t, cluster.primary.url, quiet)
  const { recorder } = writing
  for (const round of [1, 2]) {
    await t.test(`round ${round}`, async t => {
      const stream = randomUUID()
      await recorder.insertEvents(eventsOf(stream, 1, 3))
      const first = Number((await recorder.maxNotificationId()) ?? 0)
      // The sequence is written down 32 numbers at a time, and with a commit only: these are lost in a crash.
      const undone = eventsOf(stream, 4, 100)
      await writing.app.sqlAssist
        .run(async db => {
          await recorder.at(db.get('writer') as SqlEm).insertEvents(undone)
          throw new RangeError('changed my mind')
        })
        .catch(() => {})
      const settled = await reading.log.settled()
      t.equal(settled, first + 100, 'the numbers of a rollback are settled')
      const { subscription, seen, end } = follow(reading, { after: first - 1, batch: 1, pause: () => 10 })
      t.ok(await eventually(() => seen.length === 1 && subscription.position === first))
      // This one knows how far it may read, and has not read.
      const busy = follow(reading, { after: first - 1, batch: 1, isLeftAlone: true })
      t.match(await busy.subscription.next(), { value: { id: first } })

      // One process of it dies, which is a crash, and the others are started anew.
      const [victim] = await db.sql<{ pid: number }>(
        `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1`,
      )
      process.kill(victim?.pid as number, 'SIGKILL')
      const { pid } = cluster.primary
      const isBack = () =>
        db.sql('select 1').then(
          () => true,
          () => false,
        )
      await sleep(200)
      t.ok(await eventually(isBack, 20_000))
      t.equal(cluster.primary.pid, pid, 'its main process goes on')

      const slow = await openSession(writing)
      const [again] = (await recorder.at(slow.em).insertEvents(eventsOf(randomUUID(), 1))) as [number]
      t.ok(again <= settled, `${again} is given once more`)
      await recorder.insertEvents(eventsOf(randomUUID(), 1, 200))
      const next = busy.subscription.next()
      t.equal(await within(next, 200), 'nothing yet', 'whoever reads now does not see what is behind it')
      reading.log.announce(recorder.datastore)
      await sleep(200)
      t.same(
        seen.map(({ id }) => id),
        [first],
        'what is behind an open transaction is not seen, although its number was settled once',
      )
      await slow.commit()
      t.ok(await eventually(() => seen.length === 202, 20_000), `${seen.length}`)
      t.equal(seen[1]?.id, again)
      t.match(await within(next, 20_000), { value: { id: again } })
      await end()
      await busy.end()
    })
  }
})

t.test('an engine on a standby cannot tell what is settled, until it is the primary', async t => {
  const cluster = await testCluster(t, { replicas: 1 })
  const [heir] = cluster.replicas as unknown as [(typeof cluster.replicas)[0]]
  const { primary } = cluster
  const db = databaseOf(cluster, t)
  await db.sql(`alter system set synchronous_standby_names = 'replica1'`)
  await db.sql('select pg_reload_conf()')
  // The engine is wherever writes are accepted.
  const writing = await processOn(t, [primary.url, heir.url] as string[], { pollInterval: 100 })
  await heir.caughtUp()
  const { seen, end } = follow(writing)
  const stream = randomUUID()
  await writing.recorder.insertEvents(eventsOf(stream, 1, 3))
  t.ok(await eventually(() => seen.length === 3))
  await heir.caughtUp()
  const standby = await processOn(t, heir.url, { pollInterval: 100, makesTables: false })
  await t.rejects(standby.log.settled(), { code: 'SQLA_ERR_EVENTS_STORAGE', message: /standby/ })

  await primary.kill()
  await heir.promote()
  const from = performance.now()
  const record = () =>
    writing.recorder.insertEvents(eventsOf(stream, 4, 2)).then(
      () => true,
      () => false,
    )
  t.ok(await eventually(record, 10_000), 'events can be recorded again')
  t.ok(await eventually(() => seen.length === 5, MAX_RESUME), `${seen.length}`)
  t.comment(`gone on ${(performance.now() - from).toFixed(0)} ms after the promotion`)
  t.same(
    seen.map(({ version }) => version),
    [1, 2, 3, 4, 5],
  )
  t.ok((await standby.log.settled()) >= (seen.at(-1)?.id ?? 0))
  await end()
})

async function openSession({ engine }: Process) {
  const em = engine.orm.em.fork() as SqlEm
  await em.begin()
  return { em, commit: () => em.commit() }
}
