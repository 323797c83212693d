import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { observe } from '../../src/index.ts'
import { type AppOptions, createTables, Note, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { type ChannelName, type Heard, hear } from './heard.ts'

// What the core tells of sessions, their statements and what becomes of them.

const SESSIONS: readonly ChannelName[] = [
  'sqlassist:session:start',
  'sqlassist:session:first-sql',
  'sqlassist:session:commit',
  'sqlassist:session:rollback',
  'sqlassist:session:close',
  'sqlassist:outcome',
]
const STATEMENTS: readonly ChannelName[] = [
  'sqlassist:statement:start',
  'sqlassist:statement:end',
  'sqlassist:statement:error',
]

async function setUp(t: Test, options: AppOptions, names: readonly ChannelName[]) {
  const database = await testDatabase(t)
  await createTables(database)
  const test = await testApp(t, database, { plugin: { commitMode: 'autocommit' }, ...options })
  return { database, test, heard: hear(t, test.app, names) }
}

/** The steps of a request's life, as they were told. */
function steps(heard: Heard): string[] {
  return heard.all.map(({ name, message }) => {
    const short = name.replace(/^sqlassist:/, '')
    const { engine, outcome, reason } = message as { engine?: string; outcome?: string; reason?: string }
    return engine === undefined ? `${short} ${outcome}: ${reason}` : `${short} ${engine}`
  })
}

t.test('a request that commits, from its first session to its last', async t => {
  const { test, heard } = await setUp(
    t,
    {
      engines: { reader: { snapshot: false } },
      routes: app =>
        app.post('/notes/:id', async (request, reply) => {
          const note = request.db.writer.create(Note, { tag: 'a', body: 'b' })
          await request.db.reader.count(Note)
          return reply.code(201).send(note)
        }),
    },
    SESSIONS,
  )
  t.equal((await test.ask('POST', '/notes/1')).status, 201)
  await test.remains()
  t.same(steps(heard), [
    'session:start writer',
    'session:start reader',
    'session:first-sql reader',
    'session:first-sql writer',
    'outcome commit: status 201',
    'session:commit writer',
    'session:close writer',
    'session:close reader',
  ])
  const scopes = new Set(heard.all.map(({ message }) => (message as { scope: object }).scope))
  t.equal(scopes.size, 1, 'all of it names the same scope')
  const [{ scope, session }] = heard.of('sqlassist:session:start') as [never]
  t.equal((scope as { label(): string }).label(), 'POST /notes/:id')
  t.type((session as { getUnitOfWork(): object }).getUnitOfWork(), 'object')
  const [commit] = heard.of('sqlassist:session:commit')
  t.ok(commit !== undefined && commit.duration > 0 && commit.duration < 10_000, 'COMMIT has its time')
  t.equal(commit?.error, undefined)
  const [first] = heard.of('sqlassist:session:first-sql')
  t.match(first?.server, { name: 'primary', isReplica: false, host: '127.0.0.1', processId: Number })
})

t.test('why nothing was committed', async t => {
  const insert = (session: { execute(sql: string): Promise<unknown> }) =>
    session.execute("insert into note (tag, body) values ('x', 'y')")
  const { test, heard } = await setUp(
    t,
    {
      plugin: { commitMode: 'autocommit', abortGrace: 50 },
      routes: app => {
        app.post('/404', async (request, reply) => {
          await insert(request.db.writer)
          return reply.code(404).send({})
        })
        app.post('/throws', async request => {
          await insert(request.db.writer)
          throw new Error('no')
        })
        app.post('/doomed', async request => {
          await insert(request.db.writer)
          request.db.transaction.doom()
          return {}
        })
        app.post('/manual', { config: { db: { commitMode: 'manual' } } }, async request => {
          await insert(request.db.writer)
          return {}
        })
        app.post('/refused', async request => {
          request.db.writer.create(Note, { tag: 'x', body: 'refused' })
        })
        app.post('/hijacked', async (request, reply) => {
          await insert(request.db.writer)
          reply.hijack()
          reply.raw.end('mine')
        })
        app.post('/gone', async request => {
          await insert(request.db.writer)
          await sleep(200)
          return {}
        })
        app.post('/by-hand', async request => {
          await insert(request.db.writer)
          await request.db.rollback()
          return {}
        })
      },
    },
    SESSIONS,
  )
  const told = async (path: string): Promise<string[]> => {
    heard.forget()
    await test.ask('POST', path)
    await test.remains()
    return steps(heard).filter(step => !/start|first-sql|close/.test(step))
  }
  t.same(await told('/404'), [
    'outcome rollback: status 404 does not commit (autocommit)',
    'session:rollback writer',
  ])
  t.same(await told('/throws'), ['outcome rollback: the request threw', 'session:rollback writer'])
  t.same(await told('/doomed'), ['outcome rollback: the transaction was doomed', 'session:rollback writer'])
  t.same(await told('/manual'), [
    'outcome rollback: nothing commits by itself (commitMode manual)',
    'session:rollback writer',
  ])
  t.same(await told('/refused'), [
    'outcome commit: status 200',
    'session:commit writer',
    'outcome rollback: the commit failed: CheckConstraintViolationException',
  ])
  t.match(heard.of('sqlassist:session:commit')[0]?.error, { code: '23514' }, 'a COMMIT that fails says so')
  t.same(await told('/hijacked'), ['outcome rollback: the reply was hijacked', 'session:rollback writer'])
  t.same(await told('/by-hand'), ['session:rollback writer', 'outcome commit: status 200'])
  heard.forget()
  const call = test.call('POST', '/gone')
  await sleep(100)
  call.abort()
  await call.answer.catch(() => {})
  await test.remains()
  t.match(
    steps(heard)
      .filter(step => step.startsWith('outcome'))
      .slice(0, 1),
    [/^outcome rollback: the client has gone away/],
  )
})

t.test('a scope outside requests tells what became of it', async t => {
  const { test, heard } = await setUp(t, {}, SESSIONS)
  await test.app.sqlAssist.run(db => db.writer.execute('select 1'), { name: 'nightly' })
  t.equal(heard.of('sqlassist:outcome')[0]?.scope.label(), 'nightly')
  await t.rejects(
    test.app.sqlAssist.run(async db => {
      await db.writer.execute('select 1')
      throw new Error('no')
    }),
  )
  await test.app.sqlAssist.run(db => db.writer.execute('select 1'), { commitMode: 'manual' })
  t.same(
    heard.of('sqlassist:outcome').map(({ outcome, reason }) => `${outcome}: ${reason}`),
    ['commit: it returned', 'rollback: it threw', 'rollback: nothing commits by itself (commitMode manual)'],
  )
})

t.test('statements tell where they ran, how long, and how many rows', async t => {
  const { test, heard } = await setUp(t, { engines: { reader: { snapshot: false } } }, STATEMENTS)
  await test.app.sqlAssist.run(async db => {
    db.writer.create(Note, { tag: 'secret-tag', body: 'secret-body' })
    await db.writer.flush()
    const kysely = db.writer.getKysely<{ note: { tag: string; body: string } }>()
    await kysely.updateTable('note').set({ body: 'bound-secret' }).where('tag', '=', 'secret-tag').execute()
    await db.logger.execute("insert into audit (tag) values ('audit-secret'), ('another-secret')")
    await db.writer.commit()
    await db.reader.find(Note, { tag: 'secret-tag' })
    await db.writer.execute("select 'hidden-secret'::integer").catch(() => {})
    await db.writer.rollback()
  })
  const ended = heard.of('sqlassist:statement:end')
  t.match(
    ended.map(({ engine, inTransaction, rows, dialect }) => [engine, inTransaction, rows, dialect]),
    [
      ['writer', true, 1, 'postgresql'],
      ['writer', true, 1, 'postgresql'],
      ['logger', false, 2, 'postgresql'],
      ['reader', false, 1, 'postgresql'],
    ],
  )
  for (const { duration, server } of ended) {
    t.ok(duration !== undefined && duration > 0 && duration < 10_000)
    t.match(server, { name: 'primary', isReplica: false, port: Number, database: String, processId: Number })
  }
  const [failed] = heard.of('sqlassist:statement:error')
  t.match(failed, { rows: undefined, error: { code: '22P02' }, duration: Number })
  const started = heard.of('sqlassist:statement:start')
  t.equal(started.length, 5)
  t.equal(started[0], ended[0], 'the same object, from its start to its end')
  // Whoever prints a message prints no value. (The error is the database's: it quotes some.)
  for (const { scope, error, ...printed } of [...ended, failed as never]) {
    t.notMatch(JSON.stringify(printed), /secret/)
  }
  for (const { sql } of started) t.notMatch(sql, /secret/, sql)
  t.match(
    started.map(message => message.reveal()),
    [{ text: /'secret-tag', 'secret-body'/ }, { parameters: ['bound-secret', 'secret-tag'] }],
  )
})

t.test('a stream is a statement, which ends when it has been read', async t => {
  const { test, heard } = await setUp(t, { engines: { reader: { snapshot: false } } }, STATEMENTS)
  for (const engine of ['writer', 'reader'] as const) {
    heard.forget()
    await test.app.sqlAssist.run(async db => {
      const kysely = db[engine].getKysely<Record<string, never>>()
      const read = async (most: number): Promise<void> => {
        const { sql } = await import('kysely')
        let seen = 0
        for await (const _row of kysely
          .getExecutor()
          .stream(sql`select * from generate_series(1, 10)`.compile(kysely), 4)) {
          if (++seen === most) break
        }
      }
      await read(Number.POSITIVE_INFINITY)
      await read(1)
    })
    t.same(
      heard.of('sqlassist:statement:end').map(({ rows, inTransaction }) => [rows, inTransaction]),
      [
        [10, engine === 'writer'],
        [4, engine === 'writer'],
      ],
      engine,
    )
  }
})

t.test('a subscriber can tell applications apart, and leaves nothing behind', async t => {
  const [one, other] = [await setUp(t, {}, STATEMENTS), await setUp(t, {}, STATEMENTS)]
  await one.test.app.sqlAssist.run(db => db.writer.execute('select 1'))
  t.same([one.heard.of('sqlassist:statement:end').length, other.heard.all.length], [1, 0])
  const stop = observe('sqlassist:leak', () => {})
  t.equal(channel('sqlassist:leak').hasSubscribers, true)
  stop()
  t.equal(channel('sqlassist:leak').hasSubscribers, false)
})
