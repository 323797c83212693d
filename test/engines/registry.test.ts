import { defineConfig, defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import sqlAssist, { type SqlAssistOptions } from '../../src/index.ts'
import { testDatabase } from '../support/cluster.ts'

const Thing = defineEntity({ name: 'Thing', properties: { id: p.integer().primary(), name: p.string() } })
const database = await testDatabase(t)
const orm = () => defineConfig({ clientUrl: database.superUrl, entities: [Thing] })

async function appWith(t: Test, options: SqlAssistOptions): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, options)
  return app
}

t.test('the default engine is the marked one, else the one named default, else the only one', async t => {
  const marked = await appWith(t, {
    engines: { default: { orm: orm() }, writer: { orm: orm(), default: true } },
  })
  t.equal(marked.sqlAssist.engines.get().name, 'writer')
  const named = await appWith(t, { engines: { writer: { orm: orm() }, default: { orm: orm() } } })
  t.equal(named.sqlAssist.engines.get().name, 'default')
  const only = await appWith(t, { engines: { writer: { orm: orm() } } })
  t.equal(only.sqlAssist.engines.get().name, 'writer')
  t.equal(only.sqlAssist.engines.get('!default').name, 'writer')
  const none = await appWith(t, { engines: { writer: { orm: orm() }, reader: { orm: orm() } } })
  t.throws(() => none.sqlAssist.engines.get(), {
    code: 'SQLA_ERR_NO_DEFAULT_ENGINE',
    message: /writer, reader/,
  })
})

t.test('an unknown engine is named, together with those there are', async t => {
  const app = await appWith(t, { engines: { writer: { orm: orm() } } })
  const { engines } = app.sqlAssist
  t.throws(() => engines.get('writter'), { code: 'SQLA_ERR_UNKNOWN_ENGINE', message: /'writter'.*: writer/ })
  t.ok(engines.has('writer'))
  t.notOk(engines.has('reader'))
  t.same(engines.names(), ['writer'])
  t.same(
    [...engines].map(engine => engine.name),
    ['writer'],
  )
  await app.sqlAssist.run(async db => {
    t.throws(() => db.get('nobody'), { code: 'SQLA_ERR_UNKNOWN_ENGINE' })
  })
})

t.test('an engine added to a running application is there at once', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, { engines: { writer: { orm: orm() } } })
  app.get('/archive', async request => request.db.get('archive').execute('select 1 as one'))
  await app.sqlAssist.engines.add('early', { orm: orm() })
  await app.ready()
  await app.sqlAssist.engines.add('archive', { orm: orm(), readOnly: true })
  t.same((await app.inject('/archive')).json(), [{ one: 1 }])
  await app.sqlAssist.run(async db => {
    const { early } = db as unknown as { early: typeof db.writer }
    t.equal(early, db.get('early'))
    t.equal(db.status.archive, 'INIT')
  })
})

t.test('a name that would hide something or is taken is refused', async t => {
  const app = await appWith(t, { engines: { writer: { orm: orm() } } })
  const { engines } = app.sqlAssist
  for (const name of [
    '!all',
    '!default',
    'any',
    'get',
    'status',
    'commit',
    'constructor',
    'two words',
    '1st',
    '',
  ]) {
    await t.rejects(engines.add(name, { orm: orm() }), { code: 'SQLA_ERR_INVALID_ENGINE_NAME' }, `'${name}'`)
  }
  await t.rejects(engines.add('writer', { orm: orm() }), { code: 'SQLA_ERR_DUPLICATE_ENGINE' })
  t.same(engines.names(), ['writer'], 'and leaves no trace')
})

t.test('an engine that cannot start leaves no trace', async t => {
  const app = await appWith(t, { engines: { writer: { orm: orm() } } })
  const broken = defineConfig({ clientUrl: 'postgresql://u:secret@127.0.0.1:1/none', entities: [Thing] })
  const adding = app.sqlAssist.engines.add('broken', { orm: broken })
  await t.rejects(adding, { code: 'SQLA_ERR_ENGINE_START', message: /'broken'.*ECONNREFUSED/ })
  t.same(app.sqlAssist.engines.names(), ['writer'])
})

t.test('options that are unknown or contradict each other are refused by register', async t => {
  const wrong: [string, unknown, RegExp][] = [
    ['no engines', {}, /engines/],
    ['no engine', { engines: {} }, /at least one/],
    ['a typo', { engines: { writer: { orm: orm() } }, comitMode: 'manual' }, /comitMode is not known/],
    ['a wrong mode', { engines: { writer: { orm: orm() } }, commitMode: 'always' }, /manual, autocommit/],
    ['no orm', { engines: { writer: {} } }, /needs orm/],
    [
      'an unknown engine option',
      { engines: { writer: { orm: orm(), readonly: true } } },
      /readonly is not known/,
    ],
    ['both kinds', { engines: { writer: { orm: orm(), readOnly: true, autocommit: true } } }, /not both/],
    ['a snapshot of a writer', { engines: { writer: { orm: orm(), snapshot: true } } }, /needs readOnly/],
    [
      'tables through a reader',
      { engines: { reader: { orm: orm(), readOnly: true, createAll: true } } },
      /createAll/,
    ],
    [
      'an isolation level of a reader',
      { engines: { reader: { orm: orm(), readOnly: true, isolationLevel: 'serializable' } } },
      /snapshot/,
    ],
    [
      'an unknown isolation level',
      { engines: { writer: { orm: orm(), isolationLevel: 'best' } } },
      /serializable/,
    ],
    ['no time at all', { engines: { writer: { orm: orm(), acquireTimeout: 0 } } }, /milliseconds/],
    [
      'two defaults',
      { engines: { writer: { orm: orm(), default: true }, reader: { orm: orm(), default: true } } },
      /marked default already/,
    ],
    [
      'a property that is no identifier',
      { engines: { writer: { orm: orm() } }, requestProperty: 'my db' },
      /identifier/,
    ],
    [
      'a property that exists',
      { engines: { writer: { orm: orm() } }, requestProperty: 'body' },
      /exists already/,
    ],
  ]
  for (const [name, options, message] of wrong) {
    const app = Fastify()
    app.register(sqlAssist, options as SqlAssistOptions)
    await t.rejects(async () => app.ready(), { code: 'SQLA_ERR_INVALID_OPTION', message }, name)
    await app.close()
  }
})

t.test('the plugin is registered once', async t => {
  const app = Fastify()
  app.register(sqlAssist, { engines: { writer: { orm: orm() } } })
  app.register(sqlAssist, { engines: { other: { orm: orm() } }, requestProperty: 'other' })
  await t.rejects(async () => app.ready(), { code: 'SQLA_ERR_ALREADY_REGISTERED' })
  await app.close()
})

t.test('a wrong option of a route is refused when the route is registered', async t => {
  const app = await appWith(t, { engines: { writer: { orm: orm() } } })
  const route = { config: { db: { commitMode: 'allways' as 'manual' } } }
  t.throws(() => app.get('/x', route, async () => ''), {
    code: 'SQLA_ERR_INVALID_OPTION',
    message: /GET \/x/,
  })
})

t.test('the property of the request can have another name', async t => {
  const app = await appWith(t, { engines: { writer: { orm: orm() } }, requestProperty: 'dbSession' })
  app.get('/', async request => (request as unknown as { dbSession: typeof request.db }).dbSession.status)
  t.same((await app.inject('/')).json(), { writer: 'INIT' })
})

t.test('closing the application closes what the plugin opened, and nothing else', async t => {
  const own = await MikroORM.init(orm())
  t.teardown(() => own.close(true))
  const app = Fastify()
  await app.register(sqlAssist, { engines: { theirs: { orm: own }, ours: { orm: orm() } } })
  const opened = app.sqlAssist.engines.get('ours').orm
  t.equal(app.sqlAssist.engines.get('theirs').orm, own)
  await app.sqlAssist.run(async db => db.get('theirs').execute('select 1'))
  await app.close()
  t.ok(await own.isConnected())
  t.notOk(await opened.isConnected())
  await t.rejects(
    app.sqlAssist.run(async db => db.get('ours').execute('select 1')),
    { code: 'SQLA_ERR_CLOSED' },
  )
  await t.rejects(app.sqlAssist.engines.add('late', { orm: orm() }), { code: 'SQLA_ERR_CLOSED' })
})

t.test("an application's own instance is read-only when the engine says so, and only there", async t => {
  const own = await MikroORM.init(orm())
  t.teardown(() => own.close(true))
  await own.schema.update()
  const app = await appWith(t, { engines: { writer: { orm: own }, reader: { orm: own, readOnly: true } } })
  const hidden = "with w as (insert into thing (name) values ('x') returning 1) select * from w"
  await t.rejects(
    app.sqlAssist.run(async db => db.get('reader').execute(hidden)),
    /read-only transaction/,
  )
  const rows = await app.sqlAssist.run(async db => {
    const names: string[] = []
    await db.get('writer').execute("insert into thing (name) values ('kept')")
    await db.commit()
    for await (const thing of db.get('reader').stream(Thing)) names.push(thing.name)
    return [...names, ...(await db.get('reader').find(Thing, {})).map(thing => thing.name)]
  })
  t.same(rows, ['kept', 'kept'])
  t.equal(app.sqlAssist.engines.get('reader').figures.used, 0)
})

t.test('createAll creates what is missing, changes nothing, and is safe to run twice at a time', async t => {
  const fresh = await testDatabase(t)
  const New = defineEntity({ name: 'New', properties: { id: p.integer().primary(), added: p.string() } })
  const Old = defineEntity({ name: 'Old', properties: { id: p.integer().primary(), added: p.string() } })
  await fresh.sql('create table old (id serial primary key, kept int)')
  const config = () => defineConfig({ clientUrl: fresh.superUrl, entities: [New, Old] })
  await Promise.all([
    appWith(t, { engines: { writer: { orm: config(), createAll: true } } }),
    appWith(t, { engines: { writer: { orm: config(), createAll: true } } }),
  ])
  const columns = await fresh.sql<{ table_name: string; column_name: string }>(
    "select table_name, column_name from information_schema.columns where table_schema = 'public' order by 1, 2",
  )
  t.same(
    columns.map(column => `${column.table_name}.${column.column_name}`),
    ['new.added', 'new.id', 'old.id', 'old.kept'],
  )
})
