import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { MikroORM } from '@mikro-orm/postgresql'
import t, { type Test } from 'tap'
import {
  type AppOptions,
  call,
  committed,
  createTables,
  eventually,
  NOTHING,
  Note,
  ormConfig,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'

interface Held {
  readonly held: PromiseWithResolvers<void>
  readonly go: PromiseWithResolvers<void>
}

async function setUp(t: Test, options: AppOptions = {}) {
  const database = await testDatabase(t)
  await createTables(database)
  const requests: Held[] = []
  const test = await testApp(t, database, {
    max: 3,
    plugin: { commitMode: 'autocommit' },
    ...options,
    routes: app => {
      app.post('/notes/:tag', async request => {
        const { writer, reader, logger } = request.db
        writer.create(Note, { tag: (request.params as { tag: string }).tag, body: 'a' })
        const rows = []
        for (const em of [writer, reader, logger]) rows.push(...(await em.execute(PID)))
        return { pids: (rows as { pid: number }[]).map(row => row.pid) }
      })
      app.post('/held/:tag', async request => {
        const { tag } = request.params as { tag: string }
        const { writer } = request.db
        const [before] = (await writer.execute(PID)) as [{ pid: number }]
        const held = Promise.withResolvers<void>()
        const go = Promise.withResolvers<void>()
        requests.push({ held, go })
        held.resolve()
        await go.promise
        writer.create(Note, { tag, body: 'a' })
        await writer.flush()
        const [after] = (await writer.execute(PID)) as [{ pid: number }]
        await request.db.commit()
        const [again] = (await writer.execute(PID)) as [{ pid: number }]
        return { before: before.pid, after: after.pid, again: again.pid }
      })
    },
  })
  /** Starts a request that stays inside its transaction until it is told to go on. */
  const hold = async (tag: string) => {
    const count = requests.length
    const answer = test.ask('POST', `/held/${tag}`)
    await eventually(() => requests.length > count)
    return { answer, go: () => requests[count]?.go.resolve() }
  }
  const pids = async () => JSON.parse((await test.ask('POST', '/notes/pids')).body).pids as number[]
  return { database, test, hold, pids }
}

const PID = 'select pg_backend_pid() as pid'

/** Whether the server has let go of them: it notices a moment after we have hung up. */
const areGone = (database: TestDatabase, name: string, pids: Iterable<number>) =>
  eventually(async () => {
    const left = await backends(database, name)
    return [...pids].every(pid => !left.includes(pid))
  })

const none = (database: TestDatabase, name: string) =>
  eventually(async () => (await backends(database, name)).length === 0)

async function backends(database: TestDatabase, name: string): Promise<number[]> {
  const rows = await database.sql<{ pid: number }>(
    'select pid from pg_stat_activity where datname = $1 and application_name = $2',
    [database.name, name],
  )
  return rows.map(row => row.pid)
}

async function warnings(test: TestApp): Promise<readonly string[]> {
  return test.logs.filter(line => line.level >= 40).map(line => line.msg)
}

t.test('reinit under load', async t => {
  const { database, test, pids } = await setUp(t)
  const answers: { status: number | undefined; pids: number[]; after: boolean }[] = []
  let reinited = false
  let stop = false
  const load = Array.from({ length: 12 }, async () => {
    while (!stop) {
      const after = reinited
      const { status, body } = await test.ask('POST', '/notes/load')
      answers.push({ status, pids: JSON.parse(body || '{}').pids ?? [], after })
    }
  })
  await eventually(() => answers.length > 100)
  const before = new Set(await backends(database, test.applicationName))
  await test.app.sqlAssist.reinit()
  reinited = true
  const count = answers.length
  await eventually(() => answers.length > count + 100)
  stop = true
  await Promise.all(load)

  t.ok(answers.length > 200)
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]), 'no request fails')
  const old = answers.filter(({ after, pids: used }) => after && used.some(pid => before.has(pid)))
  t.equal(old.length, 0, 'none is served by an old connection afterwards')
  t.equal((await committed(database, 'load')).length, answers.length, 'each has been committed once')
  t.ok(before.size >= 3)
  t.ok(await areGone(database, test.applicationName, before), 'the old connections are closed')
  t.ok((await backends(database, test.applicationName)).length <= 9)
  t.notOk((await pids()).some(pid => before.has(pid)))
  t.same(await test.remains(), NOTHING)
  t.same(await warnings(test), [])
})

t.test('a session that is under way finishes on the old pool', async t => {
  const { database, test, hold, pids } = await setUp(t)
  const { answer, go } = await hold('underway')
  let done = false
  const reinit = test.app.sqlAssist.reinit('writer').then(() => {
    done = true
  })
  await eventually(() => test.app.sqlAssist.engines.get('writer').figures.used === 0)
  const [writerPid] = await pids()
  t.notOk(done, 'the old pool is still drained')
  go()
  const result = JSON.parse((await answer).body)
  t.equal(result.after, result.before)
  t.not(result.before, writerPid)
  t.not(result.again, result.before, 'what it begins after its commit is begun on the fresh pool')
  await reinit
  t.ok(await areGone(database, test.applicationName, [result.before]))
  t.same(await committed(database, 'underway'), ['a'])
  t.same(await test.remains(), NOTHING)
})

t.test('only the engine that was named gets a fresh pool', async t => {
  const { test, pids } = await setUp(t, { engines: { reader: { default: true } }, max: 1 })
  const first = await pids()
  await test.app.sqlAssist.reinit('logger')
  const second = await pids()
  t.same([second[0] === first[0], second[1] === first[1], second[2] === first[2]], [true, true, false])
  await test.app.sqlAssist.reinit('!default')
  const third = await pids()
  t.same([third[0] === second[0], third[1] === second[1], third[2] === second[2]], [true, false, true])
  await t.rejects(test.app.sqlAssist.reinit('nobody'), { code: 'SQLA_ERR_UNKNOWN_ENGINE' })
})

t.test('a session that outlives drainTimeout is cut', async t => {
  const { database, test, hold, pids } = await setUp(t, { engines: { writer: { drainTimeout: 150 } } })
  const { answer, go } = await hold('late')
  const old = await backends(database, test.applicationName)
  const start = performance.now()
  await test.app.sqlAssist.reinit()
  const took = performance.now() - start
  t.ok(took > 140 && took < 5_000, `it takes about its time (${took} ms)`)
  t.ok(await areGone(database, test.applicationName, old), 'the old connections are closed')
  t.match(await warnings(test), ['sessions outlived drainTimeout; their connections are cut'])
  go()
  t.equal((await answer).status, 500)
  t.same(await committed(database, 'late'), [])
  t.equal((await pids()).length, 3)
  t.same(await test.remains(), NOTHING)
})

t.test('a reinit that fails is told, and the engine goes on', async t => {
  let password = ''
  const database = await testDatabase(t)
  await createTables(database)
  const url = new URL(database.writerUrl)
  password = decodeURIComponent(url.password)
  const { hostname: host, port, username: user } = url
  const options = { host, port: Number(port), user, dbName: database.name, password: () => password }
  const test = await testApp(t, database, {
    engines: { rotating: { orm: ormConfig(undefined as never, options, 'rotating') } },
  })
  const ask = () => test.app.sqlAssist.run(db => db.get('rotating').execute(PID))
  const first = await ask()
  password = 'wrong'
  await t.rejects(test.app.sqlAssist.reinit('rotating'))
  password = decodeURIComponent(url.password)
  t.equal((await ask()).length, 1, 'it goes on')
  await test.app.sqlAssist.reinit('rotating')
  t.strictNotSame(await ask(), first, 'and can be given a fresh pool later')
  await test.app.close()
  t.ok(await none(database, 'rotating'), 'no connection is left behind')
})

t.test('an instance that the application owns', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const orm = await MikroORM.init(ormConfig(database.writerUrl, {}, 'owned'))
  const pids = async () => {
    const ours = await test.app.sqlAssist.run(db => db.get('owned').execute(PID))
    return [...ours, ...(await orm.em.fork().execute(PID))].map(row => (row as { pid: number }).pid)
  }
  const test = await testApp(t, database, { engines: { owned: { orm } } })
  const before = await pids()
  await test.app.sqlAssist.reinit()
  const after = await pids()
  t.same(
    before.filter(pid => after.includes(pid)),
    [],
    'it has a fresh pool too',
  )
  t.ok(await areGone(database, 'owned', before))
  await test.app.sqlAssist.run(db => db.get('owned').create(Note, { tag: 'owned', body: 'a' }))
  t.same(await committed(database, 'owned'), ['a'])
  await test.app.close()
  t.equal(
    await orm.em.fork().count(Note, { tag: 'owned' }),
    1,
    'it is still open when the application has closed',
  )
  await orm.close()
  t.ok(await none(database, 'owned'))
})

t.test('a closing application', async t => {
  const { database, test, hold } = await setUp(t)
  const { answer, go } = await hold('closing')
  const closing = test.app.close()
  go()
  t.equal((await answer).status, 200, 'serves what is underway')
  await closing
  t.same(await committed(database, 'closing'), ['a'])
  t.ok(await none(database, test.applicationName), 'and leaves no connection open')
  await t.rejects(
    test.app.sqlAssist.run(db => db.writer.find(Note, {})),
    { code: 'SQLA_ERR_CLOSED' },
  )
})

t.test('workers of node:cluster', async t => {
  const { database, pids } = await setUp(t)
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('../support/worker.ts', import.meta.url)),
    execArgv: [],
  })
  const { NODE_OPTIONS: _, ...environment } = process.env
  const start = async (): Promise<{ worker: Worker; port: number; name: string }> => {
    const worker = cluster.fork({ ...environment, NODE_OPTIONS: '', WRITER_URL: database.writerUrl })
    t.teardown(() => worker.process.kill('SIGKILL'))
    const [{ port, name }] = (await once(worker, 'message')) as [{ port: number; name: string }]
    return { worker, port, name }
  }
  const primary = await pids()
  const workers = await Promise.all([start(), start()])
  for (const { worker, port, name } of workers) {
    t.equal((await call(port, 'POST', '/').answer).status, 200)
    t.ok(await eventually(async () => (await committed(database, 'worker')).includes(name)))
    const own = await backends(database, name)
    t.ok(own.length > 0 && own.every(pid => !primary.includes(pid)), 'serves through a pool of its own')
    worker.send('reinit')
    await once(worker, 'message')
    t.equal((await call(port, 'POST', '/').answer).status, 200)
    t.ok(await areGone(database, name, own), 'which it can make afresh')
  }
  const [first, second] = workers
  first?.worker.process.kill('SIGKILL')
  t.ok(await none(database, first?.name ?? ''))
  t.equal((await call(second?.port ?? 0, 'POST', '/').answer).status, 200, 'the others do not notice its end')
  t.same(await pids(), primary)
})
