import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { eventually, NOTHING } from '../support/app.ts'
import { failingRoutes } from '../support/failing.ts'
import { random } from '../support/random.ts'
import { Browser, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'

const SECONDS = Number(process.env.SECONDS ?? 60)
const CLIENTS = 50
const REPLICAS = 3
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
const ALL = { replica1: 'online', replica2: 'online', replica3: 'online' }

function activeResources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

t.setTimeout(SECONDS * 1_000 + 120_000)

t.test(`${SECONDS} s in which replicas fail at random, and clients read what they have written`, async t => {
  t.comment(`seed ${SEED}: run again with SEED=${SEED}`)
  const chance = random(SEED)
  const unexpected: string[] = []
  const onRejection = (error: unknown) => {
    unexpected.push(String((error as Error)?.stack ?? error))
  }
  process.on('unhandledRejection', onRejection)
  process.on('warning', onRejection)
  t.teardown(() => {
    process.off('unhandledRejection', onRejection)
    process.off('warning', onRejection)
  })
  const cluster = await replicatedCluster(t, REPLICAS, { max_standby_streaming_delay: 0 })
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    max: 10,
    server: { logger: false },
    routing: { probe: { interval: 100, timeout: 500 } },
  })
  t.same(await statesBecome(test, ALL), ALL)
  const resources = activeResources()

  const failures: string[] = []
  const servedBy: Record<string, number> = {}
  let answers = 0
  let running = true
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const browser = new Browser(test)
    for (let n = 0; running; n++) {
      const tag = `c${client}n${n}`
      const written = await browser.ask('POST', `/notes/${tag}`, {})
      if (written.status !== 201) failures.push(`POST ${tag}: ${written.status} ${written.body}`)
      for (const path of [`/notes/${tag}`, `/read?ms=${n % 40}`, `/notes/${tag}`]) {
        const { status, body } = await browser.ask('GET', path)
        answers++
        if (status !== 200) failures.push(`${path}: ${status} ${body}`)
        else {
          const { port } = JSON.parse(body) as { port: number }
          servedBy[port] = (servedBy[port] ?? 0) + 1
        }
      }
      await sleep(100)
    }
  })

  const done: Record<string, number> = {}
  const end = performance.now() + SECONDS * 1_000
  const faults = cluster.replicas.map(async replica => {
    const owner = new pg.Pool({ connectionString: replica.url, max: 1 })
    owner.on('error', () => {})
    while (performance.now() < end) {
      await sleep(500 + chance() * 3_000)
      const how = ['kill', 'stop', 'pause', 'terminate', 'lag'][Math.floor(chance() * 5)] as string
      done[how] = (done[how] ?? 0) + 1
      const length = chance() * 2_500
      if (how === 'kill' || how === 'stop') {
        await replica[how]()
        await sleep(length)
        await replica.start()
      } else if (how === 'pause') {
        await replica.pause()
        await sleep(length)
        await replica.unpause()
      } else if (how === 'terminate') {
        await owner.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()',
        )
      } else {
        await replica.pauseReplay()
        await sleep(length)
        await replica.resumeReplay()
      }
    }
    await owner.end()
  })
  await Promise.all(faults)
  running = false
  await Promise.all(clients)

  t.comment(`faults: ${JSON.stringify(done)}; ${answers} reads, by port ${JSON.stringify(servedBy)}`)
  t.same(
    failures.slice(0, 10),
    [],
    `no request failed, and every client found what it had written (${failures.length})`,
  )
  t.same(unexpected.slice(0, 3), [], 'no warning, no unhandled rejection')
  t.ok(
    cluster.replicas.every(({ port }) => (servedBy[port] ?? 0) > 0),
    'every replica has served',
  )
  t.same(await statesBecome(test, ALL, 20_000), ALL, 'and is back in rotation')
  t.same(await test.remains(), NOTHING)
  // Each idle connection has a timer of pg's own pool, which ends it after 10 s.
  const timers = () => activeResources().Timeout ?? 0
  t.ok(
    await eventually(() => timers() <= (resources.Timeout ?? 0) + 5, 20_000),
    `${timers()} timers are left`,
  )
  const after = activeResources()
  t.comment(`resources before ${JSON.stringify(resources)}, after ${JSON.stringify(after)}`)
  t.ok((after.TCPSocketWrap ?? 0) <= (REPLICAS + 3) * 10 + 20, 'no socket is left behind')
})
