import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t from 'tap'
import type { EmbeddedServer } from '../../plugins/embedded/index.ts'
import { eventually, NOTHING, type TestApp } from '../support/app.ts'
import { type Teardown, testCluster } from '../support/cluster.ts'
import { failingRoutes, transitions } from '../support/failing.ts'
import { failuresOf, Load, portsOf } from '../support/load.ts'
import { databaseOf, replicasOf, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'

const BOTH = { replica1: 'online', replica2: 'online' }

function replicasOfApp(test: TestApp) {
  return test.app.sqlAssist.engines.get('reader').replicas
}

/** When the sessions of an application began on a server, by process id. */
async function sessions(server: EmbeddedServer, name: string): Promise<number[]> {
  const client = new pg.Client(server.url)
  await client.connect()
  const { rows } = await client.query('select pid from pg_stat_activity where application_name = $1', [name])
  await client.end()
  return rows.map(({ pid }) => pid as number)
}

/** A server that hangs up on everybody, and when it did. */
async function refusingServer(t: Teardown): Promise<{ port: number; times: number[] }> {
  const times: number[] = []
  const server = createServer(socket => {
    times.push(performance.now())
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: (server.address() as AddressInfo).port, times }
}

t.test('states and what the log says of them', async t => {
  const cluster = await replicatedCluster(t, 2)
  const [first, second] = cluster.replicas as unknown as [(typeof cluster.replicas)[0], EmbeddedServer]
  const { sql } = databaseOf(cluster, t)
  const foreign = await testCluster(t, { replicas: 1 })
  await second.kill()
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    routing: { probe: { interval: 100, timeout: 2_000 }, maxLag: { ms: 400, bytes: 100_000 }, wait: 0 },
    reader: {
      replicas: [
        ...replicasOf(cluster),
        { name: 'foreign', clientUrl: foreign.url('app_reader', foreign.replicas[0] as EmbeddedServer) },
      ],
    },
  })

  await t.test(
    'one that is down at the start, or of another cluster, does not keep the application from starting',
    async t => {
      const [up, down, stranger] = replicasOfApp(test)
      t.match(up, { name: 'replica1', state: 'online', reason: undefined, weight: 1, inUse: 0, waiting: 0 })
      t.match(up?.position, { system: /^\d+$/, timeline: 1 })
      t.type(up?.position?.lsn, 'bigint')
      t.match(up?.lag, { ms: Number, bytes: Number })
      t.match(down, { name: 'replica2', state: 'down', reason: /ECONNREFUSED/, lag: undefined })
      t.match(stranger, { name: 'foreign', state: 'down', reason: /replays another cluster/ })
      for (let n = 0; n < 10; n++) {
        const { body } = await test.ask('GET', '/read')
        t.equal(JSON.parse(body).port, first.port)
      }
      await second.start()
      t.same(await statesBecome(test, BOTH), BOTH, 'it joins later')
    },
  )

  await t.test('in use and waiting', async t => {
    const asked = Array.from({ length: 12 }, () => test.ask('GET', '/read?ms=300'))
    const busy = await eventually(() =>
      replicasOfApp(test)
        .slice(0, 2)
        .every(({ inUse, waiting }) => inUse === 4 && waiting === 2),
    )
    t.ok(busy, 'least busy first: the requests are shared out')
    for (const { status } of await Promise.all(asked)) t.equal(status, 200)
  })

  await t.test('lagging: by time, by bytes, and back', async t => {
    await first.pauseReplay()
    await sql(`insert into note (tag, body) values ('lag', 'x')`)
    const lagging = { replica1: 'lagging', replica2: 'online' }
    t.same(await statesBecome(test, lagging), lagging)
    t.match(replicasOfApp(test)[0], { reason: 'it is more than 400 ms behind' })
    t.ok((replicasOfApp(test)[0]?.lag?.ms ?? 0) > 400)
    t.equal(JSON.parse((await test.ask('GET', '/read')).body).port, second.port, 'reads go to the other')
    await first.resumeReplay()
    t.same(await statesBecome(test, BOTH), BOTH)

    await first.pauseReplay()
    await sql(`insert into note (tag, body) select 'bulk', repeat('x', 500) from generate_series(1, 1000)`)
    t.same(await statesBecome(test, lagging), lagging)
    t.match(replicasOfApp(test)[0], { reason: /it is more than (100000 bytes|400 ms) behind/ })
    t.ok((replicasOfApp(test)[0]?.lag?.bytes ?? 0) > 100_000)
    await first.resumeReplay()
    t.same(await statesBecome(test, BOTH), BOTH)
  })

  await t.test('draining: it was promoted, and what runs there may finish', async t => {
    await second.kill()
    t.same(await statesBecome(test, { replica2: 'down' }), { replica2: 'down' })
    const unit = test.ask('GET', '/unit?ms=600')
    t.ok(await eventually(() => replicasOfApp(test)[0]?.inUse === 1))
    await first.promote()
    const draining = { replica1: 'draining' }
    t.same(await statesBecome(test, draining), draining)
    t.match(replicasOfApp(test)[0]?.reason, /no standby/)
    const { status, body } = await unit
    t.same([status, JSON.parse(body).port], [200, first.port], body)
    t.equal(JSON.parse((await test.ask('GET', '/read')).body).port, cluster.primary.port)
    t.equal((await test.ask('POST', '/notes/one', { body: {} })).status, 201)
  })

  t.same(
    transitions(test).filter(line => line.startsWith('replica1')),
    [
      'replica1: down -> online',
      'replica1: online -> lagging',
      'replica1: lagging -> online',
      'replica1: online -> lagging',
      'replica1: lagging -> online',
      'replica1: online -> draining',
    ],
  )
  t.ok(transitions(test).includes('replica2: online -> down'))
  const [online] = test.logs.filter(({ to }) => to === 'online')
  t.match(online, { level: 30, engine: 'reader', msg: 'a replica serves reads' })
  const [lagging] = test.logs.filter(({ to }) => to === 'lagging')
  t.match(lagging, { level: 40, reason: /behind/, msg: 'a replica serves no reads' })
  t.same(await test.remains(), NOTHING)
})

t.test('a server that is away is asked less and less often, and not by all at once', async t => {
  const cluster = await replicatedCluster(t, 0)
  const away = [await refusingServer(t), await refusingServer(t)]
  const from = performance.now()
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    routing: { probe: { interval: 500, timeout: 500 } },
    reader: { replicas: away.map(({ port }) => ({ host: '127.0.0.1', port })) },
  })
  t.ok(await eventually(() => away.every(({ times }) => times.length >= 6), 10_000), 'asked again and again')
  const gaps = away.map(({ times }) => times.slice(1, 6).map((time, n) => time - (times[n] as number)))
  t.comment(`gaps in ms: ${gaps.map(list => list.map(gap => gap.toFixed(0)).join(' ')).join(' | ')}`)
  for (const { times } of away) {
    // 100, 200, 400, 800, then twice the interval at most; half of it at least.
    const least = [50, 100, 200, 400, 500]
    const gapsOfIt = times.slice(1, 6).map((time, n) => time - (times[n] as number))
    t.same(
      gapsOfIt.filter((gap, n) => gap < (least[n] as number) - 2),
      [],
      'no gap is shorter than half of its backoff',
    )
    t.ok(times.length <= 2 + (performance.now() - from) / 300, `${times.length} times`)
  }
  const [one = [], other = []] = gaps
  t.ok(
    one.some((gap, n) => Math.abs(gap - (other[n] as number)) > 5),
    'each at times of its own',
  )
  t.equal((await test.ask('GET', '/read')).status, 200, 'the primary serves')
})

t.test('a replica that was late before the application started', async t => {
  const cluster = await replicatedCluster(t, 2)
  const { sql } = databaseOf(cluster, t)
  const [late, current] = cluster.replicas
  await sql("insert into note (tag, body) values ('before', 'a')")
  await late?.caughtUp()
  await late?.pauseReplay()
  await sleep(1_500)
  await sql("insert into note (tag, body) values ('after', 'a')")
  await current?.caughtUp()
  const options = { routes: failingRoutes, routing: { probe: { interval: 100, timeout: 2_000 } } }
  const strict = await routedApp(t, cluster, {
    ...options,
    routing: { ...options.routing, maxLag: { ms: 1_000 } },
  })
  t.same(
    replicasOfApp(strict).map(({ state }) => state),
    ['lagging', 'online'],
    'is late from the first moment',
  )
  t.match(transitions(strict), ['replica1: down -> lagging', 'replica2: down -> online'])
  const patient = await routedApp(t, cluster, {
    ...options,
    routing: { ...options.routing, maxLag: { ms: 60_000 } },
  })
  t.same(
    replicasOfApp(patient).map(({ state }) => state),
    ['online', 'online'],
    'by how much is known',
  )
  await late?.resumeReplay()
  t.same(await statesBecome(strict, BOTH), BOTH)
})

t.test('reinit and close under load', async t => {
  const cluster = await replicatedCluster(t, 2)
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    // Who is busy for longer than `wait` would be answered by the primary.
    routing: { probe: { interval: 100, timeout: 2_000 }, wait: 5_000 },
    reader: { drainTimeout: 5_000 },
  })
  t.same(await statesBecome(test, BOTH), BOTH)
  const servers = cluster.replicas as readonly EmbeddedServer[]
  const load = new Load(test, { clients: 30, pause: 30, next: n => ({ path: `/read?ms=${n % 30}` }) })
  await load.answers(200)
  const before = await Promise.all(servers.map(server => sessions(server, 'sqlassist-test')))
  t.ok(before.every(pids => pids.length > 0))
  await test.app.sqlAssist.reinit()
  const both = portsOf(await load.answers(200))
  t.same(
    Object.keys(both).sort(),
    servers.map(({ port }) => String(port)).sort(),
    'the replicas go on serving',
  )
  const after = await Promise.all(servers.map(server => sessions(server, 'sqlassist-test')))
  for (const [n, pids] of after.entries()) {
    t.ok(
      pids.length > 0 && pids.every(pid => !before[n]?.includes(pid)),
      'the pools of the replicas are fresh',
    )
  }
  t.same(failuresOf(await load.stop()), [], 'no request failed')
  t.same(await test.remains(), NOTHING)

  const inFlight = Array.from({ length: 6 }, () => test.ask('GET', '/read?ms=300'))
  t.ok(await eventually(() => test.app.sqlAssist.engines.get('reader').figures.used === 6))
  test.app.server.closeIdleConnections()
  await test.app.close()
  for (const { status } of await Promise.all(inFlight)) t.equal(status, 200, 'what was under way is answered')
  const gone = await eventually(async () => {
    const left = await Promise.all(
      [cluster.primary, ...servers].flatMap(server =>
        ['sqlassist-test', 'fastify-sqlassist probe'].map(one => sessions(server, one)),
      ),
    )
    return left.flat().length === 0
  })
  t.ok(gone, 'no server has a connection of it any more')
})

for (const how of ['as they are', 'pause', 'kill'] as const) {
  t.test(`after close() nothing keeps the process: replicas ${how}`, async t => {
    const cluster = await replicatedCluster(t, 2)
    const urls = [
      cluster.url('app_writer', cluster.primary),
      cluster.url('app_reader', cluster.primary),
      ...cluster.replicas.map(server => cluster.url('app_reader', server)),
    ]
    const program = fileURLToPath(new URL('../support/closing-app.ts', import.meta.url))
    const { NODE_OPTIONS, ...env } = process.env
    const child = spawn(process.execPath, [program, ...urls], { env, stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    t.equal((await lines.next()).value, 'ready')
    if (how !== 'as they are') for (const replica of cluster.replicas) await replica[how]()
    child.stdin.end()
    const { ms } = JSON.parse((await lines.next()).value ?? '') as { ms: number }
    const closed = performance.now()
    const [code] = await once(child, 'exit')
    t.equal(code, 0)
    t.comment(
      `close took ${ms.toFixed(0)} ms, the process ended ${(performance.now() - closed).toFixed(0)} ms later`,
    )
    t.ok(ms < 5_000, 'close does not wait for a server that does not answer')
    t.ok(performance.now() - closed < 2_000, 'nothing was left to wait for')
  })
}
