import { CompiledQuery } from 'kysely'
import t, { type Test } from 'tap'
import { type StatementLogOptions, statementLog } from '../../plugins/diagnostics/index.ts'
import { observe } from '../../src/index.ts'
import {
  type AppOptions,
  createTables,
  eventually,
  type LogLine,
  Note,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

// What the plugin statementLog writes, on a real server. Pino's numbers: 20 debug, 40 warn, 50 error.

const SECRET = 'hunter2 of Ann'

const database = await testDatabase(t)
await createTables(database)

interface Logged extends TestApp {
  /** The lines about databases, since the last call. */
  said(): LogLine[]
  /** All that was logged, as it was written. */
  output(): string
}

async function logged(
  t: Test,
  options: StatementLogOptions = {},
  more: AppOptions = {},
  level = 'debug',
): Promise<Logged> {
  const lines: string[] = []
  const stream = { write: (line: string) => lines.push(line) }
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    server: { logger: { level, stream } },
    ...more,
    routes(app) {
      app.register(statementLog, options)
      app.post<{ Body: { body: string } }>('/notes', async (request, reply) => {
        await request.db.writer.insert(Note, { tag: 'a', body: request.body.body })
        return reply.code(201).send({})
      })
      app.post<{ Body: { body: string } }>('/wrong', async request => {
        // The server quotes the value in its message.
        await request.db.writer.execute('select ?::int', [request.body.body]).catch(() => {})
        return {}
      })
      app.get('/missing', async (request, reply) => {
        await request.db.writer.findOne(Note, { body: SECRET })
        return reply.code(404).send({})
      })
      app.get('/sleep', async request => request.db.writer.execute('select pg_sleep(0.15)::text'))
      more.routes?.(app)
    },
  })
  let from = 0
  return {
    ...test,
    said() {
      const fresh = lines.slice(from).map(line => JSON.parse(line) as LogLine)
      from = lines.length
      return fresh.filter(({ engine, reason }) => engine !== undefined || reason !== undefined)
    },
    output: () => lines.join(''),
  }
}

/** On a machine that is busy even a fast one may be slow once. */
async function fastIsSilent(test: Logged): Promise<boolean> {
  for (let tries = 0; tries < 20; tries++) {
    test.said()
    await test.ask('POST', '/notes', { body: { body: 'x' } })
    if (test.said().length === 0) return true
  }
  return false
}

const sleepIn = (lines: readonly LogLine[]): LogLine | undefined =>
  lines.find(({ sql }) => String(sql).includes('pg_sleep'))

t.test('slow statements are logged with the request, the fast ones are not', async t => {
  const test = await logged(t, { slowerThan: 100 })
  t.ok(await fastIsSilent(test))
  await test.ask('GET', '/sleep')
  const line = sleepIn(test.said())
  t.match(line, {
    level: 40,
    msg: 'a slow statement',
    reqId: /^req-/,
    engine: 'writer',
    server: 'primary',
    rows: 1,
    inTransaction: true,
    sql: /^select pg_sleep\(\$1\)::text$/,
  })
  t.ok(Number(line?.duration) >= 145 && Number(line?.duration) < 5_000, `${line?.duration} ms`)
  t.match(`${line?.duration}`, /^\d+(\.\d{1,2})?$/, 'in hundredths of a millisecond')
  t.notOk(line !== undefined && 'parameters' in line)
})

t.test('what takes 250 ms is slow unless something else is said, and with Infinity nothing is', async t => {
  const test = await logged(t)
  const never = await logged(t, { slowerThan: Number.POSITIVE_INFINITY })
  t.ok(await fastIsSilent(test))
  for (const { app } of [test, never]) {
    await app.sqlAssist.run(db => db.writer.execute('select pg_sleep(0.25)::text'))
  }
  t.match(sleepIn(test.said()), { level: 40, msg: 'a slow statement' })
  t.same(never.said(), [])
})

t.test('all statements, how the transaction ends, and why nothing is committed', async t => {
  const test = await logged(t, { all: true, slowerThan: Number.POSITIVE_INFINITY })
  const lines = () =>
    test
      .said()
      .map(({ level, msg, sql, reason }) => `${level} ${msg}${sql || reason ? `: ${sql ?? reason}` : ''}`)
  await test.ask('POST', '/notes', { body: { body: SECRET } })
  t.same(lines(), [
    '20 a statement: insert into "note" ("tag", "body") values ($1, $2) returning "id", "kind", "created_at"',
    '20 COMMIT',
  ])
  await test.ask('GET', '/missing')
  const [read, ...ending] = lines()
  t.match(read, /^20 a statement: select .* from "note" .* "n0"\."body" = \$1 limit \$2$/)
  t.same(ending, ['20 nothing will be committed: status 404 does not commit (autocommit)', '20 ROLLBACK'])
  t.notMatch(test.output(), SECRET)
})

t.test('COMMIT can be slow, or fail', async t => {
  const test = await logged(t, { slowerThan: 0 })
  await test.ask('POST', '/notes', { body: { body: 'x' } })
  t.same(
    test.said().map(({ level, msg }) => `${level} ${msg}`),
    ['40 waited long for a connection', '40 a slow statement', '40 a slow COMMIT'],
  )
  const failing = await logged(t, { failedLevel: 'info' })
  t.equal((await failing.ask('POST', '/notes', { body: { body: 'refused' } })).status, 500)
  t.match(failing.said(), [{ level: 30, msg: 'COMMIT failed', engine: 'writer', code: '23514' }])
})

t.test('what has failed is logged with its code, and without what the server quotes', async t => {
  const test = await logged(t, { all: true, slowerThan: Number.POSITIVE_INFINITY })
  await test.ask('POST', '/wrong', { body: { body: SECRET } })
  const failed = test.said().find(({ msg }) => msg === 'a statement failed')
  t.match(failed, { level: 40, code: '22P02', engine: 'writer', sql: 'select $1::int' })
  t.same(failed && 'err' in failed, false)
  t.notMatch(test.output(), SECRET)
  const loud = await logged(t, { failedLevel: 'error' })
  const quiet = await logged(t, { failedLevel: 'silent' })
  await loud.ask('POST', '/wrong', { body: { body: SECRET } })
  await quiet.ask('POST', '/wrong', { body: { body: SECRET } })
  t.match(loud.said(), [{ level: 50, msg: 'a statement failed' }])
  t.same(quiet.said(), [])
})

t.test('values are logged when somebody asks for them, cut where they are long', async t => {
  const test = await logged(t, { all: true, parameters: true, maxLength: 40 })
  await test.ask('POST', '/wrong', { body: { body: SECRET } })
  const failed = test.said().find(({ msg }) => msg === 'a statement failed')
  t.match(failed, { err: { message: new RegExp(SECRET) } })
  t.match(`${failed?.sql} ${JSON.stringify(failed?.parameters)}`, SECRET)
  await test.app.sqlAssist.run(db =>
    db.writer
      .getKysely<{ note: { tag: unknown; body: unknown } }>()
      .insertInto('note')
      .values([
        { tag: 'a'.repeat(500), body: JSON.stringify({ a: 1 }) },
        ...Array.from({ length: 40 }, () => ({ tag: Buffer.from('abc'), body: 'b' })),
      ])
      .execute(),
  )
  const insert = test.said().find(({ parameters }) => Array.isArray(parameters) && parameters.length > 2)
  t.match(insert?.sql, /^insert into "note" \("tag", "body"\) value… \(\d+ characters\)$/)
  const parameters = insert?.parameters as string[]
  t.equal(parameters[0], `${'a'.repeat(200)}… (500 characters)`)
  t.same(parameters.slice(1, 4), ['{"a":1}', '(3 bytes)', 'b'])
  t.equal(parameters.length, 51)
  t.equal(parameters.at(-1), '(32 more)')
  const values = [['a', 'b'], ['a'.repeat(500)], null, 'a'.repeat(200), `${'a'.repeat(199)}😀b`]
  await test.app.sqlAssist.run(db =>
    db.writer
      .getKysely()
      .executeQuery(CompiledQuery.raw('select $1::text[], $2::text[], $3::text, $4::text, $5::text', values)),
  )
  const select = test.said().find(({ msg }) => msg === 'a statement')
  const [list, longList, ...texts] = (select?.parameters ?? []) as unknown[]
  t.equal(list, "[ 'a', 'b' ]")
  t.equal(longList, `[ '${'a'.repeat(197)}… (506 characters)`)
  t.same(texts, [null, 'a'.repeat(200), `${'a'.repeat(199)}… (202 characters)`], 'no half of a character')
})

t.test('with a level that is off the text of a statement is not read', async t => {
  let reads = 0
  const stop = observe('sqlassist:statement:start', message => {
    Object.defineProperty(message, 'sql', { get: () => `read ${++reads}` })
  })
  t.teardown(stop)
  const test = await logged(t, { all: true, slowerThan: Number.POSITIVE_INFINITY }, {}, 'info')
  await test.ask('POST', '/notes', { body: { body: SECRET } })
  t.same(test.said(), [])
  t.equal(reads, 0)
  const debugging = await logged(t, { all: true })
  await debugging.ask('POST', '/notes', { body: { body: SECRET } })
  t.match(debugging.said()[0], { sql: 'read 1' })
})

t.test("a logger of the application's own need not say which levels are on", async t => {
  const lines: string[] = []
  const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'].map(level => [
    level,
    (_fields: object, text: string) => lines.push(`${level} ${text}`),
  ])
  const own = { ...Object.fromEntries(levels), child: () => own }
  const { app } = await logged(
    t,
    { failedLevel: 'error' },
    { server: { logger: false, loggerInstance: own } },
  )
  const isFast = async (): Promise<boolean> => {
    lines.length = 0
    await app.sqlAssist.run(db => db.writer.execute('select 1'))
    return lines.length === 0
  }
  t.ok(await eventually(isFast), `${lines}`)
  await t.rejects(app.sqlAssist.run(db => db.writer.execute('select 1/0')))
  t.ok(lines.includes('error a statement failed'), `${lines}`)
})

t.test('who waits for a connection in vain is logged', async t => {
  const test = await logged(t, {}, { max: 1, engines: { writer: { acquireTimeout: 50 } } })
  await test.app.sqlAssist.run(async db => {
    await db.writer.execute('select 1')
    await t.rejects(test.app.sqlAssist.run(late => late.writer.execute('select 1')))
  })
  t.match(test.said(), [
    { level: 40, msg: 'waited for a connection in vain', engine: 'writer', code: 'SQLA_ERR_POOL_TIMEOUT' },
  ])
})

t.test('an application hears its own statements only', async t => {
  const one = await logged(t, { slowerThan: 0 })
  const other = await logged(t, { slowerThan: 0 })
  await one.ask('POST', '/notes', { body: { body: 'x' } })
  t.ok(one.said().length > 0)
  t.same(other.said(), [])
})
