import { Socket } from 'node:net'
import { defineConfig } from '@mikro-orm/sqlite'
import { context, INVALID_SPAN_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { statusOf, typeOf } from '../../plugins/diagnostics/database-errors.ts'
import { type TracingOptions, traceComments, tracing } from '../../plugins/diagnostics/index.ts'
import { sqlAssist } from '../../src/index.ts'
import {
  type AppOptions,
  createTables,
  eventually,
  Note,
  nativePool,
  ormConfig,
  testApp,
} from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { both } from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'
import { recordSpans, spanRequests } from './spans.ts'

const SECRET = 'hunter2 of Ann'

const database = await testDatabase(t)
await createTables(database)

async function traced(t: Test, options: TracingOptions = {}, more: AppOptions = {}) {
  const spans = recordSpans(t)
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit', abortGrace: 20 },
    ...more,
    before: spanRequests,
    routes(app) {
      app.register(tracing, options)
      app.post('/notes', async (request, reply) => {
        await request.db.reader.findOne(Note, { body: SECRET })
        await request.db.writer.insert(Note, { tag: 'a', body: SECRET })
        return reply.code(201).send({})
      })
      app.get('/wrong', async request => {
        await request.db.writer.execute('select ?::int', [SECRET]).catch(() => {})
        return {}
      })
      more.routes?.(app)
    },
  })
  return { ...test, ...spans, port: Number(new URL(database.writerUrl).port) }
}

t.test('a statement is a span of its request, with the attributes of the conventions', async t => {
  const test = await traced(t)
  const answer = await test.ask('POST', '/notes')
  t.equal(answer.status, 201)
  // The reader's snapshot ends beside the answer.
  const spans = test.ended().filter(({ kind, name }) => kind === SpanKind.CLIENT && name !== 'ROLLBACK')
  t.same(spans.map(({ name, attributes }) => `${name} ${attributes['sqlassist.engine']}`).sort(), [
    'COMMIT writer',
    'insert "note" writer',
    'select "note" reader',
  ])
  for (const span of spans) {
    t.equal(
      span.parentSpanContext?.spanId,
      answer.headers['x-span'],
      `${span.name} is a child of the request`,
    )
    t.equal(span.status.code, SpanStatusCode.UNSET)
  }
  const insert = spans.find(({ name }) => name === 'insert "note"')
  t.same(insert?.attributes, {
    'db.system.name': 'postgresql',
    'db.namespace': database.name,
    'server.address': new URL(database.writerUrl).hostname,
    ...(test.port === 5432 ? {} : { 'server.port': test.port }),
    'db.query.summary': 'insert "note"',
    'db.query.text':
      'insert into "note" ("tag", "body") values ($1, $2) returning "id", "kind", "created_at"',
    'sqlassist.engine': 'writer',
    'sqlassist.server': 'primary',
  })
  const commit = spans.find(({ name }) => name === 'COMMIT')
  t.match(commit?.attributes, {
    'db.system.name': 'postgresql',
    'db.namespace': database.name,
    'db.operation.name': 'COMMIT',
    'db.query.summary': 'COMMIT',
    'sqlassist.engine': 'writer',
    'sqlassist.server': 'primary',
  })
  t.notMatch(
    JSON.stringify(spans.map(({ attributes, name, events }) => ({ attributes, name, events }))),
    SECRET,
  )
})

t.test('a span lasts as long as what it is about', async t => {
  const test = await traced(t)
  const before = Date.now()
  await test.inSpan('job', () =>
    test.app.sqlAssist.run(db =>
      test.inSpan('step', async () => {
        await db.writer.execute('select pg_sleep(0.1)::text')
        await db.writer.insert(Note, { tag: 'a', body: 'slow' })
      }),
    ),
  )
  const after = Date.now()
  const spans = new Map(test.ended().map(span => [span.name, span]))
  const [sleep, commit, job] = ['select', 'COMMIT', 'job'].map(name => {
    const span = spans.get(name)
    const ms = ([seconds, nanos]: [number, number] = [0, 0]): number => seconds * 1_000 + nanos / 1e6
    return { from: ms(span?.startTime), to: ms(span?.endTime), duration: ms(span?.duration), span }
  })
  t.ok(Number(sleep?.duration) >= 99 && Number(sleep?.duration) < 5_000, `${sleep?.duration} ms`)
  t.ok(Number(commit?.duration) >= 1_390, `${commit?.duration} ms`)
  t.ok(Number(commit?.from) >= Number(sleep?.to) - 5)
  t.ok(Number(commit?.from) >= before - 5 && Number(commit?.to) <= after + 5)
  t.equal(sleep?.span?.parentSpanContext?.spanId, spans.get('step')?.spanContext().spanId)
  t.equal(
    commit?.span?.parentSpanContext?.spanId,
    job?.span?.spanContext().spanId,
    'of the span that is active at its end',
  )
})

t.test('a failed statement has the code of its error, and nothing that the server quotes', async t => {
  const test = await traced(t)
  await test.ask('GET', '/wrong')
  const spans = test.ended()
  const failed = spans.find(({ name }) => name === 'select')
  t.match(failed?.attributes, { 'error.type': '22P02', 'db.response.status_code': '22P02' })
  t.same(failed?.status, { code: SpanStatusCode.ERROR })
  t.notMatch(
    JSON.stringify(spans.map(({ attributes, status, events }) => ({ attributes, status, events }))),
    SECRET,
  )
  await t.rejects(
    test.app.sqlAssist.run(db => db.writer.insert(Note, { tag: 'a', body: 'refused' })),
    /refused at commit/,
  )
  const commit = test.ended().find(({ name }) => name === 'COMMIT')
  t.match(commit?.attributes, { 'error.type': '23514', 'db.response.status_code': '23514' })
  t.equal(commit?.status.code, SpanStatusCode.ERROR)
})

t.test('the text of a span has an end', async t => {
  const test = await traced(t)
  await test.app.sqlAssist.run(db => db.writer.execute(`select 1 where 1 in (${'1, '.repeat(10_000)}1)`))
  const text = String(test.ended().find(({ name }) => name === 'select')?.attributes['db.query.text'])
  t.match(text, /^select \$1 where \$2 in \(\$3, .*… \(\d+ characters\)$/)
  t.ok(text.length > 8_000 && text.length < 8_100, String(text.length))
})

t.test('a statement without an operation has the name of its database', async t => {
  const test = await traced(t)
  await test.app.sqlAssist.run(db => db.writer.execute('-- nothing'))
  const span = test
    .ended()
    .find(({ kind, name }) => kind === SpanKind.CLIENT && !/COMMIT|ROLLBACK/.test(name))
  t.equal(span?.name, database.name)
  t.notOk(span && 'db.query.summary' in span.attributes)
})

t.test('the port that servers have by default is not said', async t => {
  const { hostname, port } = new URL(database.writerUrl)
  /** A way to the server that hides where it is, as through a tunnel. */
  class Tunnel extends Socket {
    override connect(): this {
      return super.connect(Number(port), hostname)
    }
  }
  const url = new URL(database.writerUrl)
  url.port = '5432'
  const orm = ormConfig(url.href, { driverOptions: { stream: () => new Tunnel() } })
  const test = await traced(t, {}, { engines: { writer: { orm } } })
  await test.app.sqlAssist.run(db => db.writer.execute('select 1'))
  const span = test.ended().find(({ name }) => name === 'select')
  t.equal(span?.attributes['server.address'], hostname)
  t.notOk(span && 'server.port' in span.attributes)
})

t.test('what is rolled back when a client has gone away is still a part of its trace', async t => {
  const reached = Promise.withResolvers<void>()
  const test = await traced(
    t,
    {},
    {
      routes(app) {
        app.get('/endless', async request => {
          await request.db.writer.execute('select 1')
          reached.resolve()
          await new Promise(() => {})
        })
      },
    },
  )
  const call = test.call('GET', '/endless')
  await reached.promise
  call.abort()
  const found: ReturnType<typeof test.ended> = []
  t.ok(
    await eventually(() => {
      found.push(...test.ended())
      return found.some(({ name }) => name === 'ROLLBACK')
    }),
  )
  const [statement, rollback] = ['select', 'ROLLBACK'].map(name => found.find(span => span.name === name))
  t.ok(rollback?.parentSpanContext?.spanId)
  t.equal(rollback?.parentSpanContext?.spanId, statement?.parentSpanContext?.spanId)
})

t.test('waiting for a connection is a span, no call of a database', async t => {
  const test = await traced(t, {}, { max: 1, engines: { writer: { acquireTimeout: 50 } } })
  const { sqlAssist } = test.app
  await sqlAssist.run(async db => {
    await db.writer.execute('select 1')
    await t.rejects(sqlAssist.run(late => late.writer.execute('select 1')))
  })
  await sqlAssist.run(db => db.writer.execute('select 1'))
  const waits = test.ended().filter(({ name }) => name === 'pool wait')
  const failed = waits.filter(({ status }) => status.code === SpanStatusCode.ERROR)
  t.match(failed, [
    {
      kind: SpanKind.INTERNAL,
      attributes: { 'sqlassist.engine': 'writer', 'error.type': 'SQLA_ERR_POOL_TIMEOUT' },
    },
  ])
  t.notOk(failed[0] && 'db.response.status_code' in failed[0].attributes, 'the database has not answered')
  t.ok(waits.every(({ duration: [seconds, nanos] }) => seconds > 0 || nanos >= 999_000))
  await (await nativePool(test)).end()
  await t.rejects(sqlAssist.run(db => db.writer.execute('select 1')))
  t.match(
    test.ended().map(({ name, status }) => [name, status.code]),
    [['pool wait', SpanStatusCode.ERROR]],
    'who is refused at once',
  )
})

t.test('the steps of a commit in two phases are spans', async t => {
  const spans = recordSpans(t)
  const two = await twoDatabases(t, {}, { twoPhase: true }, app => app.register(tracing))
  await spans.inSpan('transfer', () => two.run(db => both(db, 1, 2)))
  const ended = spans.ended()
  const transfer = ended.find(({ name }) => name === 'transfer')
  const steps = ended.filter(({ name }) => /PREPARE|decision/.test(name))
  t.same(steps.map(({ name, attributes }) => `${name} ${attributes['sqlassist.engine']}`).sort(), [
    'COMMIT PREPARED a',
    'COMMIT PREPARED b',
    'INSERT decision a',
    'PREPARE TRANSACTION a',
    'PREPARE TRANSACTION b',
  ])
  for (const step of steps) {
    t.equal(step.parentSpanContext?.spanId, transfer?.spanContext().spanId, step.name)
    const { name } = step.attributes['sqlassist.engine'] === 'a' ? two.a : two.b
    t.match(step.attributes, {
      'db.system.name': 'postgresql',
      'db.namespace': name,
      'sqlassist.server': 'primary',
    })
  }
})

t.test('the number of returned rows, for those who want it', async t => {
  const test = await traced(t, { returnedRows: true })
  await test.app.sqlAssist.run(async db => {
    await db.writer.execute('select generate_series(1, 3)')
    await db.writer.execute("update note set tag = 'b' where false")
    await db.writer.insert(Note, { tag: 'c', body: 'c' })
  })
  const rows = test.ended().map(({ name, attributes }) => [name, attributes['db.response.returned_rows']])
  t.same(
    rows.filter(([name]) => !/pool|COMMIT/.test(String(name))),
    [
      ['select', 3],
      ['update note', undefined],
      ['insert "note"', 1],
    ],
  )
})

t.test('an SDK that is registered later hears from then on, one that has gone no more', async t => {
  const test = await traced(t)
  trace.disable()
  context.disable()
  await test.app.sqlAssist.run(db => db.writer.execute('select 1'))
  t.same(test.ended(), [])
  const later = recordSpans(t)
  await later.inSpan('job', () => test.app.sqlAssist.run(db => db.writer.execute('select 1')))
  t.match(
    later
      .ended()
      .map(({ name }) => name)
      .filter(name => name !== 'pool wait'),
    ['select', 'COMMIT', 'job'],
  )
  t.same(test.ended(), [])
})

t.test('SQLite has no address, and its codes', async t => {
  const spans = recordSpans(t)
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  await app.register(tracing)
  await app.sqlAssist.run(async db => {
    await db.writer.execute('create table note (id integer primary key)')
    await db.writer.execute('insert into note (id) values (1)')
    await db.writer.execute('insert into note (id) values (1)').catch(() => {})
  })
  const ended = spans.ended()
  t.same(ended.find(({ name }) => name === 'create table note')?.attributes, {
    'db.system.name': 'sqlite',
    'db.namespace': ':memory:',
    'db.query.summary': 'create table note',
    'db.query.text': 'create table note (id integer primary key)',
    'sqlassist.engine': 'writer',
    'sqlassist.server': 'primary',
  })
  t.match(ended.find(({ status }) => status.code === SpanStatusCode.ERROR)?.attributes, {
    'error.type': /^SQLITE_/,
    'db.response.status_code': /^SQLITE_/,
  })
})

t.test('the codes of the databases are told from those of others', async t => {
  class Broken extends Error {}
  for (const [error, type, status] of [
    [{ code: '23505' }, '23505', '23505'],
    [{ code: 'P0001' }, 'P0001', 'P0001'],
    [{ code: 'EPIPE' }, 'EPIPE', undefined],
    [{ code: 'ECONNRESET', errno: -104 }, 'ECONNRESET', undefined],
    [{ code: 'ER_DUP_ENTRY', errno: 1062, sqlState: '23000' }, '1062', '1062'],
    [{ code: 'SQLA_ERR_POOL_TIMEOUT' }, 'SQLA_ERR_POOL_TIMEOUT', undefined],
    [new Broken('x'), 'Broken', undefined],
    ['thrown', '_OTHER', undefined],
    [null, '_OTHER', undefined],
  ] as const) {
    t.equal(typeOf(error), type)
    t.equal(statusOf(error), status)
  }
})

t.test('the comment of a statement names the active span, and what it is sent for', async t => {
  const { inSpan } = recordSpans(t)
  const scope = { label: () => 'cleaning up', request: undefined, isEnding: false, log: undefined as never }
  t.same(traceComments(scope), { action: 'cleaning up', traceparent: undefined }, 'there is no span')
  const broken = trace.setSpan(context.active(), trace.wrapSpanContext(INVALID_SPAN_CONTEXT))
  t.same(context.with(broken, () => traceComments(scope)).traceparent, undefined, 'nor is that one')
  const seen: string[] = []
  const test = await testApp(t, database, {
    plugin: { sqlComments: traceComments },
    before: spanRequests,
    routes: app =>
      app.get('/notes/:tag', async request => {
        seen.push(trace.getActiveSpan()?.spanContext().traceId ?? '')
        return request.db.reader.execute('select query from pg_stat_activity where pid = pg_backend_pid()')
      }),
  })
  const answer = await test.ask('GET', '/notes/a')
  const span = answer.headers['x-span']
  t.match(answer.body, `/*route='%2Fnotes%2F%3Atag',traceparent='00-${seen[0]}-${span}-01'*/`)
  await inSpan('job', async span => {
    const { traceId, spanId } = span.spanContext()
    const [row] = await test.app.sqlAssist.run(
      db =>
        db.writer.execute<{ query: string }[]>(
          'select query from pg_stat_activity where pid = pg_backend_pid()',
        ),
      { name: 'cleaning up' },
    )
    t.match(row?.query, `/*action='cleaning%20up',traceparent='00-${traceId}-${spanId}-01'*/`)
  })
})
