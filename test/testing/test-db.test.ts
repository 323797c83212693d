import * as sqlite from '@mikro-orm/sqlite'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { testDb } from '../../plugins/testing/index.ts'
import sqlAssist from '../../src/index.ts'
import { Audit, eventually, NOTHING, Note, ormConfig } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { Account, twoDatabases } from '../transactions/two-databases.ts'
import { audits, notes, sharedApp } from './shared-app.ts'

function writerOf(app: FastifyInstance) {
  const writer = app.sqlAssist.engines.get('writer')
  return { ...writer.figures, connections: writer.connections() }
}

t.test('each application has one at a time', async t => {
  const { app, remains } = await sharedApp(t)
  const both = await Promise.allSettled([testDb(app), testDb(app)])
  t.same(
    both.map(one => (one.status === 'rejected' ? one.reason.code : one.status)),
    ['fulfilled', 'SQLA_ERR_TEST_ALREADY'],
  )
  await t.rejects(testDb(app), { code: 'SQLA_ERR_TEST_ALREADY' })
  const [first] = both
  if (first.status !== 'fulfilled') return
  await first.value.rollback()
  await first.value.rollback()
  await t.rejects(
    first.value.run(db => db.writer.insert(Note, { tag: 'late', body: 'a' } as never)),
    { code: 'SQLA_ERR_TEST_OVER' },
    'where it would be saved for good',
  )
  const second = await testDb(app)
  await Promise.all([second.rollback(), second.rollback()])
  t.same(await remains(), NOTHING)
})

t.test(
  'an application without the plugin, or with an engine that is not of PostgreSQL, is refused',
  async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(testDb(app), { code: 'SQLA_ERR_TEST_APP' })
    await app.register(sqlAssist, {
      engines: { local: { orm: sqlite.defineConfig({ dbName: ':memory:', entities: [Note] }) } },
    })
    await app.ready()
    await t.rejects(testDb(app), { code: 'SQLA_ERR_TEST_DATABASE', message: /'local' is one of sqlite/ })
    await t.rejects(testDb(app), { code: 'SQLA_ERR_TEST_DATABASE' }, 'again, as nothing was begun')
  },
)

t.test('the application can be closed while it is on', async t => {
  const { app, db: database, saved } = await sharedApp(t)
  const db = await testDb(app)
  await app.inject({ method: 'POST', url: '/notes/closed' })
  const from = performance.now()
  await app.close()
  t.ok(performance.now() - from < 5_000, 'nobody waits for the shared connection')
  t.same(await saved(), { notes: 0, audits: 0 })
  await t.rejects(
    db.run(() => {}),
    { code: 'SQLA_ERR_TEST_OVER' },
  )
  await db.rollback()
  const isClosed = await eventually(async () => {
    const open = await database.sql(
      "select from pg_stat_activity where application_name = 'sqlassist-test' and datname = current_database()",
    )
    return open.length === 0
  })
  t.ok(isClosed, 'its connections are')
})

t.test('what went wrong is told when the application has been closed before, and once', async t => {
  const { app } = await sharedApp(t)
  const db = await testDb(app)
  await db.run(({ logger }) => logger.execute('select 1; commit'))
  await app.close()
  await t.rejects(db.rollback(), { code: 'SQLA_ERR_TEST_ENDED' })
  await db.rollback()
})

t.test('when one database cannot be had, those that were begun are given back', async t => {
  const impatient = { b: { acquireTimeout: 150 } }
  const { app, balances, run } = await twoDatabases(t, impatient, {}, () => {}, undefined, 1)
  await (await testDb(app)).rollback()
  await run(async session => {
    await session.b.count(Account)
    await t.rejects(testDb(app), { code: 'SQLA_ERR_POOL_TIMEOUT' })
    t.equal(app.sqlAssist.engines.get('a').figures.used, 0)
    session.a.create(Account, { id: 2, balance: 1 })
  })
  t.same(await balances(2), [1, undefined], 'requests commit')
  await using db = await testDb(app)
  await db.run(session => session.get('a').nativeUpdate(Account, { id: 2 }, { balance: 3 }))
  t.same(await balances(2), [1, undefined], 'and the next one shares again')
})

t.test('the application can be closed while it begins', async t => {
  const { app, run } = await twoDatabases(t, {}, {}, () => {}, undefined, 1)
  // So that it knows by then which engines share a database.
  await (await testDb(app)).rollback()
  const held = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  const holding = run(async session => {
    await session.b.count(Account)
    held.resolve()
    await done.promise
  })
  await held.promise
  const beginning = testDb(app)
  const engine = app.sqlAssist.engines.get('a')
  t.ok(
    await eventually(() => engine.substitute !== undefined),
    'it has the first database, and waits for the second',
  )
  const from = performance.now()
  const closing = app.close()
  done.resolve()
  const [begun] = await Promise.allSettled([beginning, closing, holding])
  t.ok(performance.now() - from < 5_000, 'nobody waits for a connection of its own')
  if (begun.status === 'fulfilled')
    await t.rejects(
      begun.value.run(() => {}),
      { code: 'SQLA_ERR_TEST_OVER' },
    )
  else t.match(begun.reason, { code: 'SQLA_ERR_CLOSED' })
})

t.test('the connection that engines share is that of one that joins, or else of one that writes', async t => {
  const database = await testDatabase(t)
  const engines = {
    reader: { orm: ormConfig(database.readerUrl), readOnly: true },
    logger: { orm: ormConfig(database.loggerUrl), autocommit: true },
    writer: { orm: ormConfig(database.writerUrl) },
  } as const
  const userOf = async (...names: (keyof typeof engines)[]) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sqlAssist, {
      engines: Object.fromEntries(names.map(name => [name, engines[name]])),
    })
    await app.ready()
    await using db = await testDb(app)
    const [row] = await db.run(({ reader }) => reader.execute<{ name: string }[]>('select user as name'))
    return row?.name
  }
  t.equal(await userOf('reader', 'logger', 'writer'), new URL(database.writerUrl).username)
  t.equal(await userOf('reader', 'logger'), new URL(database.loggerUrl).username)
  t.equal(await userOf('reader'), new URL(database.readerUrl).username)
})

t.test('who waits with several engines has its turn with all of them at once', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  const go = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const first = db.run(async ({ writer }) => {
    await writer.insert(Note, { tag: 'turn', body: 'a' } as never)
    begun.resolve()
    await go.promise
  })
  await begun.promise
  const second = db.run(({ writer, reader, logger }) =>
    Promise.all([writer.count(Note), reader.count(Note), logger.count(Audit)]),
  )
  const third = db.run(({ reader }) => reader.count(Note))
  const waiting = () => [...app.sqlAssist.engines].map(({ figures }) => figures.waiting).join()
  t.ok(await eventually(() => waiting() === '1,2,1'))
  go.resolve()
  await first
  t.same(await second, [1, 1, 0])
  t.equal(await third, 1)
  t.equal(waiting(), '0,0,0')
})

t.test('who waits for a transaction that waits for him is told so', async t => {
  const { app } = await sharedApp(t, { writer: { acquireTimeout: 150 } as never })
  await using db = await testDb(app)
  const nested = db.run(async ({ writer }) => {
    await writer.insert(Note, { tag: 'nested', body: 'a' } as never)
    const inner = db.run(other => other.writer.count(Note), { name: 'the inner one' })
    await t.rejects(inner, {
      code: 'SQLA_ERR_TEST_BUSY',
      message: /the inner one waited 150 ms for engine 'writer', while run\(\) has/,
    })
    t.match(writerOf(app), { used: 1, waiting: 0, connections: [{ inUse: true, since: Number }] })
  })
  await nested
  t.match(writerOf(app), { used: 0, connections: [{ inUse: false, since: undefined, processId: Number }] })
  t.same(await notes(db, 'nested'), ['a'])
})

t.test('what is still at work when it is rolled back is stopped, and saves nothing', async t => {
  const { app, saved, remains } = await sharedApp(t)
  const db = await testDb(app)
  const go = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const late = app.sqlAssist.run(async ({ writer, logger }) => {
    await writer.insert(Note, { tag: 'late', body: 'a' } as never)
    begun.resolve()
    await go.promise
    await t.rejects(logger.insert(Audit, { tag: 'late' } as never), { code: 'SQLA_ERR_TEST_OVER' })
    await writer.insert(Note, { tag: 'late', body: 'b' } as never)
  })
  await begun.promise
  const waiting = app.sqlAssist.run(({ writer }) => writer.execute('select 1'), { name: 'Another' })
  waiting.catch(() => {})
  await eventually(() => app.sqlAssist.engines.get('writer').figures.waiting === 1)
  const from = performance.now()
  await db.rollback()
  t.ok(performance.now() - from < 5_000)
  await t.rejects(waiting, { code: 'SQLA_ERR_TEST_OVER', message: /^Another uses engine 'writer'/ })
  go.resolve()
  await t.rejects(late, { code: 'SQLA_ERR_TEST_OVER' })
  t.same(await saved(), { notes: 0, audits: 0 })
  t.same(await remains(), NOTHING)
})

t.test('a statement that runs when it is rolled back is cancelled', async t => {
  const { app } = await sharedApp(t)
  const db = await testDb(app)
  const sleeping = db.run(({ writer }) => writer.execute('select pg_sleep(15)'))
  sleeping.catch(() => {})
  await eventually(() => app.sqlAssist.sessions.holding > 0)
  await eventually(() => false, 50)
  const from = performance.now()
  await db.rollback()
  t.ok(performance.now() - from < 8_000)
  await t.rejects(sleeping)
})

t.test('COMMIT and the like as plain SQL are refused; one that slips through is told of', async t => {
  const { app, saved, remains } = await sharedApp(t)
  const db = await testDb(app)
  for (const sql of [
    'commit',
    'ROLLBACK ;',
    ' begin',
    'start transaction',
    'end',
    'abort',
    "prepare transaction 'x'",
    '/* so */ -- and so\n commit',
  ]) {
    for (const engine of ['writer', 'logger']) {
      const refused = db.run(session => session.get(engine).execute(sql))
      await t.rejects(refused, { code: 'SQLA_ERR_TEST_STATEMENT', message: new RegExp(engine) }, sql)
    }
  }
  await app.inject({ method: 'POST', url: '/notes/slipped' })
  await db.run(({ logger }) => logger.execute('select 1; commit'))
  await t.rejects(
    db.run(({ writer }) => writer.insert(Note, { tag: 'slipped', body: 'b' } as never)),
    { code: 'SQLA_ERR_TEST_ENDED' },
    'nothing more is saved',
  )
  await t.rejects(db.rollback(), { code: 'SQLA_ERR_TEST_ENDED', message: /'logger'/ })
  t.same(await saved(), { notes: 1, audits: 0 })
  t.same(await remains(), NOTHING)
})

t.test('all who wait when a statement ends the shared transaction are told of it', async t => {
  const { app } = await sharedApp(t)
  const db = await testDb(app)
  const others: Promise<unknown>[] = []
  const ending = db.run(async ({ writer, logger }) => {
    await writer.count(Note)
    for (let index = 0; index < 2; index++) {
      const other = db.run(session => session.writer.count(Note))
      others.push(t.rejects(other, { code: 'SQLA_ERR_TEST_ENDED' }))
    }
    t.ok(await eventually(() => writerOf(app).waiting === 2))
    await logger.execute('select 1; commit')
  })
  await t.rejects(ending, { code: 'SQLA_ERR_TEST_ENDED' })
  await Promise.all(others)
  await t.rejects(db.rollback(), { code: 'SQLA_ERR_TEST_ENDED' })
})

t.test('what could not have been saved without the transaction around it is told of', async t => {
  const { app, db: database } = await sharedApp(t)
  await database.sql('create table child (note integer references note)')
  const db = await testDb(app)
  const failing = db.run(async ({ writer, logger }) => {
    const note = writer.create(Note, { tag: 'parent', body: 'a' })
    await writer.flush()
    await logger.execute('insert into child values (?)', [note.id])
    throw new RangeError('undo')
  })
  await t.rejects(failing, { message: 'undo' })
  await t.rejects(db.rollback(), { code: 'SQLA_ERR_TEST_REPEAT', message: /'logger'.*foreign key/s })
})

for (const snapshot of [true, false]) {
  t.test(
    `readers ${snapshot ? 'with' : 'without'} a snapshot stay read-only, and writers can write`,
    async t => {
      const { app } = await sharedApp(t, { reader: { snapshot } as never })
      await using db = await testDb(app)
      const hidden = "with one as (insert into audit (tag) values ('hidden') returning id) select id from one"
      await t.rejects(
        db.run(({ reader }) => reader.execute(hidden)),
        { code: '25006' },
      )
      await db.run(async ({ reader, writer }) => {
        await reader.count(Note)
        await t.rejects(reader.execute(hidden), { code: '25006' })
        await writer.insert(Note, { tag: 'written', body: 'a' } as never)
      })
      await db.run(
        async ({ writer }) => {
          await writer.begin({ readOnly: true } as never)
          await t.rejects(writer.execute(hidden), { code: '25006' })
          await writer.rollback()
          await writer.insert(Note, { tag: 'written', body: 'b' } as never)
          await writer.commit()
        },
        { commitMode: 'manual' },
      )
      t.same(await notes(db, 'written'), ['a', 'b'])
      t.equal(await audits(db, 'hidden'), 0)
      await db.run(({ reader }) => reader.execute("select set_config('app.tenant', '7', true)"))
      const setting = "select coalesce(current_setting('app.tenant', true), '') as value"
      t.same(await db.run(({ reader }) => reader.execute(setting)), [{ value: '' }])
    },
  )
}

t.test('a nested transaction of a snapshot works, and a failed one aborts only itself', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  await db.run(async ({ reader }) => {
    await reader.count(Note)
    t.equal(await reader.transactional(em => em.count(Note)), 0)
    await t.rejects(reader.transactional(em => em.execute('select nonsense')))
    t.equal(await reader.count(Note), 0)
    await t.rejects(reader.execute('select nonsense'))
    await t.rejects(reader.count(Note), { code: '25P02' })
  })
  t.equal(await db.run(({ reader }) => reader.count(Note)), 0)
})

t.test('what a transaction has set for itself ends with it', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  const seen = 'select current_setting(?, true) as value'
  const place =
    "select current_setting('timezone') as zone, current_schema() as schema, current_setting('work_mem') as memory"
  const before = await db.run(({ writer }) => writer.execute(place))
  const setAndSee = async (engine: string): Promise<void> => {
    await db.run(async session => {
      const em = session.get(engine)
      await em.execute("set local work_mem = '66MB'")
      await em.execute("set local work_mem = '77MB'")
      await em.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
      await em.execute("set local schema 'pg_catalog'")
      await em
        .getKysely()
        .selectNoFrom(({ fn, val, lit }) =>
          fn('set_config', [val('app.tenant'), val('7'), lit(true)]).as('tenant'),
        )
        .execute()
      t.same(await em.execute(seen, ['app.tenant']), [{ value: '7' }], engine)
      t.same(await em.execute(seen, ['work_mem']), [{ value: '77MB' }])
    })
    await db.run(async ({ writer }) => {
      t.same(await writer.execute(seen, ['app.tenant']), [{ value: '' }])
      t.same(await writer.execute(place), before)
    })
  }
  await setAndSee('writer')
  await setAndSee('reader')
  await db.run(({ logger }) => logger.execute("select set_config('app.tenant', '8', true)"))
  const after = await db.run(({ writer }) => writer.execute(seen, ['app.tenant']))
  t.same(after, [{ value: '' }], 'a statement that commits by itself is a transaction, too')
  await db.run(async ({ writer }) => {
    const inner = writer.transactional(em => em.execute('set local nonsense = 1'))
    await t.rejects(inner, { code: '42704' })
    await writer.insert(Note, { tag: 'set', body: 'a' } as never)
  })
  t.same(await notes(db, 'set'), ['a'])
})

t.test('a replica-routed or causal request reads what was written, and gets no token', async t => {
  const { app } = await sharedApp(
    t,
    {},
    { routing: { token: { secret: 'a secret of at least 16 characters' } } },
  )
  const before = await app.inject({ method: 'POST', url: '/notes/token' })
  const tokens = (headers: object) => JSON.stringify(headers).includes('sqlassist')
  t.ok(tokens(before.headers), 'otherwise it gets one')
  await using db = await testDb(app)
  const answer = await app.inject({ method: 'POST', url: '/notes/token' })
  t.equal(answer.statusCode, 200)
  t.notOk(tokens(answer.headers))
  t.same(await notes(db, 'token'), ['a', 'a'])
})

t.test('each database has a shared transaction of its own; commits in two phases are in one', async t => {
  const { app, balances, run } = await twoDatabases(t, {}, { twoPhase: true })
  const db = await testDb(app)
  await run(async session => {
    session.a.create(Account, { id: 2, balance: 1 })
    session.b.create(Account, { id: 2, balance: 2 })
  })
  const failing = run(async session => {
    session.a.create(Account, { id: 3, balance: 1 })
    session.b.create(Account, { id: 3, balance: 666 })
  })
  await t.rejects(failing, { code: 'SQLA_ERR_PARTIAL_COMMIT' })
  await run(async session => {
    t.equal(await session.a.count(Account), 3, 'a partial commit, as without two phases')
    t.equal(await session.b.count(Account), 2)
  })
  t.same(await balances(2), [undefined, undefined])
  await db.rollback()
  t.same(await balances(2), [undefined, undefined])
  t.same(await balances(1), [100, 100])
  await run(async session => {
    session.a.create(Account, { id: 4, balance: 1 })
    session.b.create(Account, { id: 4, balance: 2 })
  })
  t.same(await balances(4), [1, 2], 'afterwards they commit in two phases again')
})

t.test('two engines of one database that both join commit and roll back together', async t => {
  const test = await sharedApp(t)
  await test.app.sqlAssist.engines.add('second', { orm: ormConfig(test.db.writerUrl) })
  await using db = await testDb(test.app)
  const both = (fails: boolean) =>
    db.run(async session => {
      const second = session.get('second')
      await session.writer.insert(Note, { tag: 'both', body: 'a' } as never)
      await second.insert(Note, { tag: 'both', body: 'b' } as never)
      await session.writer.insert(Note, { tag: 'both', body: 'c' } as never)
      if (fails) throw new RangeError('undo')
    })
  await t.rejects(both(true), { message: 'undo' })
  t.same(await notes(db, 'both'), [])
  await both(false)
  t.same(await notes(db, 'both'), ['a', 'b', 'c'])
})
