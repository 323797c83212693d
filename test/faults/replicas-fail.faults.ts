import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { EmbeddedServer } from '../../plugins/embedded/index.ts'
import { eventually, NOTHING, ormConfig } from '../support/app.ts'
import type { Teardown } from '../support/cluster.ts'
import { failingRoutes, SLEEPERS, TERMINATE } from '../support/failing.ts'
import { failuresOf, Load, p99, portsOf } from '../support/load.ts'
import {
  replicaStates,
  replicasOf,
  replicatedCluster,
  routedApp,
  statesBecome,
} from '../support/routed-app.ts'

/** The default of the engines. */
const ACQUIRE_TIMEOUT = 10_000
const PROBE = { interval: 100, timeout: 250 }
const BOTH = { replica1: 'online', replica2: 'online' }

/** SQL as the superuser of one server. */
function superuser(t: Teardown, server: EmbeddedServer) {
  const pool = new pg.Pool({ connectionString: server.url, max: 2, idleTimeoutMillis: 0 })
  pool.on('error', () => {})
  t.teardown(() => pool.end())
  return async (text: string) => (await pool.query(text)).rows
}

t.test('replicas that fail under the load of 100 clients', async t => {
  const cluster = await replicatedCluster(t, 2)
  const [first, second] = cluster.replicas as unknown as [EmbeddedServer, EmbeddedServer]
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    max: 10,
    server: { logger: false },
    routing: { probe: PROBE },
  })
  t.same(await statesBecome(test, BOTH), BOTH)
  const load = new Load(test, { clients: 100, pause: 200, next: n => ({ path: `/read?ms=${n % 20}` }) })
  let seen = 0
  const failures = (): string[] => {
    const samples = load.samples.slice(seen)
    seen = load.samples.length
    return failuresOf(samples)
  }

  await t.test('a replica is killed: no request fails, and it comes back by itself', async t => {
    const before = portsOf(await load.answers(200))
    t.ok(before[first.port] && before[second.port], `both serve reads: ${JSON.stringify(before)}`)
    await first.kill()
    t.same(await statesBecome(test, { replica1: 'down' }), { replica1: 'down' })
    const during = portsOf(await load.answers(200))
    t.same(Object.keys(during), [String(second.port)], 'the other one serves all reads')
    t.same(failures(), [], 'no request failed')
    await first.start()
    t.same(await statesBecome(test, BOTH), BOTH)
    const after = portsOf(await load.answers(200))
    t.ok(after[first.port], `it serves reads again: ${JSON.stringify(after)}`)
    t.same(failures(), [], 'no request failed')
  })

  await t.test('all are killed: the primary serves, no request fails', async t => {
    await Promise.all([first.kill(), second.kill()])
    t.same(await statesBecome(test, { replica1: 'down', replica2: 'down' }), {
      replica1: 'down',
      replica2: 'down',
    })
    const during = portsOf(await load.answers(200))
    t.same(Object.keys(during), [String(cluster.primary.port)])
    await Promise.all([first.start(), second.start()])
    t.same(await statesBecome(test, BOTH), BOTH)
    const after = portsOf(await load.answers(200))
    t.ok(after[first.port] && after[second.port], `both serve reads again: ${JSON.stringify(after)}`)
    t.same(failures(), [], 'no request failed')
  })

  await t.test(
    'a replica that hangs: its requests are answered by another, the others feel nothing',
    async t => {
      await load.answers(200)
      const before = p99(await load.answers(500))
      const from = performance.now()
      await first.pause()
      // Whoever has a connection to it now does not get an answer there any more.
      let stuck = 0
      const [hanging] = test.app.sqlAssist.engines.get('reader').replicas
      t.equal(hanging?.name, 'replica1')
      while (replicaStates(test).replica1 !== 'down' && performance.now() - from < 10_000) {
        const [{ inUse = 0 } = {}] = test.app.sqlAssist.engines.get('reader').replicas
        stuck = Math.max(stuck, inUse)
        await sleep(5)
      }
      t.same(await statesBecome(test, { replica1: 'down' }), { replica1: 'down' })
      const noticed = performance.now() - from
      t.ok(stuck > 0, `${stuck} requests had to be asked again`)
      const during = await load.answers(500)
      const slow = p99(during)
      t.same(Object.keys(portsOf(during)), [String(second.port)], 'the other one serves all reads')
      t.comment(
        `noticed after ${noticed.toFixed(0)} ms; p99 before ${before.toFixed(1)} ms, while it hangs ${slow.toFixed(1)} ms`,
      )
      t.ok(slow < 3 * before, `p99 stays within 3 times: ${slow.toFixed(1)} ms < 3 x ${before.toFixed(1)} ms`)
      t.ok(load.longestWait < 2_000, `nobody waits for it any more: ${load.longestWait.toFixed(0)} ms`)
      t.same(failures(), [], 'no request failed')
      await first.unpause()
      t.same(await statesBecome(test, BOTH), BOTH)
      const after = portsOf(await load.answers(200))
      t.ok(after[first.port], `it serves reads again: ${JSON.stringify(after)}`)
      t.same(failures(), [], 'no request failed')
    },
  )

  await load.stop()
  t.same(await test.remains(), NOTHING)
})

t.test('a server that fails in the middle of a statement', async t => {
  const cluster = await replicatedCluster(t, 2, { max_standby_streaming_delay: 0 })
  const { primary, replicas } = cluster
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    routing: { probe: PROBE },
    max: 2,
    engines: {
      frozen: {
        readOnly: true,
        snapshot: true,
        orm: ormConfig(cluster.url('app_reader', cluster.primary)),
        replicas: replicasOf(cluster),
      },
    },
  })
  t.same(await statesBecome(test, BOTH), BOTH)
  const sql = new Map([primary, ...replicas].map(server => [server, superuser(t, server)]))
  /** The server on which the statement of `/read?ms=` runs. */
  const whereItRuns = async (): Promise<EmbeddedServer> => {
    let found: EmbeddedServer | undefined
    await eventually(async () => {
      for (const [server, run] of sql) {
        const [row] = await run(SLEEPERS).catch(() => [])
        if (row?.count > 0) found = server
      }
      return found !== undefined
    })
    return found as EmbeddedServer
  }
  const repeated = (): number => test.app.sqlAssist.routing.repeated

  await t.test('outside a transaction another server answers, as long as there is one', async t => {
    const before = repeated()
    const answer = test.ask('GET', '/read?ms=1500')
    const ran: EmbeddedServer[] = []
    for (let n = 0; n < 2; n++) {
      const server = await whereItRuns()
      ran.push(server)
      await server.kill()
    }
    t.same(ran.map(({ name }) => name).sort(), ['replica1', 'replica2'])
    const { status, body } = await answer
    t.same([status, JSON.parse(body).port], [200, primary.port], body)
    t.equal(repeated() - before, 2)
    for (const server of ran) await server.start()
    t.same(await statesBecome(test, BOTH), BOTH)
  })

  await t.test('on the primary: once more there, if it still serves', async t => {
    const answer = test.ask('GET', '/primary?ms=500')
    t.equal(await whereItRuns(), primary)
    await sql.get(primary)?.(TERMINATE)
    const { status, body } = await answer
    t.same([status, JSON.parse(body).port], [200, primary.port], body)
  })

  for (const path of ['/unit', '/snapshot']) {
    await t.test(
      `inside a transaction (${path}) the client gets the error, and later requests work`,
      async t => {
        const before = repeated()
        const answer = test.ask('GET', `${path}?ms=5000`)
        const server = await whereItRuns()
        await server.kill()
        const { status, body } = await answer
        t.equal(status, 500, body)
        t.match(body, /terminat/i)
        t.equal(repeated(), before, 'nothing was run again')
        t.equal((await test.ask('GET', path)).status, 200, 'later requests work')
        await server.start()
        t.same(await statesBecome(test, BOTH), BOTH)
      },
    )
  }

  await t.test('inside a transaction on a server that hangs', async t => {
    const before = repeated()
    const answer = test.ask('GET', '/unit?ms=50')
    const server = await whereItRuns()
    await server.pause()
    const { status, body } = await Promise.race([answer, sleep(5_000, { status: 0, body: 'no answer' })])
    t.equal(status, 500, body)
    t.match(body, /terminat/i)
    t.equal(repeated(), before, 'nothing was run again')
    await (server as EmbeddedServer).unpause()
    t.same(await statesBecome(test, BOTH), BOTH)
  })
  await t.test('a conflict with recovery: run again outside a transaction, an error inside one', async t => {
    const onPrimary = sql.get(primary) as (text: string) => Promise<unknown>
    await onPrimary(`create table victim (id int); insert into victim values (1)`)
    for (const replica of replicas) await replica.caughtUp()
    const before = repeated()
    const read = test.ask('GET', '/victim')
    await whereItRuns()
    await onPrimary('truncate victim; insert into victim values (2)')
    t.match(await read, { status: 200, body: /^{"port":/ })
    t.ok(repeated() > before, 'it was run again')

    for (const replica of replicas) await replica.caughtUp()
    const unit = test.ask('GET', '/victim-unit')
    await whereItRuns()
    const repeatedBefore = repeated()
    await onPrimary('truncate victim; insert into victim values (3)')
    t.match(await unit, { status: 500, body: /conflict with recovery/ })
    t.equal(repeated(), repeatedBefore, 'nothing was run again')
    for (const replica of replicas) await replica.caughtUp()
    t.equal((await test.ask('GET', '/victim-unit')).status, 200, 'later requests work')
    t.same(await statesBecome(test, BOTH), BOTH)
  })

  await t.test('those who wait for a connection are answered by another server', async t => {
    for (const how of ['pause', 'kill'] as const) {
      const from = performance.now()
      const answers = Array.from({ length: 24 }, () => test.ask('GET', '/read?ms=100'))
      const wait = () => test.app.sqlAssist.engines.get('reader').replicas.every(one => one.waiting > 4)
      t.ok(await eventually(wait), 'both pools are used up')
      await Promise.all(replicas.map(replica => replica[how]()))
      const statuses = (await Promise.all(answers)).map(({ status }) => status)
      t.same(
        statuses.filter(status => status !== 200),
        [],
        `no request failed when both servers ${how}`,
      )
      const took = performance.now() - from
      t.ok(took < ACQUIRE_TIMEOUT / 2, `nobody waited for the pool's patience: ${took.toFixed(0)} ms`)
      for (const replica of replicas) await (how === 'pause' ? replica.unpause() : replica.start())
      t.same(await statesBecome(test, BOTH), BOTH)
    }
  })
  t.same(await test.remains(), NOTHING)
})
