import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import { eventually, NOTHING } from '../support/app.ts'
import {
  addNoteRoutes,
  allCurrent,
  Browser,
  databaseOf,
  PATIENT_PROBE,
  replicatedCluster,
  routedApp,
  serverNames,
  statesBecome,
} from '../support/routed-app.ts'
import { writeThenRead } from '../support/write-then-read.ts'

type Servers = EmbeddedCluster['replicas'][number]

t.test('which server may answer', async t => {
  const cluster = await replicatedCluster(t, 2)
  const [first, second] = cluster.replicas as [Servers, Servers]
  const names = serverNames(cluster)
  const owner = databaseOf(cluster, t)
  /** Writes that no client of the application has made. */
  const insert = (tag: string) => owner.sql(`insert into note (tag, body) values ($1, 'x')`, [tag])
  const routes = addNoteRoutes
  const base = { max: 10, routes, server: { logger: false } } as const
  const test = await routedApp(t, cluster, { ...base, routing: { probe: PATIENT_PROBE, wait: 0 } })
  const serverOf = (body: string): string | undefined => names[JSON.parse(body).port as number]

  await t.test(
    'with one replica late and the other current, reads stay on replicas, and none is stale',
    async t => {
      const maxLag = { ms: 200 }
      const late = await routedApp(t, cluster, {
        ...base,
        routing: { probe: PATIENT_PROBE, maxLag, wait: 2_000 },
      })
      await allCurrent(late, cluster)
      // What arrives is replayed a minute later.
      await delayReplay(first, '1min')
      await insert('something to be late with')
      t.same(await statesBecome(late, { replica1: 'lagging', replica2: 'online' }), {
        replica1: 'lagging',
        replica2: 'online',
      })
      const { stale, statuses } = await writeThenRead(late, {
        pairs: 100,
        clients: 10,
        name: 'late',
        reads: 4,
      })
      t.same(stale, [])
      t.same(statuses, { 200: 400, 201: 100 })
      const { replica, primary } = late.app.sqlAssist.routing.reads
      t.ok(replica / (replica + primary) >= 0.9, `${replica} of ${replica + primary} reads on replicas`)
      t.comment(`${replica} of ${replica + primary} reads on replicas`)
      t.equal(late.app.sqlAssist.engines.get('reader').replicas[0]?.state, 'lagging', 'it is still late')
      await delayReplay(first, '0')
      t.same(await statesBecome(late, { replica1: 'online' }), { replica1: 'online' }, 'and comes back')
    },
  )

  await t.test('what was read once is there for ever, also for who never wrote', async t => {
    for (const [index, paused] of [first, second].entries()) {
      await allCurrent(test, cluster)
      await paused.pauseReplay()
      const tag = `monotonic ${index}`
      await insert(tag)
      const [fresh] = cluster.replicas.filter(replica => replica !== paused)
      await fresh?.caughtUp()
      // Clients without a token: chance sends some of them to either replica.
      const clients = Array.from({ length: 30 }, () => new Browser(test))
      const hasSeen = new Set<Browser>()
      let early = 0
      for (let round = 0; round < 6; round++) {
        const missed = await Promise.all(
          clients.map(async client => {
            const { status, body } = await client.ask('GET', `/notes/${encodeURIComponent(tag)}`)
            if (status === 200) hasSeen.add(client)
            else if (hasSeen.has(client)) return `round ${round}: ${serverOf(body)}`
            else early++
            return undefined
          }),
        )
        t.same(missed.filter(Boolean), [])
      }
      t.ok(hasSeen.size > 0 && early > 0, `${hasSeen.size} have seen it, ${early} reads were too early to`)
    }
    await allCurrent(test, cluster)
  })

  await t.test('that ONE replica has caught up says nothing of the other (GitLab issue 413203)', async t => {
    for (let round = 0; round < 5; round++) {
      await allCurrent(test, cluster)
      await second.pauseReplay()
      const tag = `one-of-two-${round}`
      const browser = new Browser(test)
      t.equal((await browser.ask('POST', `/notes/${tag}`, {})).status, 201)
      await first.caughtUp()
      // The position that the application has of it is that of its last question or read.
      const knows = async () => serverOf((await browser.ask('GET', `/notes/${tag}`)).body) === 'replica1'
      t.ok(await eventually(knows), 'the first one serves the client now')
      for (let read = 0; read < 20; read++) {
        const { status, body } = await browser.ask('GET', `/notes/${tag}`)
        t.equal(status, 200)
        t.not(serverOf(body), 'replica2', 'the second one has not got it')
      }
    }
    await allCurrent(test, cluster)
  })

  await t.test('with wait: 0 the primary is asked at once', async t => {
    await allCurrent(test, cluster)
    await pauseAll(cluster)
    const browser = new Browser(test)
    await browser.ask('POST', '/notes/at-once', {})
    for (let read = 0; read < 10; read++) {
      const { status, body } = await browser.ask('GET', '/notes/at-once')
      t.same([status, serverOf(body)], [200, 'primary'])
    }
    await allCurrent(test, cluster)
    const { status, body } = await browser.ask('GET', '/notes/at-once')
    t.equal(status, 200)
    t.match(serverOf(body), /replica/, 'once they have caught up, they serve')
  })

  await t.test('with wait: 2000 a replica that is 300 ms late serves', async t => {
    const patient = await routedApp(t, cluster, { ...base, routing: { probe: PATIENT_PROBE, wait: 2_000 } })
    await allCurrent(patient, cluster)
    await pauseAll(cluster)
    const browser = new Browser(patient)
    await browser.ask('POST', '/notes/patient', {})
    const reading = browser.ask('GET', '/notes/patient')
    let hasAnswered = false
    void reading.then(() => {
      hasAnswered = true
    })
    await sleep(300)
    t.notOk(hasAnswered, 'it waits')
    await first.resumeReplay()
    const { status, body } = await reading
    t.same([status, serverOf(body)], [200, 'replica1'])
    t.equal(patient.app.sqlAssist.routing.waited > 0, true)
    t.same(patient.app.sqlAssist.routing.reads.primary, 0)
    await allCurrent(patient, cluster)
  })

  await t.test('a wait that was in vain ends at the primary', async t => {
    const patient = await routedApp(t, cluster, { ...base, routing: { probe: PATIENT_PROBE, wait: 200 } })
    await allCurrent(patient, cluster)
    await pauseAll(cluster)
    const browser = new Browser(patient)
    await browser.ask('POST', '/notes/in-vain', {})
    const start = performance.now()
    const { status, body } = await browser.ask('GET', '/notes/in-vain')
    t.same([status, serverOf(body)], [200, 'primary'])
    t.ok(performance.now() - start >= 199, 'after the wait')
    await allCurrent(patient, cluster)
  })

  await t.test(
    `onUnavailable: 'error' answers 503, and only for who needs more than the replicas have`,
    async t => {
      const strict = await routedApp(t, cluster, {
        ...base,
        routing: { probe: PATIENT_PROBE, wait: 50, onUnavailable: 'error' },
      })
      await allCurrent(strict, cluster)
      await pauseAll(cluster)
      const browser = new Browser(strict)
      t.equal((await browser.ask('POST', '/notes/strict', {})).status, 201)
      const { status, body } = await browser.ask('GET', '/notes/strict')
      t.same([status, JSON.parse(body).code], [503, 'SQLA_ERR_NO_REPLICA'])
      t.equal((await new Browser(strict).ask('GET', '/notes/strict')).status, 404, 'others are served')
      t.equal(strict.app.sqlAssist.routing.reads.primary, 0)
      await allCurrent(strict, cluster)
      t.equal((await browser.ask('GET', '/notes/strict')).status, 200)
      t.same(await strict.remains(), NOTHING)
    },
  )

  t.same(await test.remains(), NOTHING)

  async function delayReplay(replica: Servers, delay: string): Promise<void> {
    const client = new pg.Client(replica.url)
    await client.connect()
    await client.query(`alter system set recovery_min_apply_delay = '${delay}'`)
    await client.query('select pg_reload_conf()')
    await client.end()
  }
})

async function pauseAll(cluster: EmbeddedCluster): Promise<void> {
  for (const replica of cluster.replicas) await replica.pauseReplay()
}
