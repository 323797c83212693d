import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { SqlEm } from '../../src/index.ts'
import {
  type AppOptions,
  committed,
  createTables,
  eventually,
  NOTHING,
  Note,
  nativePool,
  ormConfig,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'

async function setUp(t: Test, options: AppOptions): Promise<{ database: TestDatabase; test: TestApp }> {
  const database = await testDatabase(t)
  await createTables(database)
  return { database, test: await testApp(t, database, { plugin: { commitMode: 'autocommit' }, ...options }) }
}

const pidOf = async (em: SqlEm): Promise<number> => {
  const [row] = (await em.execute('select pg_backend_pid() as pid')) as [{ pid: number }]
  return row.pid
}

t.test('a pool of which every connection is held', async t => {
  const go = Promise.withResolvers<void>()
  const { database, test } = await setUp(t, {
    max: 2,
    engines: { writer: { acquireTimeout: 500 } },
    routes: app => {
      app.post('/holds', async request => {
        await request.db.writer.persist(request.db.writer.create(Note, { tag: 'held', body: 'a' })).flush()
        await go.promise
        return { saved: true }
      })
      app.get('/untouched', async () => ({ fine: true }))
    },
  })
  const { writer } = Object.fromEntries([...test.app.sqlAssist.engines].map(engine => [engine.name, engine]))
  const holders = [test.ask('POST', '/holds'), test.ask('POST', '/holds')]
  t.ok(await eventually(() => writer?.figures.used === 2))

  const start = performance.now()
  const [refused, alsoRefused] = await Promise.all([test.ask('POST', '/holds'), test.ask('POST', '/holds')])
  t.ok(performance.now() - start >= 490, 'it waits for its time')
  t.ok(performance.now() - start < 3_000, 'and not for ever')
  for (const answer of [refused, alsoRefused]) {
    t.equal(answer.status, 503)
    t.match(JSON.parse(answer.body), {
      code: 'SQLA_ERR_POOL_TIMEOUT',
      message: /^No connection of engine 'writer' became free within 500 ms \(2 of 2 in use, \d waiting\)$/,
    })
  }
  t.equal((await test.ask('GET', '/untouched')).status, 200, 'who needs no connection is served')
  const waiting = test.ask('POST', '/holds')
  t.ok(await eventually(() => writer?.figures.waiting === 1), 'a waiter shows in the figures')
  go.resolve()
  t.equal((await waiting).status, 200, 'who waits gets the first that comes back')
  t.same(
    (await Promise.all(holders)).map(answer => answer.status),
    [200, 200],
  )
  t.same(await test.remains(), NOTHING)
  t.equal((await committed(database, 'held')).length, 3)
  t.same(
    (await Promise.all([1, 2, 3, 4].map(() => test.ask('POST', '/holds')))).map(a => a.status),
    [200, 200, 200, 200],
  )
})

t.test('a client that hangs up while its handler waits for a connection', async t => {
  const go = Promise.withResolvers<void>()
  const { test } = await setUp(t, {
    max: 1,
    plugin: { commitMode: 'autocommit', abortGrace: 50 },
    engines: { writer: { acquireTimeout: 500 } },
    routes: app => {
      app.get('/holds', async request => {
        await request.db.writer.find(Note, {})
        await go.promise
        return { fine: true }
      })
      app.get('/waits', async request => request.db.writer.find(Note, {}))
    },
  })
  const writer = test.app.sqlAssist.engines.get('writer')
  const holder = test.ask('GET', '/holds')
  t.ok(await eventually(() => writer.figures.used === 1))
  const waiter = test.call('GET', '/waits')
  t.ok(await eventually(() => writer.figures.waiting === 1))
  waiter.abort()
  t.ok(
    await eventually(() => test.app.sqlAssist.sessions.list().every(({ owner }) => owner !== 'GET /waits')),
    'its session is closed at the latest when its patience ends',
  )
  go.resolve()
  t.equal((await holder).status, 200)
  t.same(await test.remains(), NOTHING)
  t.equal((await test.ask('GET', '/waits')).status, 200)
})

t.test('a connection that somebody left inside a transaction', async t => {
  const { database, test } = await setUp(t, {
    max: 1,
    engines: { reader: { snapshot: false } },
    routes: app => {
      app.post('/notes', async request => {
        request.db.writer.create(Note, { tag: 'own', body: 'a' })
      })
      app.get('/notes', async request => request.db.reader.find(Note, { tag: 'own' }))
    },
  })
  for (const [engine, statement, method] of [
    ['writer', "insert into note (tag, body) values ('foreign', 'a')", 'POST'],
    ['writer', 'select 1 / 0', 'POST'],
    ['reader', 'select 1', 'GET'],
  ] as const) {
    const pool = await nativePool(test, engine)
    const client = await pool.connect()
    await client.query('begin')
    await client.query(statement).catch(() => {})
    client.release()
    const before = test.logs.length
    t.equal((await test.ask(method, '/notes')).status, 200, statement)
    const warnings = test.logs.slice(before).filter(line => line.level === 40)
    t.match(warnings, [{ engine, msg: 'inside a transaction that somebody left open' }])
    t.equal(warnings.length, 1)
  }
  t.same(await committed(database, 'foreign'), [], 'what was left open is rolled back')
  t.equal((await committed(database, 'own')).length, 2, 'and takes nothing of ours with it')
  t.same(await test.remains(), NOTHING)
})

t.test(
  'a first statement that fails does not hand its transaction to who waits for the connection',
  async t => {
    const { test } = await setUp(t, {
      max: 1,
      routes: app => {
        app.get('/fails', async request => request.db.writer.execute('select 1 / (random() * 0)::int'))
        app.get('/works', async request => request.db.writer.execute('select 1 as one'))
      },
    })
    for (let round = 0; round < 40; round++) {
      const [failed, worked] = await Promise.all([test.ask('GET', '/fails'), test.ask('GET', '/works')])
      if (!t.match([failed, worked], [{ status: 500, body: '22012' }, { status: 200 }])) break
    }
    t.same(
      test.logs.filter(line => line.level === 40),
      [],
      'nor does it look as if somebody had left a transaction open',
    )
    t.same(await test.remains(), NOTHING)
  },
)

t.test('connections that are lost', async t => {
  const go: PromiseWithResolvers<void>[] = []
  const { database, test } = await setUp(t, {
    max: 3,
    routes: app => {
      app.post('/holds/:n', async request => {
        const { writer } = request.db
        await writer.persist(writer.create(Note, { tag: 'lost', body: 'a' })).flush()
        const wait = Promise.withResolvers<void>()
        go.push(wait)
        await wait.promise
        return writer.find(Note, {})
      })
      app.post('/pid', async request => ({ pid: await pidOf(request.db.writer) }))
    },
  })
  const killAll = () =>
    database.sql(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
       where datname = $1 and application_name = $2`,
      [database.name, test.applicationName],
    )
  await t.test('inside of their transactions do not keep their slots', async t => {
    for (const round of ['first', 'second']) {
      go.length = 0
      const holders = [1, 2, 3].map(n => test.ask('POST', `/holds/${n}`))
      t.ok(await eventually(() => go.length === 3))
      await killAll()
      for (const wait of go) wait.resolve()
      t.same(
        (await Promise.all(holders)).map(answer => answer.status),
        [500, 500, 500],
        round,
      )
      t.same(await test.remains(), NOTHING)
    }
    const pids = await Promise.all([1, 2, 3].map(() => test.ask('POST', '/pid')))
    t.same(
      pids.map(answer => answer.status),
      [200, 200, 200],
    )
    t.same(await committed(database, 'lost'), [])
  })
  await t.test('while nobody holds them neither kill the process nor fail the next request', async t => {
    const pool = await nativePool(test)
    t.ok(pool.idleCount > 0)
    await killAll()
    t.ok(await eventually(() => pool.idleCount === 0))
    t.equal((await test.ask('POST', '/pid')).status, 200)
  })
  await t.test('as an error of the pool itself do not kill the process', async t => {
    const pool = await nativePool(test)
    pool.emit('error', new Error('out of nowhere'), undefined as never)
    t.equal((await test.ask('POST', '/pid')).status, 200)
  })
  t.same(await test.remains(), NOTHING)
})

t.test('a password that changes', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const role = `rotating_${database.name}`
  const setPassword = (password: string) => database.sql(`alter role ${role} password '${password}'`)
  await database.sql(`create role ${role} login`)
  await database.sql(`grant select, insert on note to ${role}; grant usage on note_id_seq to ${role}`)
  t.teardown(() => database.sql(`drop owned by ${role}; drop role ${role}`))
  await setPassword('first')
  let current = 'first'
  let asked = 0
  const url = new URL(database.writerUrl)
  const orm = ormConfig(undefined as never, {
    host: url.hostname,
    port: Number(url.port),
    dbName: database.name,
    user: role,
    password: async () => {
      asked++
      await sleep(1)
      return current
    },
    pool: { min: 0, max: 2 },
  })
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    engines: { rotating: { orm } },
    routes: app =>
      app.post('/pids', async request => {
        const scopes = [1, 2].map(() =>
          test.app.sqlAssist.run(async db => {
            const pid = await pidOf(db.get('rotating'))
            await db.get('rotating').execute('select pg_sleep(0.02)')
            return pid
          }),
        )
        request.db.get('rotating').create(Note, { tag: 'rotating', body: current })
        return Promise.all(scopes)
      }),
  })
  const pids = async () => JSON.parse((await test.ask('POST', '/pids')).body)
  const first = await pids()
  t.equal(new Set(first).size, 2)
  t.equal(asked, 2, 'it is asked once for each connection')
  await setPassword('second')
  current = 'second'
  t.same((await pids()).toSorted(), first.toSorted(), 'connections that are open stay')
  t.equal(asked, 2)
  const pool = await nativePool(test, 'rotating')
  const killAll = async () => {
    await database.sql('select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1', [
      role,
    ])
    t.ok(await eventually(() => pool.totalCount === 0))
  }
  await killAll()
  const second = await pids()
  t.equal(new Set([...first, ...second]).size, 4, 'new connections take the new password')
  t.equal(asked, 4)
  current = 'wrong'
  await killAll()
  const failed = await test.ask('POST', '/pids')
  t.equal(failed.status, 500)
  t.notMatch(failed.body, 'wrong')
  current = 'second'
  t.equal((await pids()).length, 2, 'a refused connection keeps no slot')
  t.equal((await committed(database, 'rotating')).length, 4)
  t.same(await test.remains(), NOTHING)
})

t.test('the statements of one session take turns on one connection', async t => {
  const { test } = await setUp(t, {
    max: 1,
    routes: app =>
      app.post('/', async request => {
        const pids = await Promise.all([1, 2, 3].map(() => pidOf(request.db.writer)))
        return { pids: new Set(pids).size }
      }),
  })
  t.match(await test.ask('POST', '/'), { status: 200, body: '{"pids":1}' })
  t.same(await test.remains(), NOTHING)
})
