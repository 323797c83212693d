import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { type ToolbarOptions, toolbar } from '../../plugins/toolbar/index.ts'
import { waysToExplain } from '../../plugins/toolbar/pages/explain.ts'
import { createTables, NOTHING, type TestApp, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { statementOf } from './pages-records.ts'

// EXPLAIN on demand, on real servers.

const db = await testDatabase(t)
await createTables(db)
await db.sql(`
create function touch() returns int language plpgsql as $$ begin
  insert into note (tag, body) values ('touched', 'by a function');
  return 1;
end $$;
create function tell() returns int language plpgsql as $$ begin
  raise exception 'timeout %, read only %, postgresql://ann:hunter2@host/db', current_setting('statement_timeout'), current_setting('transaction_read_only');
end $$;
create function leave() returns text language sql as $$ select set_config('work_mem', '77MB', false) $$;
insert into note (tag, body) values ('first', 'a'), ('second', 'b');
`)

/** An application that sends whatever SQL it is asked to send. */
function sender(options: ToolbarOptions) {
  return (app: FastifyInstance) => {
    app.register(toolbar, { prefix: '/t', ...options })
    app.register(async routes => {
      routes.get<{ Querystring: { sql: string; engine: string } }>('/send', async ({ db, query }, reply) => {
        await db.get(query.engine).execute(query.sql)
        // What it has written is rolled back.
        return reply.code(400).send({})
      })
      routes.get('/bound', async ({ db }) =>
        db.writer
          .getKysely<{ note: { id: number; tag: string; body: string } }>()
          .selectFrom('note')
          .select('id')
          .where('tag', '=', `it's \\ a "tag"`)
          .where('id', '>', 0)
          .execute(),
      )
    })
  }
}

const [open, closed] = await Promise.all([
  testApp(t, db, { applicationName: 'explain-open', routes: sender({ parameters: true }) }),
  testApp(t, db, { applicationName: 'explain-closed', routes: sender({}) }),
])

/** Sends SQL through a route, and then asks for the plan as the page's form does. */
async function explain(test: TestApp, sql: string, engine = 'writer') {
  await test.ask('GET', `/send?engine=${engine}&sql=${encodeURIComponent(sql)}`)
  return press(test)
}

/** Presses the button of the first statement of the newest entry. */
async function press(test: TestApp, form: Record<string, string> = {}, headers: Record<string, string> = {}) {
  // A page without buttons has no token; the list has one always.
  const { body: list, headers: given } = await test.ask('GET', '/t/')
  const [, url = ''] = /href="(\/t\/requests\/\d+)"/.exec(list) ?? []
  const page = await test.ask('GET', url)
  const cookie = given['set-cookie']?.[0]?.split(';')[0] ?? ''
  const [, token = ''] = /name="_csrf" value="([^"]+)"/.exec(list) ?? []
  const answer = await test.app.inject({
    method: 'POST',
    url: `${url}/explain`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', host: 'localhost', cookie, ...headers },
    payload: new URLSearchParams({ _csrf: token, statement: '1', ...form }).toString(),
  })
  const [, plan = ''] = /<div id="plan">(.*?)<\/div>/s.exec(answer.body) ?? []
  return {
    status: answer.statusCode,
    plan,
    button: /<form class="explain".*?<button[^>]*>([^<]*)/.exec(page.body)?.[1],
    url,
  }
}

const notes = async () => (await db.sql<{ count: number }>('select count(*)::int from note'))[0]?.count

t.test('a read is run again, and says where the time went', async t => {
  for (const engine of ['writer', 'reader', 'logger']) {
    const { status, plan, button } = await explain(
      open,
      `select * from note where tag = 'first' and '{}'::jsonb ? 'a' is false`,
      engine,
    )
    t.equal(status, 200)
    t.equal(button, 'EXPLAIN ANALYZE')
    t.match(plan, /Seq Scan on note.*actual/s, engine)
    t.match(plan, /tag = &#39;first&#39;/)
    t.match(plan, /Buffers/)
  }
  for (const sql of [
    'values (1)',
    'table note',
    'with a as (select 1) select * from a',
    '(select 1) union (select 2);',
  ]) {
    t.match((await explain(open, sql)).plan, /actual/, sql)
  }
})

t.test('bound parameters are what they were', async t => {
  await open.ask('GET', '/bound')
  const { plan } = await press(open)
  t.match(plan, /actual/)
  t.match(plan, 'tag = &#39;it&#39;&#39;s \\ a &quot;tag&quot;&#39;')
})

t.test('a write is not run', async t => {
  const before = await notes()
  for (const sql of [
    `insert into note (tag, body) values ('x', 'y')`,
    `update note set body = 'changed'`,
    'delete from note',
    `with gone as (delete from note returning id) select * from gone`,
    'select * from note for update',
    'select * into copied from note',
    'merge into note using (select 1 as id) as a on a.id = note.id when matched then delete',
    'select pg_advisory_lock(4711)',
    `select "nextval"('note_id_seq')`,
  ]) {
    const { status, plan, button } = await explain(open, sql)
    t.equal(status, 200, sql)
    t.equal(button, 'EXPLAIN', sql)
    t.match(plan, /cost=/)
    t.notMatch(plan, /actual/, sql)
  }
  t.equal(await notes(), before)
  t.same(
    await db.sql(
      `select 1 from pg_locks where locktype = 'advisory' and objid = 4711 and pid in (select pid from pg_stat_activity where query like 'explain%')`,
    ),
    [],
  )
})

t.test('a SELECT whose function writes cannot write', async t => {
  const before = await notes()
  for (const engine of ['writer', 'logger', 'reader']) {
    const { status, plan } = await explain(open, 'select touch()', engine)
    t.equal(status, 422)
    t.match(plan, /cannot execute INSERT in a read-only transaction/, engine)
  }
  t.equal(
    await notes(),
    (before ?? 0) + 1,
    'the logger commits what its request does, and nothing more was written',
  )
})

t.test('it has little time, and leaves nothing behind', async t => {
  const { plan } = await explain(open, 'select tell()')
  t.match(plan, /timeout 5s, read only on, postgresql:\/\/\*\*\*@host/, 'and shows no password')
  t.match((await explain(open, 'select leave()')).plan, /actual/)
  const settings = await open.app.sqlAssist.run(({ writer }) =>
    writer.execute<{ set: string }[]>("select current_setting('work_mem') as set"),
  )
  t.notMatch(settings, [{ set: '77MB' }], 'what it has set is rolled back')
  t.same(await open.remains(), NOTHING)
  const { body } = await open.ask('GET', '/t/')
  t.notMatch(body, /toolbar explain/, 'it is no request of the application')
})

t.test('the browser says which statement, and nothing else', async t => {
  await open.ask('GET', `/send?engine=writer&sql=${encodeURIComponent('select 1 as harmless')}`)
  const { plan } = await press(open, { sql: 'delete from note', text: 'delete from note', engine: 'logger' })
  t.match(plan, /Result/)
  for (const statement of ['2', '0', '', 'x', '1; drop table note']) {
    t.equal((await press(open, { statement })).status, 404, statement)
  }
  t.equal((await press(open, { _csrf: 'wrong' })).status, 403)
  t.equal((await press(open, {}, { cookie: '' })).status, 403)
  t.equal((await press(open, {}, { 'sec-fetch-site': 'cross-site' })).status, 403)
})

t.test('what has no plan has no button, and cannot be sent without it either', async t => {
  for (const sql of [
    'show work_mem',
    `set local work_mem = '1MB'`,
    'select 1; select 2',
    'create table made (id int)',
    '/* nothing */ explain select 1',
  ]) {
    const { status, plan, button } = await explain(open, sql)
    t.equal(button, undefined, sql)
    t.equal(status, 422)
    t.match(plan, /can be explained/)
  }
})

t.test('without values it is the plan that does not need them', async t => {
  const { status, plan, button } = await explain(
    closed,
    `select * from note where tag = 'a secret' and id > 5`,
  )
  t.equal(button, 'EXPLAIN (GENERIC_PLAN)')
  t.equal(status, 200, plan)
  t.match(plan, /Seq Scan|Index|Bitmap/)
  t.match(plan, /tag = \$1/)
  t.notMatch(plan, /secret|actual/)
  const before = await notes()
  t.match((await explain(closed, `delete from note where tag = 'first'`)).plan, /Delete on note/)
  t.equal(await notes(), before)
})

t.test('with `explain: false` nothing can be explained', async t => {
  const none = await testApp(t, db, { routes: sender({ explain: false }) })
  await none.ask('GET', '/send?engine=writer&sql=select%201')
  const { status, button } = await press(none)
  t.equal(button, undefined)
  t.equal(status, 404)
})

t.test('other dialects explain in their own way', async t => {
  const way = (dialect: string, text: string | undefined, parameters?: string[]) =>
    waysToExplain(
      statementOf({ dialect, sql: 'select a from b where c = $1', text, parameters }),
      text !== undefined,
    )
  t.match(way('sqlite', 'select a from b where c = 5'), {
    is: 'plain',
    sql: 'explain query plan select a from b where c = 5',
  })
  t.match(way('sqlite', undefined), { sql: 'explain query plan select a from b where c = NULL' })
  for (const dialect of ['mysql', 'mariadb']) {
    t.match(way(dialect, 'select a from b'), { is: 'plain', sql: 'explain select a from b' })
    t.match(way(dialect, undefined), { is: 'none', reason: /parameters/ })
    t.match(way(dialect, 'select ?', ['"x"']), { is: 'none' })
    t.match(way(dialect, 'select 1 /*! ; delete from b */'), { is: 'none' })
  }
  t.match(way('mssql', 'select 1'), { is: 'none' })
})

t.test('a statement that was not kept whole is not explained', async t => {
  const way = (text: string, parameters?: string[]) => waysToExplain(statementOf({ text, parameters }), true)
  t.match(way('select 1, 2, …'), { is: 'none', reason: /too long/ })
  for (const value of ['"cut…', '<5 bytes>', '[1,2]', 'undefined']) {
    t.match(way('select $1', [value]), { is: 'generic' }, value)
  }
  t.match(way('select $1, $2, $3, $4', ['5', 'null', '"a\'b\\\\"', '{"a":1}']), {
    sql: /select {2}E'5' , NULL, {2}E'a''b\\\\' , {2}E'\{"a":1\}' /,
  })
})
