import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import { MikroORM as SqliteOrm } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import pg from 'pg'
import t from 'tap'
import sqlAssist from '../../src/index.ts'
import { testCluster, testDatabase } from '../support/cluster.ts'
import { both } from './left-behind.ts'
import { twoDatabases } from './two-databases.ts'

// What commits in two phases need to start.

t.test('the coordinator and its table can be chosen', async t => {
  const two = await twoDatabases(
    t,
    {},
    {
      twoPhase: { coordinator: 'b', table: 'public.outcomes', application: 'shop' },
    },
  )
  await two.b.sql('create table seen (gid text)')
  await two.b.sql('grant insert on seen to public')
  await two.b.sql(`create function see() returns trigger language plpgsql as $$ begin
    insert into seen select gid from pg_prepared_xacts where database in ('${two.a.name}', '${two.b.name}'); return null; end $$`)
  await two.b.sql('create trigger see after insert on outcomes for each row execute function see()')
  await two.run(db => both(db, 1, 2))
  const seen = await two.b.sql<{ gid: string }>('select gid from seen order by gid')
  t.equal(seen.length, 2)
  for (const [n, { gid }] of seen.entries())
    t.match(gid, new RegExp(`^sqlassist:shop:[0-9a-f-]{36}:${'ab'[n]}:[0-9a-f]{8}$`))
  t.same(await two.b.sql('select * from outcomes'), [])
  t.same(await two.a.sql("select to_regclass('sqlassist_decisions') as found"), [{ found: null }])
})

t.test('a server that cannot prepare is refused at start', async t => {
  const cluster = await testCluster(t, { roles: [] })
  const orm = defineConfig({
    clientUrl: cluster.primary.url,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: 1 },
  })
  const start = async (options: object): Promise<void> => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sqlAssist, { twoPhase: true, ...options } as never)
  }
  await t.rejects(start({ engines: { writer: { orm } } }), {
    code: 'SQLA_ERR_TWO_PHASE_UNAVAILABLE',
    message: /^Engine 'writer' cannot .* max_prepared_transactions of its server is 0.* join: false/,
  })
  const database = await testDatabase(t)
  const capable = defineConfig({
    clientUrl: database.writerUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: 1 },
  })
  await start({ engines: { one: { orm, join: false }, two: { orm: capable } } })
  await t.rejects(start({ engines: { one: { orm, join: false } } }), { code: 'SQLA_ERR_INVALID_OPTION' })
  await t.rejects(start({ engines: { two: { orm: capable } }, twoPhase: { coordinator: 'three' } }), {
    code: 'SQLA_ERR_INVALID_OPTION',
    message: /twoPhase\.coordinator must be an engine that writes; 'three' is none/,
  })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, { twoPhase: true, engines: { two: { orm: capable } } })
  const late = defineConfig({ ...orm, driverOptions: { application_name: 'late' } })
  await t.rejects(app.sqlAssist.engines.add('late', { orm: late }), {
    code: 'SQLA_ERR_TWO_PHASE_UNAVAILABLE',
  })
  const client = new pg.Client({ connectionString: cluster.primary.url })
  await client.connect()
  t.teardown(() => client.end())
  const open = async () =>
    (await client.query("select 1 from pg_stat_activity where application_name = 'late'")).rowCount
  for (let tries = 0; tries < 100 && (await open()) !== 0; tries++) await sleep(20)
  t.equal(await open(), 0, 'its connections are closed')
  t.same(app.sqlAssist.engines.names(), ['two'])
})

t.test('another kind of database, and a table that cannot be used, are refused at start', async t => {
  const lite = await SqliteOrm.init({
    dbName: ':memory:',
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  t.teardown(() => lite.close(true))
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(
    (async () => app.register(sqlAssist, { twoPhase: true, engines: { lite: { orm: lite } } }))(),
    { code: 'SQLA_ERR_TWO_PHASE_UNAVAILABLE', message: /'lite' .*only PostgreSQL can/ },
  )
  const database = await testDatabase(t)
  await database.sql('create table sqlassist_decisions (id uuid primary key)')
  const other = Fastify()
  t.teardown(() => other.close())
  const orm = defineConfig({
    clientUrl: database.writerUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  await t.rejects(
    (async () => other.register(sqlAssist, { twoPhase: true, engines: { writer: { orm } } }))(),
    {
      code: 'SQLA_ERR_TWO_PHASE_UNAVAILABLE',
      message: /"sqlassist_decisions" of the decisions cannot be used/,
    },
  )
})

t.test('options that make no sense are refused', async t => {
  for (const [twoPhase, message] of [
    ['yes', /twoPhase must be an object/],
    [{ table: 'a"b' }, /twoPhase\.table/],
    [{ table: 'a.b.c' }, /twoPhase\.table/],
    [{ application: "it's" }, /twoPhase\.application/],
    [{ application: 'a:b' }, /twoPhase\.application/],
    [{ application: 'x'.repeat(65) }, /twoPhase\.application/],
    [{ warnAfter: 0 }, /twoPhase\.warnAfter/],
    [{ coordinater: 'a' }, /twoPhase\.coordinater is not known/],
  ] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(
      (async () => app.register(sqlAssist, { engines: { a: { orm: {} } }, twoPhase } as never))(),
      { code: 'SQLA_ERR_INVALID_OPTION', message },
    )
  }
})
