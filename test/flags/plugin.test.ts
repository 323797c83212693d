import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import {
  FlagClient,
  FlagStorage,
  type FlagStore,
  type FlagsOptions,
  flags,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'
import { primaryUrl, testDatabase } from '../support/cluster.ts'

// The plugin on a real PostgreSQL.

const db = await testDatabase(t)
const admin = new pg.Client({ connectionString: await primaryUrl() })
await admin.connect()
t.teardown(() => admin.end())

let apps = 0
interface TestApp {
  readonly app: FastifyInstance
  /** The application_name of its connections. */
  readonly name: string
  readonly logs: { msg: string; flag?: string }[]
}

async function appWith(
  t: Test,
  options: FlagsOptions = {},
  routes?: (app: FastifyInstance) => void,
): Promise<TestApp> {
  const name = `flags-${apps++}`
  const logs: { msg: string }[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => logs.push(JSON.parse(line)) } } })
  t.teardown(() => app.close())
  const engine = (clientUrl: string) => ({
    orm: defineConfig({
      clientUrl,
      entities: [],
      discovery: { warnWhenNoEntities: false },
      logger: () => {},
      driverOptions: { application_name: name },
    }),
  })
  await app.register(sqlAssist, {
    engines: { writer: engine(db.writerUrl), reader: { ...engine(db.readerUrl), readOnly: true } },
  })
  await app.register(flags, { createTables: options.engine !== 'reader', ...options })
  routes?.(app)
  await app.ready()
  return { app, name, logs }
}

/** Milliseconds until something is so. */
async function until(is: () => boolean | Promise<boolean>, patience = 5_000): Promise<number> {
  const begin = performance.now()
  while (!(await is())) {
    if (performance.now() - begin > patience) return Number.POSITIVE_INFINITY
    await sleep(2)
  }
  return performance.now() - begin
}

async function listeners(name: string): Promise<number[]> {
  const { rows } = await admin.query(
    `select pid from pg_stat_activity where application_name = $1 and query like 'listen %'`,
    [name],
  )
  return rows.map(({ pid }) => pid)
}

/** As on a database that cannot notify. */
function withoutNotifications(storage: FlagStore): FlagStore {
  const changesSince = storage.changesSince.bind(storage)
  return { changesSince } as FlagStore
}

const LONG = 600_000

t.test('flags are there when the application is ready, and asking sends nothing', async t => {
  const { app: other } = await appWith(t)
  await other.flags.storage.upsert({ name: 'early', enabled: true })
  const { app } = await appWith(t, { ttl: LONG }, app => {
    app.get('/', async request => ({
      early: request.flags.isEnabled('early'),
      touched: request.db.status,
    }))
  })
  t.same((await app.inject('/')).json().early, true)
  t.notOk('START' in Object.values((await app.inject('/')).json().touched))
})

t.test('what another process changes is seen within 100 ms', async t => {
  const { app: other } = await appWith(t)
  const { app, name } = await appWith(t, { ttl: LONG })
  await until(async () => (await listeners(name)).length === 1)
  for (const enabled of [true, false, true]) {
    await other.flags.storage.upsert({ name: 'quick', enabled })
    const took = await until(() => app.flags.flags().get('quick')?.isEnabled() === enabled)
    t.ok(took < 100, `${took.toFixed(1)} ms`)
  }
  await other.flags.storage.purge('quick')
  t.ok((await until(() => !app.flags.flags().has('quick'))) < 100, 'also when it is purged')
  const context = app.flags.context()
  const session = other.sqlAssist.engines.get('writer').orm.em.fork()
  await t.rejects(
    session.transactional(async em => {
      await new FlagStorage({ on: em as never }).upsert({ name: 'quick', enabled: true })
      throw new TypeError('after all not')
    }),
  )
  await sleep(30)
  t.equal(app.flags.context().isEnabled('quick'), false, 'what was rolled back never was')
  t.equal(context.isEnabled('quick'), false)
})

t.test('the connection that listens is cut: the change is seen by ttl, and it connects again', async t => {
  const { app: other } = await appWith(t)
  const { app, name } = await appWith(t, { ttl: LONG })
  const { app: polling } = await appWith(t, {
    ttl: 100,
    storage: withoutNotifications(other.flags.storage),
  })
  await until(async () => (await listeners(name)).length === 1)
  const [pid] = await listeners(name)
  await admin.query('select pg_terminate_backend($1)', [pid])
  await other.flags.storage.upsert({ name: 'cut', enabled: true })
  t.ok((await until(() => polling.flags.context().isEnabled('cut'))) < 250, 'by ttl')
  t.ok((await until(() => app.flags.context().isEnabled('cut'))) < 2_000, 'by connecting again')
  t.not((await listeners(name))[0], pid)
  await other.flags.storage.upsert({ name: 'cut', enabled: false })
  t.ok((await until(() => !app.flags.context().isEnabled('cut'))) < 100, 'and then as quickly as before')
})

for (const ttl of [100, LONG]) {
  t.test(
    `the database is gone: the last flags go on serving until it is back, with a ttl of ${ttl}`,
    async t => {
      const { app: other } = await appWith(t)
      await other.flags.storage.upsert({ name: 'down', enabled: true })
      await other.close()
      const { app, logs, name } = await appWith(t, { ttl })
      await until(async () => (await listeners(name)).length === 1)
      await admin.query(`alter database ${db.name} allow_connections false`)
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
        db.name,
      ])
      t.ok((await until(() => app.flags.stale)) < 1_000, 'it is known')
      t.equal(app.flags.context().isEnabled('down'), true)
      await sleep(250)
      t.equal(logs.filter(({ msg }) => /the flags could not be read/.test(msg)).length, 1, 'and said once')
      await admin.query(`alter database ${db.name} allow_connections true`)
      t.ok((await until(() => !app.flags.stale)) < 2_000)
      await app.flags.storage.upsert({ name: 'down', enabled: false })
      t.ok((await until(() => !app.flags.context().isEnabled('down'))) < 500)
    },
  )
}

t.test('a database without the tables: the application starts, and says that it has no flags', async t => {
  const { app, logs } = await appWith(t, { createTables: false, flagsTable: 'missing' })
  t.equal(app.flags.stale, true)
  t.match(logs, [{ msg: /the flags could not be read/ }])
  t.equal(app.flags.context().isEnabled('x'), false)
})

t.test('a request has the flags of one moment', async t => {
  const { app } = await appWith(
    t,
    { ttl: LONG, entries: ({ headers }) => ({ user_id: headers['x-user'] as string }) },
    app => {
      app.get('/', async request => {
        const before = request.flags.isEnabled('moment')
        await app.flags.storage.upsert({ name: 'moment', enabled: true })
        await app.flags.sync()
        return [before, request.flags.isEnabled('moment'), app.flags.context().isEnabled('moment')]
      })
      app.get('/user', async request => [request.flags.get('user_id'), request.flags.isEnabled('mine')])
    },
  )
  const actors = { actor_key: 'user_id', actor_ids: ['7'] }
  await app.flags.storage.upsert({ name: 'moment', enabled: false })
  await app.flags.storage.upsert({ name: 'mine', enabled: true, enabled_for_actors: actors })
  await app.flags.sync()
  t.same((await app.inject('/')).json(), [false, false, true])
  t.same((await app.inject('/')).json(), [true, true, true], 'the next one has the new ones')
  t.same((await app.inject({ url: '/user', headers: { 'x-user': '7' } })).json(), ['7', true])
  t.same((await app.inject({ url: '/user', headers: { 'x-user': '8' } })).json(), ['8', false])
})

t.test('nothing is open when the application is closed', async t => {
  for (const wait of [0, 100]) {
    const { app, name } = await appWith(t, { ttl: 5 })
    await sleep(wait)
    await app.close()
    const open = async (): Promise<boolean> => {
      const { rows } = await admin.query('select 1 from pg_stat_activity where application_name = $1', [name])
      return rows.length === 0
    }
    t.ok((await until(open, 1_000)) < 1_000, `closed ${wait} ms after it was ready`)
    await sleep(wait * 2)
    t.equal(await open(), true, 'and it stays so')
    t.equal(app.flags.stale, false, 'nothing has asked a closed engine')
  }
})

t.test('flags are read from an engine that only reads', async t => {
  const { app: other } = await appWith(t)
  const { app } = await appWith(t, { engine: 'reader', ttl: LONG })
  await other.flags.storage.upsert({ name: 'read', enabled: true })
  t.ok((await until(() => app.flags.context().isEnabled('read'))) < 2_000)
  await t.rejects(app.flags.storage.upsert({ name: 'read' }))
  await t.rejects(appWith(t, { engine: 'reader', createTables: true }), {
    code: 'SQLA_ERR_FLAG_STORAGE',
    message: /'reader' is read-only/,
  })
})

t.test('with a storage of its own it needs no database', async t => {
  const storage = new MemoryFlagStorage()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage, strict: true })
  app.get('/', async request => request.flags.isEnabled('f'))
  await app.ready()
  await storage.upsert({ name: 'f', enabled: true })
  await app.flags.sync()
  t.equal((await app.inject('/')).body, 'true')
  app.flags.storage.purge('f')
  await app.flags.sync()
  t.match((await app.inject('/')).json(), { code: 'SQLA_ERR_FLAG_UNKNOWN', statusCode: 500 })
  t.type(app.flags, FlagClient)
})

t.test('without a database it says what is missing', async t => {
  const app = Fastify()
  await t.rejects(async () => app.register(flags), {
    code: 'SQLA_ERR_FLAG_STORAGE',
    message: /register sqlAssist before flags/,
  })
  for (const flagsTable of ['', 'a?b', 'x'.repeat(53)]) {
    await t.rejects(appWith(t, { flagsTable }), { code: 'SQLA_ERR_FLAG_STORAGE', message: /name of a table/ })
  }
})
