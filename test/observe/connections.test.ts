import { setTimeout as sleep } from 'node:timers/promises'
import { MikroORM, type PostgreSqlConnection } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import sqlAssist from '../../src/index.ts'
import { type AppOptions, createTables, Note, nativePool, ormConfig, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { inDoubt } from '../transactions/in-doubt.ts'
import { both } from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'
import { type ChannelName, hear } from './heard.ts'

// What the core tells of connections: who waits for them, who holds them, what is not given back; and of commits that are
// more than one COMMIT.

async function setUp(t: Test, options: AppOptions, names: readonly ChannelName[] = []) {
  const database = await testDatabase(t)
  await createTables(database)
  const test = await testApp(t, database, { plugin: { commitMode: 'autocommit' }, ...options })
  return { database, test, heard: hear(t, test.app, names) }
}

t.test('who waited for a connection, and how long', async t => {
  const { test, heard } = await setUp(t, { max: 1, engines: { writer: { acquireTimeout: 200 } } }, [
    'sqlassist:pool:wait',
  ])
  const { sqlAssist } = test.app
  await sqlAssist.run(async db => {
    await db.writer.execute('select 1')
    await t.rejects(
      sqlAssist.run(late => late.writer.execute('select 1'), { name: 'late' }),
      { code: 'SQLA_ERR_POOL_TIMEOUT' },
    )
  })
  const [first, late] = heard.of('sqlassist:pool:wait')
  t.match(first, { engine: 'writer', error: undefined })
  t.ok(first !== undefined && first.duration < 200)
  t.match(late, { engine: 'writer', error: { code: 'SQLA_ERR_POOL_TIMEOUT' } })
  t.equal(late?.scope.label(), 'late')
  t.ok(late !== undefined && late.duration >= 195 && late.duration < 5_000, `${late?.duration} ms`)
})

t.test('the connections of an engine, and who holds them', async t => {
  const { test } = await setUp(t, {})
  const { sqlAssist } = test.app
  const writer = sqlAssist.engines.get('writer')
  const from = performance.now()
  const pid = await sqlAssist.run(
    async db => {
      const [{ pid }] = (await db.writer.execute('select pg_backend_pid() as pid')) as [{ pid: number }]
      t.match(writer.connections(), [{ server: 'primary', processId: pid, inUse: true }])
      t.equal(writer.connections().length, 1)
      const [held] = sqlAssist.sessions.list()
      t.match(held, {
        owner: 'holder',
        engine: 'writer',
        holding: true,
        connections: [{ server: 'primary', processId: pid }],
      })
      const since = held?.connections[0]?.since ?? 0
      t.ok(since >= from && since <= performance.now(), 'since when')
      return pid
    },
    { name: 'holder' },
  )
  t.same(writer.connections(), [{ server: 'primary', processId: pid, inUse: false, since: undefined }])
  const pool = await nativePool(test, 'writer')
  const client = await pool.connect()
  client.release(true)
  await sleep(50)
  t.same(writer.connections(), [], 'one that was closed is not there any more')
})

t.test('what was not given back', async t => {
  const { test, heard } = await setUp(
    t,
    {
      max: 1,
      engines: { writer: { drainTimeout: 50 } },
      routes: app => app.post('/', async request => request.db.writer.create(Note, { tag: 'a', body: 'b' })),
    },
    ['sqlassist:leak'],
  )
  const pool = await nativePool(test, 'writer')
  const client = await pool.connect()
  await client.query('begin')
  client.release()
  await test.ask('POST', '/')
  t.match(heard.of('sqlassist:leak'), [{ engine: 'writer', kind: 'dirty-connection' }])
  heard.forget()
  await test.app.sqlAssist
    .run(async db => {
      await db.writer.execute('select 1')
      await test.app.sqlAssist.reinit('writer')
    })
    .catch(() => {})
  t.match(heard.of('sqlassist:leak'), [{ engine: 'writer', kind: 'late-drain' }])
})

t.test('the steps of a commit in two phases', async t => {
  const two = await twoDatabases(t, {}, { twoPhase: true })
  const heard = hear(t, two.app, ['sqlassist:two-phase', 'sqlassist:session:commit'])
  await t.rejects(two.run(db => both(db, 1, 666)))
  t.match(
    heard.of('sqlassist:two-phase').filter(({ error }) => error !== undefined),
    [{ step: 'prepare', engine: 'b', error: { code: '23514' } }],
  )
  heard.forget()
  await two.run(db => both(db, 1, 2))
  const told = heard.of('sqlassist:two-phase')
  t.same(told.map(({ step, engine }) => `${step} ${engine}`).sort(), [
    'commit a',
    'commit b',
    'decide a',
    'prepare a',
    'prepare b',
  ])
  t.same(
    told.map(({ step }) => step),
    ['prepare', 'prepare', 'decide', 'commit', 'commit'],
  )
  t.same(new Set(told.map(({ scope }) => scope.label())), new Set(['run()']))
  t.ok(told.every(({ duration, error, id }) => duration > 0 && error === undefined && id.length > 10))
  t.same(
    heard.of('sqlassist:session:commit').map(({ engine }) => engine),
    ['a', 'b'],
  )
})

t.test('what became of a COMMIT that got no answer', async t => {
  const { write, app } = await inDoubt(t)
  const heard = hear(t, app, ['sqlassist:in-doubt'])
  await write(undefined)
  t.same(heard.all, [], 'nothing is said of those that did')
  t.match(await write('after'), { isThere: true })
  t.match(heard.of('sqlassist:in-doubt'), [{ engine: 'writer', outcome: 'committed' }])
  heard.forget()
  t.match(await write('before'), { isThere: false })
  t.match(heard.of('sqlassist:in-doubt'), [{ engine: 'writer', outcome: 'aborted' }])
})

t.test('nothing is left on the pool of an instance that the application owns', async t => {
  const database = await testDatabase(t)
  const orm = await MikroORM.init(ormConfig(database.writerUrl))
  t.teardown(() => orm.close())
  const app = Fastify()
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  const pool = await (orm.em.getConnection() as PostgreSqlConnection).getNativeClient()
  const before = pool.listenerCount('remove')
  await app.sqlAssist.run(db => db.writer.execute('select 1'))
  t.equal(app.sqlAssist.engines.get('writer').connections().length, 1)
  await app.close()
  t.equal(pool.listenerCount('remove'), before - 1)
})
