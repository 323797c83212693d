import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import type { EmbeddedReplica } from '../../plugins/embedded/index.ts'
import { descendants, isAlive } from '../../plugins/embedded/processes.ts'
import { testCluster } from '../support/cluster.ts'
import { eventually, query } from './helpers.ts'

const cluster = await testCluster(t, { replicas: 2 })
const { primary } = cluster
const [first, second] = cluster.replicas as [EmbeddedReplica, EmbeddedReplica]
await query(primary.url, 'create table note (id int primary key)')

const insert = (id: number) => query(primary.url, `insert into note values (${id})`)
const has = async (replica: EmbeddedReplica, id: number) =>
  (await query(replica.url, `select id from note where id = ${id}`)).length === 1

t.test('pauseReplay keeps a standby in the past, resumeReplay lets it catch up', async t => {
  await Promise.all([first.caughtUp(), second.caughtUp()])
  await first.pauseReplay()
  await insert(1)
  await second.caughtUp()
  t.ok(await has(second, 1))
  t.notOk(await has(first, 1))
  await t.rejects(first.caughtUp(50), { code: 'SQLA_ERR_EMBEDDED_REPLICATION', message: /replica1/ })
  await first.resumeReplay()
  await first.caughtUp()
  t.ok(await has(first, 1))
})

t.test('a killed standby continues where it was', async t => {
  const pid = first.pid as number
  const all = [pid, ...descendants(pid)]
  t.ok(all.length > 3)
  await first.kill()
  t.same(all.filter(isAlive), [], 'the postmaster and its children are gone')
  t.equal(first.pid, undefined)
  await t.rejects(query(first.url, 'select 1'), { code: 'ECONNREFUSED' })
  for (const operation of [
    'pauseReplay',
    'resumeReplay',
    'promote',
    'caughtUp',
    'pause',
    'unpause',
  ] as const) {
    await t.rejects(first[operation](), { code: 'SQLA_ERR_EMBEDDED_STOPPED' }, operation)
  }
  await first.kill()
  await insert(2)
  const port = first.port
  await Promise.all([first.start(), first.start()])
  t.equal(first.port, port)
  await first.caughtUp()
  t.ok(await has(first, 2))
})

t.test(
  'a stopped standby misses nothing, although the primary has thrown its WAL away meanwhile',
  async t => {
    await first.stop()
    t.equal(first.pid, undefined)
    await insert(3)
    await query(primary.url, 'select pg_switch_wal()', 'checkpoint', 'select pg_switch_wal()', 'checkpoint')
    await first.start()
    await first.caughtUp()
    t.ok(await has(first, 3))
  },
)

t.test('a killed primary recovers, and its standbys come back to it', async t => {
  await insert(4)
  await primary.kill()
  t.ok(await has(second, 1), 'standbys answer without a primary')
  await t.rejects(insert(5), { code: 'ECONNREFUSED' })
  await primary.start()
  await insert(5)
  for (const replica of [first, second]) {
    await replica.caughtUp()
    t.ok(await has(replica, 4))
    t.ok(await has(replica, 5))
  }
})

t.test('a paused server keeps its connections and answers nobody until it is unpaused', async t => {
  await second.pause()
  let answered = false
  const answer = query(second.url, 'select 1 as one').finally(() => {
    answered = true
  })
  await insert(6)
  await first.caughtUp()
  t.notOk(answered)
  await second.unpause()
  t.same(await answer, [{ one: 1 }])
  await second.caughtUp()
  t.ok(await has(second, 6))
})

t.test('a paused server can be stopped and killed', async t => {
  await second.pause()
  await second.stop()
  t.equal(second.pid, undefined)
  await second.start()
  await second.pause()
  await second.kill()
  await second.start()
  await second.caughtUp()
  t.ok(await has(second, 6))
})

t.test('a server waits for its port when somebody has it for a moment', async t => {
  await second.stop()
  const squatter = createServer().listen(second.port, '127.0.0.1')
  t.teardown(() => squatter.close())
  await once(squatter, 'listening')
  const started = second.start()
  t.ok(await eventually(async () => /Address already in use/.test(await second.log())))
  squatter.close()
  await started
  await second.caughtUp()
  t.ok(await has(second, 6))
})

t.test('a server that cannot start says why, without passwords', async t => {
  await query(primary.url, `alter system set shared_preload_libraries = 'no_such_library'`)
  await primary.stop()
  const error = await primary.start().then(
    () => new Error('it started'),
    (error: Error) => error,
  )
  t.match(error, { code: 'SQLA_ERR_EMBEDDED_START', message: /'primary'.*no_such_library/s })
  t.notMatch(error.message, new URL(primary.url).password)
  t.equal(primary.pid, undefined)
})

t.test('a promoted standby is a primary that the other one can follow', async t => {
  t.equal(primary.pid, undefined, 'the old primary is down')
  await first.promote()
  await first.promote()
  await query(first.url, 'insert into note values (7)')
  await second.follow(first)
  await second.caughtUp()
  t.ok(await has(second, 7))
  const [row] = await query(second.url, 'select received_tli as timeline from pg_stat_wal_receiver')
  t.same(row, { timeline: 2 })
  await t.rejects(query(second.url, 'insert into note values (8)'), { code: '25006' })
})

t.test('log() is what the server said', async t => {
  t.match(await first.log(), /selected new timeline ID: 2/)
  t.ok(await eventually(async () => /ready to accept read-only connections/.test(await second.log())))
})
