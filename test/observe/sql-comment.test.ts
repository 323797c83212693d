import type { SqlEntityManager } from '@mikro-orm/sql'
import { defineConfig as defineSqlite } from '@mikro-orm/sqlite'
import fc from 'fast-check'
import Fastify from 'fastify'
import { CompiledQuery } from 'kysely'
import t, { type Test } from 'tap'
import { type SqlAssistOptions, sqlAssist } from '../../src/index.ts'
import { commented, commentsFor, commentText } from '../../src/observe/sql-comment.ts'
import { tokensOf } from '../../src/observe/sql-text.ts'
import { createTables, Note, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { inDoubt } from '../transactions/in-doubt.ts'
import { hear } from './heard.ts'

const TRACEPARENT = '00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'
const BOTH = `/*route='%2Fnotes%2F%3Aid',traceparent='${TRACEPARENT}'*/`
const ROUTE = `/*route='%2Fnotes%2F%3Aid'*/`

t.test('keys are sorted, keys and values are encoded', async t => {
  t.equal(
    commentText({ route: '/notes/:id', action: "it's 50% (a*b)", 'a key': 'é', 'a-b': 'x', a: '' }),
    `/*a='',a%20key='%C3%A9',a-b='x',action='it%27s%2050%25%20%28a%2Ab%29',route='%2Fnotes%2F%3Aid'*/`,
  )
  t.equal(commentText({ route: undefined, '': 'x' }), undefined)
  t.equal(commentText({}), undefined)
})

t.test('nothing gets out of a comment', async t => {
  const text = fc.oneof(
    fc.constantFrom(
      '*/',
      '/*',
      '*',
      '!50000',
      '+',
      "'",
      '\\',
      '\n',
      '--',
      '?',
      '$1',
      ':name',
      '\ud800',
      'M!',
    ),
    fc.string({ unit: 'binary' }),
  )
  const tags = fc.dictionary(text, text, { minKeys: 1, maxKeys: 3 })
  const query = CompiledQuery.raw("select 'a', 5")
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(tags, fc.constantFrom('postgresql', 'mysql', 'mariadb', 'sqlite'), (tags, dialect) => {
        const comment = commentText(tags)
        const { sql } = commented(query, comment, dialect)
        if (comment === undefined) return sql === query.sql
        const last = tokensOf(sql, dialect).at(-1)
        return (
          last?.kind === 'comment' &&
          last.text === comment &&
          sql === `${query.sql} ${comment}` &&
          comment.indexOf('*/') === comment.length - 2 &&
          comment.lastIndexOf('/*') === 0 &&
          /^[\w%.~,='-]*$/.test(comment.slice(2, -2))
        )
      }),
      { numRuns: 1_000 },
    ),
  )
})

t.test('a comment is the end of the statement, unless that has one already', async t => {
  const sent = (sql: string, dialect = 'postgresql') =>
    commented(CompiledQuery.raw(sql, [1]), '/*c*/', dialect)
  t.same(sent('select 1').sql, 'select 1 /*c*/')
  t.same(sent('select 1').parameters, [1])
  t.same(sent('select 1 ;\n; ').sql, 'select 1 /*c*/ ;\n; ')
  t.same(sent('select 1;\r\n\t; ').sql, 'select 1 /*c*/;\r\n\t; ')
  t.same(sent("select '-- /* # */'").sql, "select '-- /* # */' /*c*/", 'a text is none')
  t.same(sent("select a #> '{b}'").sql, "select a #> '{b}' /*c*/")
  t.same(sent('').sql, ' /*c*/')
  for (const sql of ['select 1 -- x', 'select /* x */ 1', 'select 1 /* never closed'])
    t.equal(sent(sql).sql, sql)
  t.equal(sent('select 1 # x', 'mysql').sql, 'select 1 # x')
  const query = CompiledQuery.raw('select 1')
  t.equal(commented(query, undefined, 'postgresql'), query, 'there may be nothing to say')
})

t.test('the option is true, false or a function', async t => {
  const register = async (sqlComments: unknown) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const orm = defineSqlite({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
    await app.register(sqlAssist, { engines: { lite: { orm } }, sqlComments } as SqlAssistOptions)
    return app
  }
  for (const wrong of ['yes', 1, {}, null]) {
    await t.rejects(register(wrong), {
      code: 'SQLA_ERR_INVALID_OPTION',
      message: /sqlComments must be true, false or a function of a scope/,
    })
  }
  const app = await register(true)
  const rows = await app.sqlAssist.run(async db => {
    await db.get().execute('create table t (a integer)')
    await db.get().execute('insert into t values (?);', [5])
    return db.get().execute('select a from t')
  })
  t.same(rows, [{ a: 5 }], 'SQLite takes the comments')
})

const QUERY = 'select current_query() as query'

/** How the server saw the statements of a session. */
async function seenIn(session: SqlEntityManager): Promise<string[]> {
  const [first] = await session.execute<{ query: string }[]>(QUERY)
  const [second] = await session.execute<{ query: string }[]>(`${QUERY};`)
  const executor = session.getKysely().getExecutor()
  const id = { queryId: 'x' } as never
  const bound = await executor.executeQuery<{ query: string }>(
    CompiledQuery.raw('select current_query() as query, $1::int', [5]),
    id,
  )
  const streamed: string[] = []
  for await (const { rows } of executor.stream<{ query: string }>(CompiledQuery.raw(QUERY), 1, id)) {
    for (const { query } of rows) streamed.push(query)
  }
  const own = await session.execute<{ query: string }[]>(`${QUERY} -- mine`)
  return [first?.query, second?.query, bound.rows[0]?.query, ...streamed, own[0]?.query].map(String)
}

interface Seen {
  readonly writer: string[]
  readonly reader: string[]
  readonly unit: string
  readonly inserted: string
}

async function setUp(t: Test, sqlComments: SqlAssistOptions['sqlComments']) {
  const database = await testDatabase(t)
  await createTables(database)
  await database.sql(`
    create function note_query() returns trigger language plpgsql as $$ begin new.kind := current_query(); return new; end $$;
    create trigger note_query before insert on note for each row execute function note_query()`)
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit', sqlComments: sqlComments as boolean },
    engines: { reader: { snapshot: false } },
    routes: app =>
      app.get('/notes/:id', async ({ db }): Promise<Seen> => {
        const writer = await seenIn(db.writer)
        const note = db.writer.create(Note, { tag: 'a', body: 'b' })
        await db.writer.flush()
        await db.writer.refresh(note)
        const unit = await db.reader.transactional(em => em.execute<{ query: string }[]>(QUERY))
        return {
          writer,
          reader: await seenIn(db.reader),
          unit: String(unit[0]?.query),
          inserted: note.kind,
        }
      }),
  })
  const get = async (headers: Record<string, string> = {}): Promise<Seen> => {
    const { status, body } = await test.ask('GET', '/notes/5?secret=1', { headers })
    t.equal(status, 200, body)
    return JSON.parse(body)
  }
  return { ...test, database, get }
}

t.test('the server sees the route and the trace, whatever way a statement takes', async t => {
  const { get, app } = await setUp(t, true)
  const heard = hear(t, app, ['sqlassist:statement:end'])
  for (const [headers, comment] of [
    [{ traceparent: TRACEPARENT }, BOTH],
    [{}, ROUTE],
  ] as const) {
    const { writer, reader, unit, inserted } = await get(headers)
    for (const seen of [writer, reader]) {
      const [first, second, bound, streamed, own] = seen as [string, string, string, string, string]
      t.ok(first.includes(`${QUERY} ${comment}`), first)
      t.ok(second.includes(`${QUERY} ${comment};`), second)
      t.equal(bound, `select current_query() as query, $1::int ${comment}`)
      t.equal(streamed, `${QUERY} ${comment}`)
      t.notMatch(own, 'route=')
    }
    t.ok(unit.includes(`${QUERY} ${comment}`), unit)
    t.match(inserted, 'insert into "note"')
    t.ok(inserted.includes(comment), inserted)
    t.notMatch(JSON.stringify([writer, reader]), 'secret')
  }
  const messages = heard.of('sqlassist:statement:end')
  t.ok(messages.length >= 24)
  const told = messages.flatMap(message => [message.sql, message.reveal().text])
  t.notMatch(told.join(), 'route', 'messages have the statements without it')
})

t.test('only a well-formed traceparent is passed on', async t => {
  const { get } = await setUp(t, true)
  for (const traceparent of [
    '',
    '*/ select 1',
    TRACEPARENT.toUpperCase(),
    `${TRACEPARENT}-x`,
    `x${TRACEPARENT}`,
    `ff${TRACEPARENT.slice(2)}`,
    `00-${'0'.repeat(32)}-c532cb4098ac3dd2-01`,
    `00-5bd66ef5095369c7b0d1f8f4bd33716a-${'0'.repeat(16)}-01`,
  ]) {
    const { writer } = await get({ traceparent })
    t.ok(writer[3]?.endsWith(ROUTE), `${traceparent}: ${writer[3]}`)
  }
})

t.test('a scope outside requests has its name', async t => {
  const { app } = await setUp(t, true)
  const ask = (options: object) =>
    app.sqlAssist.run(db => db.writer.execute<{ query: string }[]>(QUERY), options)
  t.match((await ask({ name: 'nightly job' }))[0]?.query, `${QUERY} /*action='nightly%20job'*/`)
  const request = { headers: { traceparent: TRACEPARENT }, routeOptions: { url: '/notes/:id' } }
  t.ok(
    (await ask({ request }))[0]?.query.includes(`${QUERY} ${BOTH}`),
    'or the request on whose behalf it is',
  )
  t.notMatch((await ask({ request: {} }))[0]?.query, '/*')
})

t.test('a function says what is in it, once for each request', async t => {
  const asked: string[] = []
  const { get } = await setUp(t, scope => {
    asked.push(scope.label())
    return { application: 'shop', user: undefined }
  })
  const { writer, reader } = await get()
  for (const query of [writer[3], reader[3]]) t.equal(query, `${QUERY} /*application='shop'*/`)
  await get()
  t.same(asked, ['GET /notes/:id', 'GET /notes/:id'])
})

t.test('a function that fails fails no statement', async t => {
  const ways: Record<string, () => unknown> = {
    throws: () => {
      throw new Error('no tags')
    },
    nothing: () => undefined,
    'no text': () => ({ a: { toString: undefined } }),
  }
  const { get, logs } = await setUp(t, scope => {
    const { headers } = scope.request as { headers: { way: string } }
    return ways[headers.way]?.() as Record<string, string>
  })
  for (const way of Object.keys(ways)) {
    logs.length = 0
    const { writer } = await get({ way })
    t.equal(writer[3], QUERY, way)
    t.equal(logs.filter(({ msg }) => msg.startsWith('sqlComments failed')).length, 1, 'it is said once')
  }
})

t.test('without the option nothing is added', async t => {
  t.equal(commentsFor(undefined), undefined)
  t.equal(commentsFor(false), undefined)
  const { get } = await setUp(t, undefined)
  t.notMatch(JSON.stringify(await get({ traceparent: TRACEPARENT })), '/*')
})

t.test('what became of a lost COMMIT is still found out', async t => {
  const { write, used, proxy } = await inDoubt(t, 2, { sqlComments: true })
  for (const path of ['/entity', '/bound', '/function']) {
    t.same(await write(undefined, path), { status: 200, isThere: true }, path)
    t.same(await write('after', path), { status: 200, isThere: true }, path)
    t.same(await write('before', path), { status: 503, code: 'SQLA_ERR_COMMIT_LOST', isThere: false }, path)
  }
  t.equal(proxy.cuts, 6)
  t.equal(used(), 0)
})
