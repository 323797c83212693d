import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import {
  type Answer,
  type AppOptions,
  audited,
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

interface Query {
  readonly tag: string
  readonly body: string
  readonly kind: keyof typeof PAYLOADS
}

const PAYLOADS = {
  object: () => ({ saved: true }),
  string: () => 'saved',
  buffer: () => Buffer.from('saved'),
  stream: () => Readable.from(['saved']),
  empty: () => null,
}

/** Announces a success with everything that belongs to one. */
function announce(request: FastifyRequest, reply: FastifyReply): unknown {
  reply.code(201).header('location', '/notes/1').header('set-cookie', ['a=1', 'b=2']).header('x-own', 'kept')
  return PAYLOADS[(request.query as Query).kind ?? 'object']()
}

async function setUp(t: Tap, options: AppOptions): Promise<{ database: TestDatabase; test: TestApp }> {
  const database = await testDatabase(t)
  await createTables(database)
  return { database, test: await testApp(t, database, { plugin: { commitMode: 'autocommit' }, ...options }) }
}

type Tap = Parameters<typeof testDatabase>[0]

/** An answer that nobody can take for a success. */
const failure = (status = 500) => ({
  status,
  headers: { location: undefined, 'set-cookie': undefined, 'x-own': 'kept' },
})
const seen = ({ status, headers }: Answer) => ({
  status,
  headers: { location: headers.location, 'set-cookie': headers['set-cookie'], 'x-own': headers['x-own'] },
})

t.test('a deferred constraint that fails at COMMIT', async t => {
  const { database, test } = await setUp(t, {
    routes: app => {
      app.post('/notes', async (request, reply) => {
        const { tag, body } = request.query as Query
        request.db.writer.create(Note, { tag, body })
        return announce(request, reply)
      })
      app.register(async scope => {
        scope.setErrorHandler((error: Error, _request, reply) => reply.code(409).send({ name: error.name }))
        scope.post('/handled', async (request, reply) => {
          const { tag, body } = request.query as Query
          request.db.writer.create(Note, { tag, body })
          return announce(request, reply)
        })
      })
    },
  })
  for (const kind of Object.keys(PAYLOADS)) {
    const answer = await test.ask('POST', `/notes?tag=${kind}&body=refused&kind=${kind}`)
    t.same(seen(answer), failure(), `${kind}: the client sees no trace of a success`)
    t.match(answer.body, /refused at commit/)
    t.same(await committed(database, kind), [], `${kind}: nothing was saved`)
  }
  const handled = await test.ask('POST', '/handled?tag=handled&body=refused')
  t.same(seen(handled), failure(409), "the application's error handler answers")
  t.match(handled.body, 'CheckConstraintViolationException', 'it gets the error that MikroORM has for it')
  t.same(await test.remains(), NOTHING)
  const next = await test.ask('POST', '/notes?tag=next&body=fine')
  t.match(next, { status: 201, headers: { location: '/notes/1' } }, 'the next request is served')
  t.same(await committed(database, 'next'), ['fine'])
})

t.test('two serializable requests of which only one can be right', async t => {
  const read = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { database, test } = await setUp(t, {
    engines: { writer: { isolationLevel: 'serializable' } },
    routes: app => {
      app.post('/only-one', async (request, reply) => {
        const { tag, body } = request.query as Query
        const { writer } = request.db
        if ((await writer.count(Note, { tag })) > 0) return reply.code(409).send('taken')
        await writer.persist(writer.create(Note, { tag, body })).flush()
        read[Number(body)]?.resolve()
        await Promise.all(read.map(one => one.promise))
        return announce(request, reply)
      })
    },
  })
  const answers = await Promise.all([0, 1].map(n => test.ask('POST', `/only-one?tag=one&body=${n}`)))
  t.same(answers.map(answer => answer.status).toSorted(), [201, 500])
  t.match(answers.find(answer => answer.status === 500)?.body, '40001')
  t.equal((await committed(database, 'one')).length, 1)
  t.same(await test.remains(), NOTHING)
})

t.test('a connection that is killed', async t => {
  const kill = (database: TestDatabase, pid: number) =>
    database.sql('select pg_terminate_backend($1, 5000)', [pid])
  let database: TestDatabase
  const setup = await setUp(t, {
    max: 2,
    routes: app => {
      app.post('/killed', async (request, reply) => {
        const { tag, body } = request.query as Query
        const { writer } = request.db
        await writer.persist(writer.create(Note, { tag, body })).flush()
        const [{ pid }] = (await writer.execute('select pg_backend_pid() as pid')) as [{ pid: number }]
        if (body === 'slow') {
          eventually(async () => {
            const rows = await database.sql(
              "select 1 from pg_stat_activity where pid = $1 and query = 'commit' and state = 'active'",
              [pid],
            )
            return rows.length > 0
          }).then(() => kill(database, pid))
        } else {
          await kill(database, pid)
        }
        return announce(request, reply)
      })
      app.post('/fine', async (request, reply) => {
        const { tag, body } = request.query as Query
        request.db.writer.create(Note, { tag, body })
        return announce(request, reply)
      })
    },
  })
  database = setup.database
  const { test } = setup
  // More often than there are connections: a killed one must not keep its slot.
  for (const body of ['first', 'second', 'third']) {
    t.same(
      seen(await test.ask('POST', `/killed?tag=k&body=${body}`)),
      failure(503),
      'between flush and COMMIT',
    )
  }
  t.same(seen(await test.ask('POST', '/killed?tag=k&body=slow')), failure(503), 'during COMMIT')
  t.same(await committed(database, 'k'), [], 'nothing was saved')
  t.same(await test.remains(), NOTHING)
  const answers = await Promise.all([1, 2, 3, 4].map(n => test.ask('POST', `/fine?tag=fine&body=${n}`)))
  t.same(
    answers.map(answer => answer.status),
    [201, 201, 201, 201],
    'the pool has its connections back',
  )
  t.equal((await committed(database, 'fine')).length, 4)
})

t.test('a COMMIT that is answered with ROLLBACK', async t => {
  const { database, test } = await setUp(t, {
    routes: app =>
      app.post('/swallowed', async (request, reply) => {
        const { tag, body } = request.query as Query
        const { writer } = request.db
        await writer.persist(writer.create(Note, { tag, body })).flush()
        await writer.execute('select 1 / 0').catch(() => {})
        return announce(request, reply)
      }),
  })
  for (const kind of Object.keys(PAYLOADS)) {
    const answer = await test.ask('POST', `/swallowed?tag=${kind}&body=lost&kind=${kind}`)
    t.same(seen(answer), failure(), kind)
    t.match(answer.body, 'SQLA_ERR_COMMIT_ROLLED_BACK')
    t.same(await committed(database, kind), [])
  }
  t.same(await test.remains(), NOTHING)
})

t.test('a pending entity that cannot be flushed', async t => {
  const { database, test } = await setUp(t, {
    routes: app =>
      app.post('/unflushable', async (request, reply) => {
        const { tag, body } = request.query as Query
        request.db.writer.create(Note, { tag, body })
        request.db.writer.create(Note, { id: 2 ** 40, tag, body })
        return announce(request, reply)
      }),
  })
  for (const kind of Object.keys(PAYLOADS)) {
    const answer = await test.ask('POST', `/unflushable?tag=${kind}&body=lost&kind=${kind}`)
    t.same(seen(answer), failure(), kind)
    t.match(answer.body, '22003')
    t.same(await committed(database, kind), [])
  }
  t.same(await test.remains(), NOTHING)
})

t.test('several transactional engines', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const second = { orm: ormConfig(database.writerUrl, { contextName: 'second' }) }
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    engines: { second },
    routes: app =>
      app.post('/both', async (request, reply) => {
        const { tag, body } = request.query as Query
        request.db.writer.create(Note, { tag, body: 'of the first' })
        request.db.get('second').create(Note, { ...(body === 'unflushable' && { id: 2 ** 40 }), tag, body })
        return announce(request, reply)
      }),
  })
  t.match(await test.ask('POST', '/both?tag=good&body=fine&kind=string'), { status: 201 })
  t.equal((await committed(database, 'good')).length, 2, 'both are committed')
  for (const kind of ['object', 'string']) {
    const answer = await test.ask('POST', `/both?tag=${kind}&body=unflushable&kind=${kind}`)
    t.same(seen(answer), failure())
    t.same(await committed(database, kind), [], 'all are flushed before the first is committed')
  }
  const partly = await test.ask('POST', '/both?tag=partly&body=refused&kind=string')
  t.same(seen(partly), failure(), 'a second COMMIT that fails is no success either')
  t.same(await committed(database, 'partly'), ['of the first'], 'the first one cannot be taken back')
  t.match(
    test.logs.filter(line => line.msg.startsWith('a COMMIT failed after')),
    [{ level: 50, committed: ['writer'] }],
    'and that is logged',
  )
  t.same(await test.remains(), NOTHING)
})

t.test('a commit by hand that fails leaves a session that can begin again', async t => {
  const { database, test } = await setUp(t, {
    routes: app =>
      app.post('/again', async (request, reply) => {
        const { tag, body } = request.query as Query
        const { db } = request
        const rollbacks: string[] = []
        db.onRollback(() => rollbacks.push('rolled back'))
        db.writer.create(Note, { tag, body: 'lost' })
        db.writer.create(Note, body === 'unflushable' ? { id: 2 ** 40, tag, body } : { tag, body })
        const code = await db.commit().catch((error: { code: string }) => error.code)
        const told = rollbacks.length
        db.writer.create(Note, { tag, body: 'second try' })
        return reply.code(201).send({ code, told })
      }),
  })
  for (const [body, code] of [
    ['unflushable', '22003'],
    ['refused', '23514'],
  ]) {
    const answer = await test.ask('POST', `/again?tag=${body}&body=${body}`)
    t.match(answer, { status: 201 })
    t.same(JSON.parse(answer.body), { code, told: 1 })
    t.same(await committed(database, body as string), ['second try'])
  }
  t.same(await test.remains(), NOTHING)
})

t.test('error handling that fails as well never hangs', async t => {
  const { database, test } = await setUp(t, {
    routes: app => {
      const refused = async (request: FastifyRequest, reply: FastifyReply) => {
        const { tag } = request.query as Query
        request.db.writer.create(Note, { tag, body: 'refused' })
        return announce(request, reply)
      }
      app.register(async scope => {
        scope.setErrorHandler(() => {
          throw new Error('of the error handler')
        })
        scope.post('/throws', refused)
      })
      app.register(async scope => {
        scope.setErrorHandler(async (_error, request, reply) => {
          request.db.writer.create(Note, { tag: (request.query as Query).tag, body: 'refused' })
          return reply.code(500).send('tried again')
        })
        scope.post('/writes', refused)
      })
      app.register(async scope => {
        scope.setErrorHandler(async (_error, request, reply) => {
          request.db.writer.create(Note, { tag: (request.query as Query).tag, body: 'second try' })
          return reply.code(200).send({ friendly: true })
        })
        scope.post('/claims-success', refused)
      })
      app.register(async scope => {
        scope.addHook('onSend', async (_request, reply) => {
          if (reply.statusCode >= 500) throw new Error('of an onSend hook')
        })
        scope.post('/hook', refused)
      })
      app.register(async scope => {
        scope.setErrorHandler((_error, _request, reply) => reply.code(500).header('x-bad', 'a\nb').send('x'))
        scope.post('/unsendable', refused)
      })
    },
  })
  for (const path of ['throws', 'writes', 'claims-success', 'hook', 'unsendable']) {
    for (const kind of ['object', 'string']) {
      const answer = await test.ask('POST', `/${path}?tag=${path}&kind=${kind}`)
      t.equal(answer.status, path === 'claims-success' ? 200 : 500, `${path}, ${kind}`)
    }
    t.same(await committed(database, path), [])
  }
  t.same(await test.remains(), NOTHING)
  t.equal(await audited(database, ''), 0)
})
