import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig as sqliteConfig } from '@mikro-orm/sqlite'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import { FlagClient, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { type SegmentsOptions, segments } from '../../plugins/segments/plugin.ts'
import { segmentTableStatements } from '../../plugins/segments/tables.ts'
import sqlAssist from '../../src/index.ts'
import { appOn, ENVIRONMENT, newPlace, onPostgres, until, where } from './segments-app.ts'

// The plugin in an application.

const PRO = where('plan', 'EQUAL', 'pro', 'pro')
const HALF = where('', 'PERCENTAGE_SPLIT', '50', 'half')
const EVERYBODY = where('plan', 'IS_NOT_SET', null, 'no plan')

const identity = ({ headers }: FastifyRequest) =>
  headers['x-user'] === undefined
    ? undefined
    : { identifier: String(headers['x-user']), traits: { plan: String(headers['x-plan']) } }

await onPostgres(t, async (t, backend) => {
  t.test('what a request saves is committed with it, or rolled back', async t => {
    const place = newPlace()
    const { app, sql } = await appOn(t, backend, {
      place,
      routes(app) {
        app.post('/:identifier', async request => {
          const { identifier } = request.params as { identifier: string }
          const id = await request.segments.upsertIdentity({ identifier, traits: { plan: 'pro' } })
          await request.segments.saveSegment(PRO)
          if (identifier === 'fails') throw new TypeError('after all not')
          const bad = request.segments.upsertIdentity({ identifier: 'refused by the database' })
          await bad.catch(() => {})
          const wrong = request.segments.materialise('nope')
          await wrong.catch(() => {})
          return { id, seen: await request.segments.count(PRO), byKey: await request.segments.count('pro') }
        })
        app.get('/', async request => request.segments.countMany([PRO]))
      },
    })
    await sql(`alter table ${place}_identities add check (identifier not like 'refused%')`)
    t.equal((await app.inject({ method: 'POST', url: '/fails' })).statusCode, 500)
    t.equal(await app.segments.count(PRO), 0)
    t.equal(app.segments.get('pro'), undefined)
    const saved = await app.inject({ method: 'POST', url: '/ada' })
    t.match(saved.json(), { seen: 1, byKey: 1 }, 'a call that failed has not spoilt the others')
    t.equal(saved.json().id, (await app.segments.findIdentity('ada'))?.id)
    t.same(app.segments.get('pro'), PRO, 'known as soon as the answer is there')
    t.match((await app.inject('/')).json(), [{ count: 1 }])
    t.equal(app.sqlAssist.sessions.open, 0)
    t.equal(app.sqlAssist.sessions.holding, 0)
  })

  t.test('a request knows in which segments its sender is, without asking the database', async t => {
    const { app, logs } = await appOn(t, backend, {
      identity,
      segments: [PRO, HALF, EVERYBODY],
      routes(app) {
        app.get('/', async request => {
          const { segments } = request
          return {
            pro: segments.isIn('pro'),
            keys: segments.keys(),
            other: segments.isIn('pro', { identifier: 'bob', traits: { plan: 'pro' } }),
            nope: [segments.isIn('nope'), segments.isIn('nope')],
            who: segments.identity?.identifier ?? null,
            touched: Object.values(request.db.status).includes('START'),
          }
        })
      },
    })
    const ask = async (headers: Record<string, string>) => (await app.inject({ url: '/', headers })).json()
    t.match(await ask({ 'x-user': 'ada', 'x-plan': 'pro' }), {
      pro: true,
      other: true,
      who: 'ada',
      touched: false,
    })
    t.match(await ask({ 'x-user': 'bob', 'x-plan': 'free' }), {
      pro: false,
      other: true,
      nope: [false, false],
    })
    t.same((await ask({})).keys, ['no plan'], 'nobody is only in what asks for nobody')
    const shares = await Promise.all(
      Array.from({ length: 60 }, async (_, n) => (await ask({ 'x-user': `u${n}` })).keys.includes('half')),
    )
    const half = shares.filter(Boolean).length
    t.ok(half > 12 && half < 48, `${half} of 60 are in a half`)
    t.equal(
      logs.filter(({ segment }) => segment === 'nope').length,
      1,
      'an unknown segment is warned of once',
    )
  })

  t.test('flags can ask: entries are traits, and nothing throws', async t => {
    const { app } = await appOn(t, backend, {
      segments: [
        PRO,
        HALF,
        where('$.identity.identifier', 'EQUAL', '7', 'seven'),
        where('$.identity.key', 'EQUAL', 'k', 'key'),
      ],
    })
    const { isInSegment } = app.segments
    t.equal(isInSegment('pro', { plan: 'pro' }), true)
    t.equal(isInSegment('pro', { plan: null, identifier: undefined }), false)
    t.equal(isInSegment('pro'), false)
    t.equal(isInSegment('seven', { identifier: 7 }), true, 'a number is its text')
    t.equal(isInSegment('key', { key: 'k' }), true)
    t.equal(isInSegment('half', { plan: 'pro' }), false, 'who has no identifier is in no percentage')
    for (const [key, entries] of [
      ['__proto__', {}],
      [undefined, undefined],
      ['pro', { __proto__: null }],
      ['pro', { plan: Symbol('x') }],
      ['pro', { plan: {} }],
    ] as [string, object][]) {
      t.equal(isInSegment(key, entries as never), false)
    }
    const client = new FlagClient({ storage: new MemoryFlagStorage(), isInSegment })
    await client.storage.upsert({ name: 'offer', enabled: true, segments: ['pro'] })
    await client.sync()
    t.equal(client.context({ plan: 'pro' }).isEnabled('offer'), true)
    t.equal(client.context({ plan: 'free' }).isEnabled('offer'), false)
  })

  t.test('saved segments are known to every process: by notification, or by ttl', async t => {
    const place = newPlace()
    const { app: one } = await appOn(t, backend, { place })
    const { app: two } = await appOn(t, backend, { place, createTables: false })
    const { app: three } = await appOn(t, backend, { place, createTables: false, ttl: 100, engine: 'reader' })
    await one.segments.saveSegment(PRO)
    t.same(one.segments.segmentList(), [PRO], 'one knows its own at once')
    t.ok((await until(() => two.segments.get('pro') !== undefined)) < 1_000)
    t.ok((await until(() => three.segments.isInSegment('pro', { plan: 'pro' }))) < 1_000)
    await one.segments.saveSegment({ ...PRO, rules: EVERYBODY.rules ?? null })
    t.ok((await until(() => !two.segments.isInSegment('pro', { plan: 'pro' }))) < 1_000)
    await two.segments.deleteSegment('pro')
    t.equal(two.segments.get('pro'), undefined)
    t.ok((await until(() => one.segments.get('pro') === undefined)) < 1_000)
    t.equal(await one.segments.deleteSegment('pro'), false)
    await t.rejects(one.segments.saveSegment(where('plan', 'LIKE' as never, 'x')), {
      code: 'SQLA_ERR_SEGMENT_INVALID',
      statusCode: 400,
    })
    await t.rejects(one.segments.saveSegment({ ...PRO, more: '\0' } as never), {
      code: 'SQLA_ERR_SEGMENT_INVALID',
    })
    await t.rejects(one.segments.saveSegment({ ...PRO, key: 'x'.repeat(2_001) }), {
      code: 'SQLA_ERR_SEGMENT_INVALID',
    })
    await t.rejects(one.segments.saveSegment({ ...PRO, key: 'a\0' }), { code: 'SQLA_ERR_SEGMENT_INVALID' })
    await t.rejects(three.segments.saveSegment(PRO), 'a reader saves nothing')
  })

  t.test('what is defined in code wins over what was saved', async t => {
    const place = newPlace()
    const { app: one } = await appOn(t, backend, { place })
    await one.segments.saveSegment(PRO)
    const { app: two } = await appOn(t, backend, { place, segments: [{ ...EVERYBODY, key: 'pro' }] })
    t.equal(two.segments.isInSegment('pro', { plan: 'pro' }), false)
    t.equal(two.segments.segmentList().length, 1)
    await one.segments.upsertIdentity({ identifier: 'ada', traits: { plan: 'pro' } })
    await one.segments.materialise('pro')
    t.same([await one.segments.count('pro'), await two.segments.count('pro')], [1, 0])
  })

  t.test('heavy reads go where they are told to', async t => {
    const { app } = await appOn(t, backend, {
      readEngine: 'reader',
      routes(app) {
        app.get('/', async request => {
          await request.segments.count(PRO)
          return request.db.status
        })
        app.post('/', async request => {
          await request.segments.upsertIdentity({ identifier: 'ada' })
          return request.db.status
        })
      },
    })
    t.same((await app.inject('/')).json(), { writer: 'INIT', reader: 'START' })
    t.same((await app.inject({ method: 'POST', url: '/' })).json(), { writer: 'START', reader: 'INIT' })
    t.equal(await app.segments.count(PRO), 0)
  })

  t.test('a migration can make the tables, with other names and in a schema', async t => {
    const { sql } = await appOn(t, backend)
    const schema = newPlace()
    const tables = {
      identities: 'my "people"'.replaceAll('"', ''),
      segments: 'segment',
      members: 'member-ship',
    }
    await sql(`create schema ${schema}`)
    for (const statement of segmentTableStatements({ schema, tables })) await sql(statement)
    const { app } = await appOn(t, backend, { schema, tables, createTables: false })
    await app.segments.upsertIdentity({ identifier: 'ada', traits: { plan: 'pro' } })
    t.equal(await app.segments.materialise(PRO), 1)
    t.match(await app.segments.estimate(PRO), { count: 1 })
    t.match(await app.segments.adviseIndexes([PRO]), { sampled: 1 })
    t.equal(await app.segments.count('pro'), 1)
    await Promise.all([app.segments.createTables(), app.segments.createTables()])
  })

  t.test('a database without the tables: the application starts, and says so', async t => {
    const { app, logs } = await appOn(t, backend, { createTables: false, segments: [PRO] })
    t.match(logs, [{ msg: /the segments could not be read/ }])
    t.equal(app.segments.isInSegment('pro', { plan: 'pro' }), true, 'those of the code are there')
    await Promise.all(Array.from({ length: 6 }, () => app.segments.createTables()))
    await app.segments.sync()
    t.equal(await app.segments.count('pro'), 0)
  })

  t.test('that the segments cannot be read is said once, until they can be again', async t => {
    const place = newPlace()
    const { app, logs, sql } = await appOn(t, backend, { place, createTables: false, ttl: 60_000 })
    await t.rejects(app.segments.sync(), /does not exist/)
    await t.rejects(app.segments.sync(), /does not exist/)
    t.equal(logs.length, 1)
    await app.segments.createTables()
    const isRead = () =>
      app.segments.sync().then(
        () => true,
        () => false,
      )
    // One that is under way may have begun before there were tables.
    t.ok((await until(isRead)) < 1_000)
    await sql(`drop table ${place}_segments`)
    await t.rejects(app.segments.sync(), /does not exist/)
    t.equal(logs.length, 2)
  })

  t.test('nothing is open when the application is closed', async t => {
    const { sql } = await appOn(t, backend)
    for (const wait of [0, 60]) {
      const place = newPlace()
      const { app } = await appOn(t, backend, { place, ttl: 5 })
      await app.segments.saveSegment(PRO)
      await sleep(wait)
      t.equal(app.sqlAssist.sessions.open, 0)
      await app.close()
      const open = async (): Promise<boolean> =>
        (await sql('select 1 from pg_stat_activity where application_name = ?', [place])).length === 0
      t.ok((await until(open, 1_000)) < 1_000, `closed ${wait} ms after it was ready`)
      await sleep(wait)
      t.equal(await open(), true, 'and it stays so')
    }
  })

  t.test('options that cannot be are refused', async t => {
    const refused = (options: object, error: { code: string; message?: RegExp }) =>
      t.rejects(appOn(t, backend, options as Partial<SegmentsOptions>), error)
    const option = { code: 'SQLA_ERR_INVALID_OPTION' }
    const storage = { code: 'SQLA_ERR_SEGMENT_STORAGE' }
    await refused({ environment: undefined }, { ...option, message: /environment/ })
    await refused({ environment: { key: 'x' } }, { ...option, message: /environment\.name/ })
    await refused({ environment: { key: '', name: 'x' } }, { ...option, message: /environment\.key/ })
    await refused({ environment: { key: 'a\0', name: 'x' } }, { ...option, message: /environment\.key/ })
    await refused(
      { environment: { key: 'x'.repeat(501), name: 'x' } },
      { ...option, message: /environment\.key/ },
    )
    await refused({ environment: { key: 'a', name: 'x', id: 1 } }, { ...option, message: /environment\.id/ })
    for (const [name, values] of Object.entries({
      ttl: [0, -1, '5', Number.NaN, 2 ** 31],
      createTables: ['yes', 1],
      identity: [{}],
      segments: [{}, 'x'],
      tables: [[], 'x', { people: 'x' }, { members: 1 }],
      schema: ['', 1],
      requestProperty: ['', 1],
      engine: ['', {}],
      unknown: [1],
    })) {
      for (const value of values) await refused({ [name]: value }, { ...option, message: new RegExp(name) })
    }
    await refused({ engine: 'nope' }, { code: 'SQLA_ERR_UNKNOWN_ENGINE' })
    await refused({ readEngine: 'nope' }, { code: 'SQLA_ERR_UNKNOWN_ENGINE' })
    await refused({ engine: 'reader' }, { ...storage, message: /read-only/ })
    for (const name of ['a?', 'a"b', 'x'.repeat(53), 'a\\']) {
      await refused({ tables: { segments: name } }, storage)
      await refused({ schema: name }, storage)
    }
    await refused({ tables: { segments: 'x', members: 'x' } }, storage)
    await refused({ segments: [PRO, PRO] }, { ...option, message: /two with the key 'pro'/ })
    await refused({ segments: [where('x', 'NO' as never, '1')] }, { code: 'SQLA_ERR_SEGMENT_INVALID' })
  })
})

t.test('where there is no PostgreSQL, or no database at all, nothing can be stored', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const options = { environment: ENVIRONMENT }
  await t.rejects(async () => await Fastify().register(segments, options), {
    code: 'SQLA_ERR_SEGMENT_STORAGE',
    message: /register sqlAssist before/,
  })
  const orm = sqliteConfig({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
  await app.register(sqlAssist, { engines: { only: { orm } } })
  await t.rejects(async () => await app.register(segments, options), {
    code: 'SQLA_ERR_SEGMENT_STORAGE',
    message: /'only' is not on PostgreSQL/,
  })
})
