import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { type MetricsOptions, metrics } from '../../plugins/diagnostics/index.ts'
import {
  createTables,
  eventually,
  Note,
  nativePool,
  ormConfig,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { allCurrent, replicatedCluster, routedApp } from '../support/routed-app.ts'
import { cuttingProxy } from '../transactions/cutting-proxy.ts'
import { both, leaveBehind, namesOf } from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'

// Every figure moves when what it counts happens, on real servers.

/** The figures of a register: by name, or `name{label="value"}`, as Prometheus writes them. */
async function scrape(register: Registry): Promise<Record<string, number>> {
  const lines = (await register.metrics()).split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  )
}

/** What of `before` has become more, and by how much. */
function moved(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const more = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
  return Object.fromEntries(
    more.filter(([name, by]) => by !== 0 && !/_bucket|_sum|pool_conn|lag|_open|waiting/.test(name)),
  )
}

t.test('what happens to sessions and statements is counted', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const register = new Registry()
  const proxy = await cuttingProxy(t, database.writerUrl)
  const orm = ormConfig(proxy.url(database.writerUrl), { pool: { min: 0, max: 1, idleTimeoutMillis: 0 } })
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    max: 1,
    engines: { writer: { orm, acquireTimeout: 300, drainTimeout: 50 } },
    routes: app => app.register(metrics, { register } satisfies MetricsOptions),
  })
  const { sqlAssist } = test.app
  const write = (body = 'a') => sqlAssist.run(db => db.writer.insert(Note, { tag: 'a', body }))
  async function movedBy(work: () => Promise<unknown>): Promise<Record<string, number>> {
    const before = await scrape(register)
    await work()
    return moved(before, await scrape(register))
  }

  await t.test('counters begin at 0, so that the first event is an increase', async t => {
    const figures = await scrape(register)
    t.match(figures, {
      'sqlassist_commits_total{engine="writer"}': 0,
      'sqlassist_rollbacks_total{engine="reader"}': 0,
      'sqlassist_leaks_total{engine="writer",kind="dirty-connection"}': 0,
      'sqlassist_commits_in_doubt_total{engine="writer",outcome="unknown"}': 0,
      'sqlassist_reads_total{server="primary"}': 0,
      sqlassist_reads_waited_total: 0,
    })
  })

  await t.test('commits and rollbacks', async t => {
    t.same(await movedBy(() => write()), {
      'sqlassist_commits_total{engine="writer"}': 1,
      'sqlassist_commit_duration_seconds_count{engine="writer",outcome="success"}': 1,
      'sqlassist_statement_duration_seconds_count{engine="writer",server="primary",outcome="success"}': 1,
      'sqlassist_pool_wait_seconds_count{engine="writer",outcome="success"}': 1,
    })
    t.same(await movedBy(() => t.rejects(write('refused'))), {
      'sqlassist_commit_duration_seconds_count{engine="writer",outcome="error"}': 1,
      'sqlassist_statement_duration_seconds_count{engine="writer",server="primary",outcome="success"}': 1,
      'sqlassist_pool_wait_seconds_count{engine="writer",outcome="success"}': 1,
    })
    const failed = await movedBy(() => t.rejects(sqlAssist.run(db => db.writer.execute('select 1/0'))))
    t.same(failed, {
      'sqlassist_rollbacks_total{engine="writer"}': 1,
      'sqlassist_statement_duration_seconds_count{engine="writer",server="primary",outcome="error"}': 1,
      'sqlassist_pool_wait_seconds_count{engine="writer",outcome="success"}': 1,
    })
  })

  await t.test('durations are seconds', async t => {
    const sum = 'sqlassist_statement_duration_seconds_sum{engine="writer",server="primary",outcome="success"}'
    const before = (await scrape(register))[sum] as number
    await sqlAssist.run(db => db.writer.execute('select pg_sleep(0.2)::text'))
    const took = ((await scrape(register))[sum] as number) - before
    t.ok(took >= 0.199 && took < 10, `${took} s`)
    for (const work of [
      () => write(),
      () => t.rejects(sqlAssist.run(db => db.writer.execute('select 1/0'))),
    ]) {
      const before = await scrape(register)
      const from = performance.now()
      await work()
      const passed = (performance.now() - from) / 1_000
      for (const [name, sum] of Object.entries(await scrape(register))) {
        if (!/_seconds_sum/.test(name)) continue
        const took = sum - (before[name] ?? 0)
        t.ok(took <= passed, `${name}: ${took} s of ${passed} s`)
      }
    }
  })

  await t.test('what is open and in use right now, and who waits', async t => {
    await sqlAssist.run(async db => {
      await db.writer.execute('select 1')
      const waiting = t.rejects(sqlAssist.run(late => late.writer.execute('select 1')))
      t.ok(await eventually(() => sqlAssist.engines.get('writer').figures.waiting === 1))
      t.match(await scrape(register), {
        sqlassist_scopes_open: 2,
        'sqlassist_sessions_open{engine="writer"}': 2,
        'sqlassist_sessions_open{engine="reader"}': 0,
        'sqlassist_pool_connections_used{engine="writer"}': 1,
        'sqlassist_pool_connections_idle{engine="writer"}': 0,
        'sqlassist_pool_connections_max{engine="writer"}': 1,
        'sqlassist_pool_waiting{engine="writer"}': 1,
      })
      t.same(await movedBy(() => waiting), {
        'sqlassist_pool_wait_seconds_count{engine="writer",outcome="error"}': 1,
      })
      const waited = (await scrape(register))[
        'sqlassist_pool_wait_seconds_sum{engine="writer",outcome="error"}'
      ]
      t.ok(Number(waited) > 0.29 && Number(waited) < 10, `${waited} s`)
    })
    t.match(await scrape(register), {
      sqlassist_scopes_open: 0,
      'sqlassist_sessions_open{engine="writer"}': 0,
      'sqlassist_pool_connections_used{engine="writer"}': 0,
      'sqlassist_pool_connections_idle{engine="writer"}': 1,
      'sqlassist_pool_waiting{engine="writer"}': 0,
    })
  })

  await t.test('leaks', async t => {
    const pool = await nativePool(test)
    const client = await pool.connect()
    await client.query('begin')
    client.release()
    t.match(await movedBy(() => write()), {
      'sqlassist_leaks_total{engine="writer",kind="dirty-connection"}': 1,
    })
    const late = sqlAssist.run(async db => {
      await db.writer.execute('select 1')
      await sqlAssist.reinit('writer')
    })
    t.match(await movedBy(() => late.catch(() => {})), {
      'sqlassist_leaks_total{engine="writer",kind="late-drain"}': 1,
    })
  })

  await t.test('commits whose connection was lost', async t => {
    await write()
    proxy.cutNext('after')
    t.match(await movedBy(() => write()), {
      'sqlassist_commits_in_doubt_total{engine="writer",outcome="committed"}': 1,
    })
    proxy.cutNext('before')
    t.match(await movedBy(() => write().catch(() => {})), {
      'sqlassist_commits_in_doubt_total{engine="writer",outcome="aborted"}': 1,
    })
  })

  await t.test('an engine that is added later has its figures, too', async t => {
    await sqlAssist.engines.add('archive', { orm: ormConfig(database.readerUrl), readOnly: true })
    t.match(await scrape(register), {
      'sqlassist_commits_total{engine="archive"}': 0,
      'sqlassist_pool_connections_used{engine="archive"}': 0,
    })
  })

  await t.test('every metric has the prefix and says what it is', async t => {
    const text = await register.metrics()
    for (const [, name, help] of text.matchAll(/^# HELP (\S+) (.*)$/gm)) {
      t.match(name, /^sqlassist_[a-z_]+$/)
      t.match(help, /^[A-Z].{10,}\.$/, `${name} has a help`)
    }
    for (const [, name] of text.matchAll(/^# TYPE (\S+) counter$/gm)) t.match(name, /_total$/)
    for (const [, name] of text.matchAll(/^# TYPE (\S+) histogram$/gm)) t.match(name, /_seconds$/)
    t.notMatch(text, /prepared/, 'without twoPhase nobody looks for what is prepared')
  })

  await t.test('a closed application leaves nothing in the register', async t => {
    await test.app.close()
    t.equal(await register.metrics(), '\n')
  })
})

t.test('replicas: how far behind, in which state, and which reads went where', async t => {
  const cluster = await replicatedCluster(t, 1)
  const register = new Registry()
  const test = await routedApp(t, cluster, {
    routing: { maxLag: { ms: 60_000, bytes: 2 ** 40 } },
    routes: app => app.register(metrics, { register }),
  })
  await allCurrent(test, cluster)
  const before = await scrape(register)
  t.match(before, {
    'sqlassist_replica_lag_seconds{engine="reader",replica="replica1"}': 0,
    'sqlassist_replica_lag_bytes{engine="reader",replica="replica1"}': 0,
    'sqlassist_replica_state{engine="reader",replica="replica1",state="online"}': 1,
    'sqlassist_replica_state{engine="reader",replica="replica1",state="down"}': 0,
  })
  const read = (test: TestApp, consistency: 'eventual' | 'primary') =>
    test.app.sqlAssist.run(db => db.reader.execute('select 1'), { consistency })
  await read(test, 'eventual')
  await read(test, 'primary')
  Object.assign(test.app.sqlAssist.routing, { waited: 3, repeated: 2 })
  Object.assign(test.app.sqlAssist.routing.tokens, { forged: 4 })
  const expected = {
    'sqlassist_reads_total{server="replica"}': 1,
    'sqlassist_reads_total{server="primary"}': 1,
    sqlassist_reads_waited_total: 3,
    sqlassist_reads_repeated_total: 2,
    'sqlassist_causal_tokens_total{outcome="forged"}': 4,
    'sqlassist_statement_duration_seconds_count{engine="reader",server="replica1",outcome="success"}': 1,
    'sqlassist_statement_duration_seconds_count{engine="reader",server="primary",outcome="success"}': 1,
  }
  t.match(moved(before, await scrape(register)), expected)
  t.match(moved(before, await scrape(register)), expected, 'looking does not count')

  const from = performance.now()
  await cluster.replicas[0]?.pauseReplay()
  await test.app.sqlAssist.run(db => db.writer.insert(Note, { tag: 'a', body: 'b' }))
  const lag = (figures: Record<string, number>, unit: string) =>
    figures[`sqlassist_replica_lag_${unit}{engine="reader",replica="replica1"}`]
  t.ok(
    await eventually(async () => {
      const figures = await scrape(register)
      const [seconds = 0, bytes = 0] = [lag(figures, 'seconds'), lag(figures, 'bytes')]
      const passed = (performance.now() - from) / 1_000
      return seconds > 0.1 && seconds < passed + 0.5 && bytes > 10
    }),
  )
  await cluster.replicas[0]?.stop()
  const down = 'sqlassist_replica_state{engine="reader",replica="replica1",state="down"}'
  t.ok(await eventually(async () => (await scrape(register))[down] === 1))
  const figures = await scrape(register)
  t.equal(figures['sqlassist_replica_state{engine="reader",replica="replica1",state="online"}'], 0)
  t.equal(lag(figures, 'seconds'), undefined, 'one that does not answer has no lag')
  t.equal(lag(figures, 'bytes'), undefined)
})

t.test('what is prepared, and for how long', async t => {
  const register = new Registry()
  const two = await twoDatabases(t, {}, { twoPhase: true }, app => app.register(metrics, { register }))
  const prepared = (figures: Record<string, number>, name = 'transactions') => [
    figures[`sqlassist_prepared_${name}{engine="a"}`],
    figures[`sqlassist_prepared_${name}{engine="b"}`],
  ]
  t.same(prepared(await scrape(register)), [0, 0])
  await two.app.sqlAssist.engines.add('archive', { orm: ormConfig(two.a.readerUrl), readOnly: true })
  t.notOk('sqlassist_prepared_transactions{engine="archive"}' in (await scrape(register)), 'it prepares none')
  const before = await scrape(register)
  await two.run(db => both(db, 1, 2))
  t.match(moved(before, await scrape(register)), {
    'sqlassist_commits_total{engine="a"}': 1,
    'sqlassist_commits_total{engine="b"}': 1,
  })
  await leaveBehind(t, two.b, (await namesOf(two))('b'), { account: 3 })
  const figures = await scrape(register)
  t.same(prepared(figures), [0, 1])
  const [none, age = 0] = prepared(figures, 'transaction_age_seconds')
  t.equal(none, 0)
  t.ok(age > 0 && age < 60, `${age} s`)
})

t.test('a database that does not answer has no figure, and keeps nobody from the others', async t => {
  const register = new Registry()
  const addMetrics = (app: FastifyInstance) => app.register(metrics, { register })
  const impatient = { b: { acquireTimeout: 100 } }
  const two = await twoDatabases(t, impatient, { twoPhase: true }, addMetrics, undefined, 1)
  await two.run(async db => {
    await db.b.execute('select 1')
    const figures = await scrape(register)
    t.equal(figures['sqlassist_prepared_transactions{engine="a"}'], 0)
    t.equal(figures['sqlassist_prepared_transactions{engine="b"}'], undefined, 'nobody knows')
  })
  await two.run(async db => {
    await db.a.execute('select 1')
    const from = performance.now()
    const [figures] = await Promise.all([scrape(register), scrape(register)])
    const took = performance.now() - from
    t.ok(took > 900 && took < 8_000, `${took} ms`)
    t.equal(two.app.sqlAssist.engines.get('a').figures.waiting, 1, 'two who ask for two figures look once')
    t.equal(figures['sqlassist_pool_connections_used{engine="a"}'], 1)
    t.equal(figures['sqlassist_prepared_transactions{engine="a"}'], undefined, 'not what it was')
  })
})
