import { channel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import t from 'tap'
import { shownError } from '../../plugins/toolbar/shown-error.ts'
import { withoutQueryValues } from '../../plugins/toolbar/texts.ts'
import { createTables, Note } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { type RecordedApp, recordedApp } from './recorded-app.ts'

const db = await testDatabase(t)
await createTables(db)
await db.sql('create table account (email text unique, age int check (age > 17))')

/** Whatever a user, a developer or a server has that nobody else should read. */
const SECRET = 's3cr3t'

async function secretApp(t: Parameters<typeof recordedApp>[0], parameters: boolean): Promise<RecordedApp> {
  const test = await recordedApp(t, db, {
    recorder: { parameters },
    pages: true,
    routes(app) {
      app.get('/find', async request => {
        await request.db.writer.find(Note, { tag: `${SECRET}-bound` })
        await request.db.writer.execute('select ?::text', [`${SECRET}-parameter`])
        await request.db.writer.execute(`select '${SECRET}-inlined' as a /* ${SECRET}-comment */`)
        request.db.writer.create(Note, { tag: `${SECRET}-created`, body: `${SECRET}-body` })
        return {}
      })
      const failing: Record<string, string> = {
        unique: `insert into account values ('${SECRET}@a'), ('${SECRET}@a')`,
        check: `insert into account values ('${SECRET}@b', 3)`,
        cast: `select '${SECRET}'::int`,
        quoted: `select 'x"${SECRET}'::int`,
        json: `select '{"${SECRET}'::json`,
        syntax: `selekt '${SECRET}'`,
        raise: `do $$ begin raise exception 'no stock for ${SECRET}'; end $$`,
        raiseAs: `do $$ begin raise exception 'no stock for ${SECRET}' using errcode = '23505'; end $$`,
      }
      app.get('/fail/:how', async request => {
        await request.db.writer.execute(failing[(request.params as { how: string }).how] ?? '')
      })
      app.get('/throw', async request => {
        await request.db.writer.execute('select 1')
        throw new Error(`no such user: ${SECRET}`)
      })
      app.get('/subscription', async () => {
        const message = { name: 'mails', position: '1', state: 'failed', error: `no mailbox of ${SECRET}` }
        channel('sqlassist:subscription').publish({ source: app.sqlAssist, ...message })
        return {}
      })
    },
  })
  const headers = { cookie: `session=${SECRET}-cookie`, authorization: `Bearer ${SECRET}-token` }
  await test.ask('GET', `/find?token=${SECRET}&${'a='}${SECRET}`, { headers })
  for (const how of ['unique', 'check', 'cast', 'quoted', 'json', 'syntax', 'raise', 'raiseAs']) {
    await test.ask('GET', `/fail/${how}`, { headers })
  }
  await test.ask('GET', '/throw', { headers })
  await test.ask('GET', '/subscription', { headers })
  await test.last()
  return test
}

async function pagesOf(test: RecordedApp): Promise<string> {
  const urls = [
    '/',
    '/engines',
    '/replicas',
    '/plugins',
    ...test.recorder.entries().map(({ id }) => `/requests/${id}`),
  ]
  const pages = await Promise.all(urls.map(url => test.app.inject(`/_sqlassist${url}`)))
  for (const [index, { statusCode }] of pages.entries()) t.equal(statusCode, 200, String(urls[index]))
  return pages.map(({ body }) => body).join('\n')
}

const recordsOf = ({ recorder }: RecordedApp): string =>
  inspect([recorder.entries(), recorder.subscriptions(), recorder.replicas()], {
    depth: 20,
    getters: true,
    showHidden: true,
    maxArrayLength: null,
    maxStringLength: null,
  })

t.test('without `parameters` nothing that somebody has typed is kept or shown', async t => {
  const test = await secretApp(t, false)
  const passwords = [db.writerUrl, db.readerUrl, db.loggerUrl, db.superUrl]
    .map(url => decodeURIComponent(new URL(url).password))
    .filter(password => password !== '')
  for (const [where, text] of [
    ['the records', recordsOf(test)],
    ['the pages', await pagesOf(test)],
  ] as const) {
    const at = text.indexOf(SECRET)
    t.equal(at, -1, `${where}: ${at === -1 ? '' : text.slice(at - 200, at + 50)}`)
    for (const password of passwords) t.notOk(text.includes(password), `${where}: no password`)
    t.match(text, /duplicate key value violates unique constraint/, `${where}: what is no value is there`)
    t.match(text, /account_age_check/)
    t.match(text, /invalid input syntax for type integer/)
  }
})

t.test('with `parameters` it is there, but for passwords of servers and query strings', async t => {
  const test = await secretApp(t, true)
  const text = recordsOf(test)
  for (const value of ['bound', 'inlined', 'created', 'body'])
    t.ok(text.includes(`${SECRET}-${value}`), value)
  t.match(text, /Key \(email\)=\(s3cr3t@a\) already exists/)
  t.match(text, /no stock for s3cr3t/)
  for (const value of ['cookie', 'token']) t.notOk(text.includes(`${SECRET}-${value}`), value)
  t.notMatch(text, /token=s3cr3t/)
})

t.test('an error is shown as far as it can have no values', async t => {
  const shown = (error: object) => shownError(error, false)
  t.equal(shown({ code: '40P01', message: 'deadlock detected' }), 'deadlock detected')
  t.equal(
    shown({ code: '22P02', message: 'invalid input syntax for type date: "a" b "c' }),
    'invalid input syntax for type date: … (22P02)',
  )
  t.equal(
    shown({ code: 'ER_DUP_ENTRY', message: "Duplicate entry 'a'b' for key 'user.email'" }),
    'Duplicate entry … (ER_DUP_ENTRY)',
  )
  t.equal(shown({ code: 'ER_X', message: "Unknown 'abc" }), 'Unknown … (ER_X)')
  t.equal(
    shown({ code: 'SQLITE_CONSTRAINT_UNIQUE', message: 'UNIQUE constraint failed: t.a' }),
    'UNIQUE constraint failed: t.a (SQLITE_CONSTRAINT_UNIQUE)',
  )
  t.equal(
    shown({ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' }),
    'connect ECONNREFUSED 127.0.0.1:1 (ECONNREFUSED)',
  )
  t.equal(
    shown({ code: 'SQLA_ERR_X', message: 'cannot reach postgres://a:pw@h/d' }),
    'cannot reach postgres://***@h/d',
  )
  t.match(shown(new RangeError('abc')), /^RangeError \(its message may have values/)
  t.match(shown({ code: '23505', routine: 'exec_stmt_raise', message: 'abc' }), /^(?!.*abc)/)
  t.match(shownError('abc', false), /^(?!.*abc)string \(/)
  t.equal(shownError(undefined, false), undefined)
  t.equal(withoutQueryValues('http://a:pw@h/path?x=1&y&z=a?b=c'), 'http://***@h/path?x&y&z')
  t.ok(withoutQueryValues(`/${'a'.repeat(9_999)}`).length < 2_100)
})
