import t from 'tap'
import type { Db } from '../../src/index.ts'
import { requestOf, sessionOf } from '../../src/index.ts'
import { Audit, committed, createTables, NOTHING, Note, ormConfig, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

t.test('200 requests at the same time', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  await database.sql("insert into note (tag, body) values ('shared', 'as it was')")
  const everybody = Promise.withResolvers<void>()
  let waiting = 0
  const test = await testApp(t, database, {
    max: 50,
    plugin: { commitMode: 'autocommit' },
    routes: app => {
      app.post('/:n', async (request, reply) => {
        const n = Number((request.params as { n: string }).n)
        const { writer } = request.db
        const shared = await request.db.reader.findOneOrFail(Note, { tag: 'shared' })
        shared.body = `changed by ${n}`
        const own = writer.create(Note, { tag: 'own', body: String(n) })
        // As many as the pool has connections are inside their transactions at the same time.
        if (n < 50) {
          await writer.flush()
          if (++waiting === 50) everybody.resolve()
          await everybody.promise
        }
        const visible = await writer.find(Note, { tag: 'own', body: { $like: '%!' } })
        const uncommitted = await writer.find(Note, { tag: 'own' })
        own.body = `${n}!`
        const managed = [...writer.getUnitOfWork().getIdentityMap()].filter(
          entity => entity instanceof Object,
        )
        reply.code(n % 2 === 0 ? 201 : 500)
        return {
          ids: [own.id],
          // Notes that others have committed end in '!'; any other but ours would be uncommitted.
          foreign: uncommitted.filter(note => note !== own && !note.body.endsWith('!')).length,
          visible: visible.every(note => Number.parseInt(note.body, 10) % 2 === 0),
          managed: managed.every(entity => (entity as { tag: string }).tag === 'own'),
        }
      })
    },
  })
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => test.ask('POST', `/${n}`)))
  const bodies = answers.map(answer => JSON.parse(answer.body))
  t.ok(answers.every((answer, n) => answer.status === (n % 2 === 0 ? 201 : 500)))
  t.ok(
    bodies.every(body => body.foreign === 0),
    'none sees what another has not committed',
  )
  t.ok(
    bodies.every(body => body.visible),
    'none sees what another has rolled back',
  )
  t.ok(
    bodies.every(body => body.managed),
    'each has its own identity map',
  )
  t.equal(new Set(bodies.flatMap(body => body.ids)).size, 200)
  t.same(
    (await committed(database, 'own')).toSorted(),
    Array.from({ length: 100 }, (_, n) => `${n * 2}!`).toSorted(),
  )
  t.same(await committed(database, 'shared'), ['as it was'])
  t.same(await test.remains(), NOTHING)
})

t.test('a container', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  let handle: (db: Db, request: import('fastify').FastifyRequest) => unknown = () => undefined
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    engines: {
      other: { orm: ormConfig(database.writerUrl, { contextName: 'other' }), default: true },
    },
    routes: app =>
      app.post('/', async (request, reply) => {
        const status = Number(request.headers['x-status'] ?? 200)
        const result = await handle(request.db, request)
        if (status === 0) throw new Error('asked for')
        return reply.code(status).send({ result: result ?? null })
      }),
  })
  const ask = async (handler: typeof handle, status = 200) => {
    handle = handler
    return test.ask('POST', '/', { headers: { 'x-status': String(status) } })
  }
  const events: string[] = []
  const observe = (db: Db) => {
    db.onCommit(async () => {
      events.push(`commit 1: ${(await committed(database, 'seen')).length} there`)
    })
    db.onCommit(() => events.push('commit 2'))
    db.onRollback(() => events.push('rollback 1'))
    db.onRollback(() => events.push('rollback 2'))
  }
  const happened = () => events.splice(0)

  await t.test('calls back after the commit, in order, before the answer leaves', async t => {
    const answer = await ask(db => {
      observe(db)
      db.writer.create(Note, { tag: 'seen', body: 'a' })
    })
    t.equal(answer.status, 200)
    t.same(happened(), ['commit 1: 1 there', 'commit 2'])
    await database.sql('delete from note')
  })

  for (const [what, status] of [
    ['a response that does not commit', 400],
    ['an error', 0],
  ] as const) {
    await t.test(`calls back after the rollback of ${what}`, async t => {
      await ask(async db => {
        observe(db)
        await db.writer.persist(db.writer.create(Note, { tag: 'seen', body: 'a' })).flush()
      }, status)
      t.same(happened(), ['rollback 1', 'rollback 2'])
    })
  }

  await t.test('calls back after a rollback when COMMIT fails', async t => {
    await ask(db => {
      observe(db)
      db.writer.create(Note, { tag: 'seen', body: 'refused' })
    })
    t.same(happened(), ['rollback 1', 'rollback 2'])
  })

  await t.test('calls back after a commit by hand, once', async t => {
    await ask(async db => {
      observe(db)
      db.writer.create(Note, { tag: 'seen', body: 'a' })
      await db.commit()
      events.push('after commit()')
    }, 500)
    t.same(happened(), ['commit 1: 1 there', 'commit 2', 'after commit()'])
    await database.sql('delete from note')
  })

  await t.test('calls back without any session', async t => {
    await ask(observe)
    t.same(happened(), ['commit 1: 0 there', 'commit 2'])
    await ask(observe, 400)
    t.same(happened(), ['rollback 1', 'rollback 2'])
  })

  await t.test('logs what a callback throws, and the outcome stands', async t => {
    const before = test.logs.length
    const answer = await ask(db => {
      db.onCommit(() => {
        throw new Error('thrown by a callback')
      })
      db.onCommit(() => Promise.reject(new Error('rejected by a callback')))
      db.onCommit(() => events.push('the third one'))
      db.writer.create(Note, { tag: 'stands', body: 'a' })
    }, 201)
    t.equal(answer.status, 201)
    t.same(await committed(database, 'stands'), ['a'])
    t.same(happened(), ['the third one'])
    const errors = test.logs.slice(before).filter(line => line.level >= 50)
    t.same(
      errors.map(line => line.err?.message),
      ['thrown by a callback', 'rejected by a callback'],
    )
  })

  await t.test('tells what became of each engine', async t => {
    let db: Db | undefined
    const seen: unknown[] = []
    await ask(async own => {
      db = own
      seen.push(own.status)
      own.reader
      seen.push(own.status)
      await own.reader.find(Note, {})
      await own.logger.find(Audit, {})
      seen.push(own.status)
    })
    const status = (reader: string, logger: string) => ({ other: 'INIT', writer: 'INIT', reader, logger })
    t.same(seen, [status('INIT', 'INIT'), status('START', 'INIT'), status('START', 'START')])
    t.same(await test.remains(), NOTHING)
    t.same(db?.status, status('END', 'END'))
  })

  await t.test('answers any with a session that has started, else with the first preference', async t => {
    await ask(db => {
      t.equal(db.any, db.reader)
      t.equal(db.getAny(), db.reader)
    })
    await ask(db => {
      const { writer } = db
      t.equal(db.any, writer)
      t.equal(db.getReader(), db.reader)
      t.equal(db.any, db.reader)
    })
    await ask(db => {
      t.equal(db.get(), db.get('other'))
      t.equal(db.getWriter(), db.writer)
      t.equal(db.getLogger(), db.logger)
      t.throws(() => db.get('nobody'), {
        code: 'SQLA_ERR_UNKNOWN_ENGINE',
        message: 'writer, reader, logger, other',
      })
    })
  })

  await t.test('is found from its entities and sessions', async t => {
    await database.sql("insert into note (tag, body) values ('found', 'a')")
    await ask(async (db, request) => {
      const loaded = await db.reader.findOneOrFail(Note, { tag: 'found' })
      const created = db.writer.create(Note, { tag: 'found', body: 'b' })
      t.equal(sessionOf(loaded), db.reader)
      t.equal(sessionOf(created), db.writer)
      for (const one of [loaded, created, db.reader, db.writer]) t.equal(requestOf(one), request)
      await db.writer.transactional(async inner => {
        const nested = await inner.findOneOrFail(Note, { tag: 'found', body: 'a' })
        t.equal(requestOf(inner), request)
        t.equal(requestOf(nested), request)
        t.equal(sessionOf(nested), db.writer)
      })
      t.equal(sessionOf({}), undefined)
      t.equal(requestOf({}), undefined)
    })
  })

  t.same(await test.remains(), NOTHING)
})
