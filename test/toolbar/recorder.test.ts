import { channel } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createTables, eventually, Note } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { recordedApp } from './recorded-app.ts'

const db = await testDatabase(t)
await createTables(db)
await db.sql("insert into note (tag, body) values ('seed', 'one'), ('seed', 'two'), ('seed', 'three')")

/** Where a marker of this file's source is: `test/toolbar/recorder.test.ts:12`. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const source = readFileSync(fileURLToPath(import.meta.url), 'utf8').split('\n')
const lineOf = (marker: string) =>
  `test/toolbar/recorder.test.ts:${source.findIndex(line => line.endsWith(`// ${marker}`)) + 1}`

const test = await recordedApp(t, db, {
  plugin: { twoPhase: false } as never,
  routes(app) {
    app.get('/notes/:tag', async request => {
      const notes = await request.db.writer.find(Note, { tag: 'seed' }) // the find
      const bodies: unknown[] = []
      for (const { id } of notes) {
        bodies.push(await request.db.reader.execute('select body from note where id = ?', [id])) // the loop
      }
      return bodies
    })
    app.post<{ Querystring: { status?: string } }>('/notes', async (request, reply) => {
      request.db.writer.create(Note, { tag: 'posted', body: 'first' })
      await request.db.writer.flush()
      request.db.writer.create(Note, { tag: 'posted', body: 'second' })
      const [known] = await request.db.writer.find(
        Note,
        { tag: 'seed' },
        { limit: 1, flushMode: 'commit' as never },
      )
      if (known !== undefined) known.body = 'another'
      return reply.code(Number(request.query.status ?? 200)).send({})
    })
    app.get('/plain', async () => 'plain')
    app.get('/many', async request => {
      for (let n = 0; n < 12; n++) await request.db.writer.execute('select ?::int', [n])
      await request.db.writer.execute(`select 1 /* */ ${' '.repeat(100_000)}`)
      return {}
    })
    app.get('/throws', async request => {
      await request.db.writer.execute('select 1')
      throw new Error('oh')
    })
    app.get('/on-behalf', async request => {
      await request.db.writer.execute('select 1')
      await app.sqlAssist.run(scope => scope.writer.execute('select 2'), { request, name: 'on behalf' })
      return {}
    })
    app.get('/hijacked', async (request, reply) => {
      reply.hijack()
      reply.raw.write('HTTP')
      await request.db.writer.execute('select 1')
    })
  },
})
const { recorder } = test

t.test('a request is recorded with its statements, and where they came from', async t => {
  const before = Date.now()
  await test.ask('GET', '/notes/private?q=secret&q=other&flag', {})
  const entry = await test.last()
  t.match(entry, {
    kind: 'request',
    method: 'GET',
    route: '/notes/:tag',
    url: '/notes/private?q&q&flag',
    status: 200,
    dropped: 0,
  })
  t.ok(entry.startedAt >= before && entry.startedAt <= Date.now())
  t.ok((entry.duration ?? 0) > 0)
  t.same(
    entry.statements.map(({ number, engine, server, rows, repeats }) => ({
      number,
      engine,
      server,
      rows,
      repeats,
    })),
    [
      { number: 1, engine: 'writer', server: 'primary', rows: 3, repeats: 1 },
      ...[2, 3, 4].map(number => ({ number, engine: 'reader', server: 'primary', rows: 1, repeats: 3 })),
    ],
  )
  const [find, first] = entry.statements
  t.match(find?.sql, /^select .* from "note" as "n0" where "n0"\."tag" = \$1$/)
  t.equal(first?.sql, 'select body from note where id = $1')
  t.ok(find?.origin?.startsWith(`${lineOf('the find')}:`), `${find?.origin} ${lineOf('the find')}`)
  t.ok(first?.origin?.startsWith(`${lineOf('the loop')}:`), String(first?.origin))
  for (const { at, duration, host, processId, dialect, error, text, parameters } of entry.statements) {
    t.ok(at >= 0 && (duration ?? -1) >= 0 && at + (duration ?? 0) <= (entry.duration ?? 0) + 1)
    t.ok(host !== undefined && (processId ?? 0) > 0)
    t.same([dialect, error, text, parameters], ['postgresql', undefined, undefined, undefined])
  }
  t.ok(find?.inTransaction)
  t.same(
    entry.sessions.map(({ engine, status, identityMap, unflushed }) => ({
      engine,
      status,
      identityMap,
      unflushed,
    })),
    [
      { engine: 'writer', status: 'END', identityMap: 3, unflushed: [] },
      { engine: 'reader', status: 'END', identityMap: 0, unflushed: [] },
    ],
  )
  t.same(entry.outcome, { is: 'commit', reason: 'status 200' })
  t.match(entry.waits, [{ engine: 'writer', error: undefined }, { engine: 'reader' }])
})

t.test('a commit and a rollback are told apart, and a rollback shows what it has thrown away', async t => {
  await test.ask('POST', '/notes', { body: {} })
  const committed = await test.last()
  t.same(committed.outcome, { is: 'commit', reason: 'status 200' })
  t.match(committed.sessions, [{ identityMap: 3, unflushed: [], ends: [{ is: 'commit', error: undefined }] }])
  await test.ask('POST', '/notes?status=409', { body: {} })
  const rolledBack = await test.last()
  t.equal(rolledBack.status, 409)
  t.match(rolledBack.outcome, { is: 'rollback', reason: /409/ })
  t.match(rolledBack.sessions, [
    {
      identityMap: 2,
      unflushed: ['create Note', 'update Note'],
      ends: [{ is: 'rollback', error: undefined }],
    },
  ])
  await test.ask('GET', '/throws')
  t.match(await test.last(), { status: 500, outcome: { is: 'rollback', reason: 'the request threw' } })
})

t.test('a scope outside requests is an entry; one for a request belongs to its entry', async t => {
  await test.app.sqlAssist.run(scope => scope.writer.execute('select 3'), { name: 'nightly' })
  const scope = await test.last()
  t.match(scope, { kind: 'scope', method: '', url: '', route: 'nightly', status: undefined })
  t.match(scope.statements, [{ sql: 'select $1', origin: /^test.toolbar.recorder\.test\.ts:\d+:\d+$/ }])
  t.match(scope.outcome, { is: 'commit' })
  const count = recorder.entries().length
  await test.app.sqlAssist.run(() => {}, { name: 'without a session' })
  t.equal(recorder.entries().length, count, 'one that uses no database is no entry')
  await test.ask('GET', '/on-behalf')
  const entry = await test.last()
  t.equal(entry.route, '/on-behalf')
  t.equal(entry.statements.length, 2)
  t.equal(entry.sessions.length, 2)
  t.equal(recorder.entries().length, count + 1)
})

t.test('requests without a database are entries as well, and ids have no gaps', async t => {
  recorder.clear()
  t.same(recorder.entries(), [])
  const changes: object[] = []
  const stop = recorder.onChange(change => changes.push(change))
  for (let n = 0; n < 3; n++) await test.ask('GET', '/plain')
  await test.ask('GET', '/nowhere?token=secret')
  await eventually(() => recorder.entries().every(({ duration }) => duration !== undefined))
  stop()
  const entries = recorder.entries()
  t.same(
    entries.map(({ route, status, url }) => [route, status, url]),
    [['(no route)', 404, '/nowhere?token'], ...[1, 2, 3].map(() => ['/plain', 200, '/plain'])],
  )
  const newest = entries[0]?.id ?? 0
  t.same(
    entries.map(({ id }) => id),
    [newest, newest - 1, newest - 2, newest - 3],
  )
  t.same(changes.at(-1), { kind: 'entry', id: newest })
  t.equal(recorder.get(newest), entries[0])
  t.equal(recorder.get(newest + 1), undefined)
  const heard = changes.length
  await test.ask('GET', '/plain')
  t.equal(changes.length, heard, 'who has left hears no more')
})

t.test('the last requests are kept, and of each so many statements of so many characters', async t => {
  const small = await recordedApp(t, db, {
    recorder: { limit: 3, statements: 10 },
    routes(app) {
      app.get('/many', async request => {
        for (let n = 0; n < 9; n++) await request.db.writer.execute('select ?::int', [n])
        await request.db.writer.execute(`select 1 ${' '.repeat(100_000)}`)
        for (let n = 0; n < 4; n++) await request.db.writer.execute('select ?::int', [n])
        return {}
      })
      app.get('/long', async request => {
        for (let n = 0; n < 40; n++)
          await request.db.writer.execute(`select ${n} as c${n}${'x'.repeat(30_000)}`)
        return {}
      })
      app.get('/endless', (request, reply) => {
        reply.hijack()
        reply.raw.write('HTTP/1.1 200 OK\r\n\r\n')
        void go(request)
      })
      const go = async (request: {
        db: typeof app extends never ? never : import('../../src/index.ts').Db
      }) => {
        for (let n = 0; n < 100 && !isOver; n++) {
          await request.db.writer.execute('select 1')
          await sleep(5)
        }
      }
    },
  })
  let isOver = false
  t.teardown(() => {
    isOver = true
  })
  await small.ask('GET', '/many')
  const many = await small.last()
  t.equal(many.statements.length, 10)
  t.equal(many.dropped, 4)
  t.equal(many.statements[0]?.repeats, 9, 'from another line it is no repetition')
  t.equal(many.statements[9]?.sql.length, 20_001, 'with a sign that there was more')
  await small.ask('GET', '/long')
  const long = await small.last()
  const kept = long.statements.reduce((sum, { sql }) => sum + sql.length, 0)
  t.ok(kept > 400_000 / 2 && kept <= 500_000, `${kept} characters of 40 statements`)
  t.equal(long.statements.length + long.dropped, 40)

  const endless = small.call('GET', '/endless')
  await eventually(() => small.recorder.entries()[0]?.route === '/endless')
  const open = small.recorder.entries()[0]
  for (let n = 0; n < 3; n++) await small.ask('GET', '/long')
  const ids = small.recorder.entries().map(({ id }) => id)
  t.equal(ids.length, 3)
  t.equal(small.recorder.get(open?.id ?? 0), undefined)
  const before = open?.statements.length
  await sleep(50)
  t.equal(open?.statements.length, before, 'what a forgotten request still does is not kept')
  t.same(
    small.recorder.entries().map(({ id }) => id),
    ids,
    'and does not bring it back',
  )
  endless.abort()
})

t.test('what plugins say of a request is in its entry', async t => {
  const other = await recordedApp(t, db, {
    routes(app) {
      const source = app.sqlAssist
      const say = (name: string, message: object) =>
        channel(`sqlassist:${name}`).publish({ source, ...message })
      app.get('/', async request => {
        for (let n = 0; n < 3; n++) say('flag', { request, name: 'new-ui', value: true, reason: 'DEFAULT' })
        say('flag', { request, name: 'color', value: { shade: 'x'.repeat(9_999) }, reason: 'DEFAULT' })
        say('flag', { request: undefined, name: 'nobody', value: true })
        say('segments', { request, keys: ['staff'] })
        say('segments', { request, keys: ['staff', 'beta'] })
        say('events', {
          request,
          engine: 'writer',
          events: [{ topic: 'Registered', originatorId: 'a', originatorVersion: 1, state: 'secret' }],
        })
        say('subscription', { name: 'mails', position: '7', state: 'running', error: undefined })
        say('subscription', {
          name: 'mails',
          position: '8',
          state: 'failed',
          error: 'no user ann@example.com',
        })
        say('flag', { source: {}, request, name: 'of another application', value: 1 })
        // Nothing that a plugin says may end the process.
        say('segments', { request, keys: undefined })
        return {}
      })
    },
  })
  await other.ask('GET', '/')
  const entry = await other.last()
  t.same(entry.flags[0], { name: 'new-ui', value: 'true', times: 3 })
  t.equal(entry.flags.length, 2)
  t.ok((entry.flags[1]?.value.length ?? 9_999) < 600)
  t.same(entry.segments, ['staff', 'beta'])
  t.same(entry.events, [{ topic: 'Registered', originatorId: 'a', originatorVersion: 1 }])
  t.match(other.recorder.subscriptions(), [{ name: 'mails', position: '8', state: 'failed' }])
  t.notMatch(other.recorder.subscriptions()[0]?.error, 'ann@')
  t.equal(other.logs.filter(({ msg }) => msg === 'the toolbar could not record something').length, 1)
  t.same(
    recorder.entries().some(({ flags }) => flags.length > 0),
    false,
    'another application of the process hears nothing of it',
  )
})

t.test('requests of routes that were registered before are heard of when they use a database', async t => {
  const late = await recordedApp(t, db, {
    before(app) {
      app.register(async () => {})
    },
    routes() {},
  })
  const request = { method: 'GET', url: '/early?a=b', routeOptions: { url: '/early' }, raw: {} }
  await late.app.sqlAssist.run(scope => scope.writer.execute('select 1'), { request })
  t.match(await late.last(), { kind: 'request', method: 'GET', route: '/early', url: '/early?a' })
})

t.test('the steps of a commit in two phases are in the entry of their request', async t => {
  const two = await recordedApp(t, db, {
    plugin: { twoPhase: true },
    engines: { second: { orm: (await import('../support/app.ts')).ormConfig(db.writerUrl) } },
    routes(app) {
      app.post('/both', async request => {
        const scope = request.db as unknown as Record<string, typeof request.db.writer>
        await scope.writer?.execute("insert into note (tag, body) values ('two', 'a')")
        await scope.second?.execute("insert into note (tag, body) values ('two', 'b')")
        return {}
      })
    },
  })
  const answers = await Promise.all([two.ask('POST', '/both'), two.ask('POST', '/both')])
  t.same(
    answers.map(({ status }) => status),
    [200, 200],
    answers[0]?.body,
  )
  for (const { id, steps } of two.recorder.entries()) {
    t.same(
      steps.map(({ step }) => step).sort(),
      ['commit', 'commit', 'decide', 'prepare', 'prepare'],
      `entry ${id}`,
    )
    t.ok(steps.every(({ duration, error }) => duration >= 0 && error === undefined))
  }
})

t.test('after it was closed nobody listens any more', async t => {
  const closing = await recordedApp(t, db)
  await test.app.close()
  const heard = 'sqlassist:statement:start'
  t.ok(channel(heard).hasSubscribers)
  await closing.app.close()
  for (const name of ['session:start', 'statement:start', 'outcome', 'replica', 'flag', 'subscription']) {
    t.notOk(channel(`sqlassist:${name}`).hasSubscribers, name)
  }
})
