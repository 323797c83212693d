import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { startCluster } from '../../plugins/embedded/index.ts'
import { descendants, isAlive } from '../../plugins/embedded/processes.ts'
import { testCluster } from '../support/cluster.ts'
import { query } from './helpers.ts'

t.test('a primary with two standbys', async t => {
  const began = performance.now()
  const cluster = await testCluster(t, { replicas: 2 })
  const took = performance.now() - began
  t.comment(`started in ${Math.round(took)} ms`)
  t.ok(took < 15_000, 'starts in seconds')
  const [first, second] = cluster.replicas
  if (!first || !second) throw new Error('two replicas were asked for')

  await t.test('has different ports, names and processes', async t => {
    const servers = [cluster.primary, first, second]
    t.same(
      servers.map(server => server.name),
      ['primary', 'replica1', 'replica2'],
    )
    t.equal(new Set(servers.map(server => server.port)).size, 3)
    t.equal(new Set(servers.map(server => server.pid)).size, 3)
    for (const server of servers) t.equal(new URL(server.url).port, String(server.port))
  })

  await t.test('streams what the primary commits', async t => {
    const [row] = await query(
      cluster.primary.url,
      'create table note (id int primary key)',
      'insert into note select generate_series(1, 1000)',
      `select array_agg(application_name::text order by application_name) as names from pg_stat_replication
        where state = 'streaming'`,
    )
    t.same(row?.names, ['replica1', 'replica2'])
    for (const replica of [first, second]) {
      await replica.caughtUp()
      t.same(await query(replica.url, 'select count(*)::int as n from note'), [{ n: 1000 }])
    }
  })

  await t.test('its standbys refuse writes', async t => {
    await t.rejects(query(first.url, 'insert into note values (0)'), { code: '25006' })
    t.same(await query(first.url, 'select pg_is_in_recovery() as standby'), [{ standby: true }])
    t.same(await query(cluster.primary.url, 'select pg_is_in_recovery() as standby'), [{ standby: false }])
  })

  await t.test('is reached with passwords only', async t => {
    const wrong = new URL(cluster.primary.url)
    wrong.password = 'guess'
    await t.rejects(query(wrong.href, 'select 1'), { code: '28P01' })
  })

  await t.test('gives URLs per role', async t => {
    t.equal(new URL(cluster.url('app_writer')).port, String(cluster.primary.port))
    t.equal(new URL(cluster.url('app_reader')).port, String(first.port))
    t.equal(new URL(cluster.url('app_reader', second)).port, String(second.port))
    t.equal(cluster.url('reader'), cluster.url('app_reader'))
    t.same(await query(cluster.url('logger'), 'select current_user::text as me, current_database() as db'), [
      { me: 'app_logger', db: 'app' },
    ])
    // @ts-expect-error no such role
    t.throws(() => cluster.url('app_owner'), { code: 'SQLA_ERR_EMBEDDED_UNKNOWN_ROLE' })
  })
})

t.test('without replicas the reader reads from the primary; await using stops it', async t => {
  const pid = await alone(t)
  t.notOk(isAlive(pid))
})

async function alone(t: Test): Promise<number> {
  await using cluster = await startCluster({
    database: 'shop',
    roles: ['app_reader'],
    settings: { max_prepared_transactions: 7, application_name: "it's" },
  })
  t.same(cluster.replicas, [])
  const url = cluster.url('app_reader')
  t.equal(new URL(url).port, String(cluster.primary.port))
  t.same(
    await query(
      url,
      `select current_setting('max_prepared_transactions') as n, current_database() as db,
        current_setting('listen_addresses') as host, current_setting('synchronous_commit') as sync,
        current_setting('fsync') as fsync`,
    ),
    [{ n: '7', db: 'shop', host: '127.0.0.1', sync: 'on', fsync: 'off' }],
  )
  t.throws(() => cluster.url('writer'), {
    code: 'SQLA_ERR_EMBEDDED_UNKNOWN_ROLE',
    message: /'writer'; it has: app_reader/,
  })
  t.same(await query(cluster.primary.url, `select rolname from pg_roles where rolname like 'app%'`), [
    { rolname: 'app_reader' },
  ])
  const pid = cluster.primary.pid as number
  t.ok(isAlive(pid))
  return pid
}

t.test('stop ends every process and removes every file', async t => {
  const signals = () => ['SIGINT', 'SIGTERM', 'exit'].map(name => process.listenerCount(name))
  const resources = () => process.getActiveResourcesInfo().sort()
  const before = { signals: signals(), resources: resources() }
  const own = new Set(descendants(process.pid))

  const cluster = await startCluster({ replicas: 1 })
  const pids = descendants(process.pid).filter(pid => !own.has(pid))
  const [row] = await query(cluster.primary.url, `select current_setting('data_directory') as path`)
  const directory = dirname(String(row?.path))
  t.ok(pids.length > 10, 'two servers, their children and the watchdog run')
  t.ok(existsSync(directory))
  t.same(signals(), before.signals, 'no signal handler while it runs')

  await Promise.all([cluster.stop(), cluster.stop()])
  await cluster.stop()
  t.same(pids.filter(isAlive), [])
  t.notOk(existsSync(directory))
  t.same(signals(), before.signals)
  t.same(resources(), before.resources)
  t.equal(cluster.primary.pid, undefined)
  await t.rejects(query(cluster.primary.url, 'select 1'), { code: 'ECONNREFUSED' })
  await t.rejects(cluster.primary.start(), { code: 'SQLA_ERR_EMBEDDED_STOPPED' })
})
