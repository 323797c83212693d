import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { addPages, type Site } from '../../plugins/toolbar/pages/index.ts'
import { formatted, loadFormatter } from '../../plugins/toolbar/pages/sql-format.ts'
import { timeline } from '../../plugins/toolbar/pages/timeline.ts'
import { warningsOf } from '../../plugins/toolbar/pages/warnings.ts'
import type { Entry } from '../../plugins/toolbar/records.ts'
import { createTables, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { addToolbarApp, HOSTILE, REQUESTS } from './pages-app.ts'
import { entryOf, recordsOf, statementOf } from './pages-records.ts'

// Before any page has asked for the package.
const unformatted = formatted('select 1 from a', 'postgresql')
const db = await testDatabase(t)
await createTables(db)

/** The pages of an application, with other records than its own. */
async function pagesOf(t: Test, root: FastifyInstance, site: Partial<Site>) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(
    async pages =>
      addPages(pages, {
        base: '/x',
        records: recordsOf([]),
        sqlAssist: root.sqlAssist,
        root,
        parameters: true,
        explain: true,
        tokenOf: () => 'token',
        ...site,
      }),
    { prefix: '/x' },
  )
  return async (path: string) => {
    const { body, statusCode } = await app.inject(`/x${path}`)
    return { body, status: statusCode }
  }
}

const real = await testApp(t, db, {
  plugin: { commitMode: 'autocommit' },
  routes: app => addToolbarApp(app, { parameters: false, prefix: '/any/where' }),
})
for (const [method, path] of REQUESTS) await real.ask(method, path)
const read = async (path: string, base = '/any/where') => (await real.ask('GET', `${base}${path}`)).body
const PAGES = ['/', '/?q=notes&warnings=1', '/requests/1', '/requests/5', '/engines', '/replicas', '/plugins']

t.test('whatever somebody wrote into a field is shown as text', async t => {
  const seen: string[] = []
  const hostile = (field: string): string => {
    seen.push(field)
    return `<b>${field}</b>"'&`
  }
  const entry = entryOf({
    method: hostile('method'),
    route: hostile('route'),
    url: hostile('url'),
    outcome: { is: 'rollback', reason: hostile('outcome') },
    sessions: [
      {
        engine: hostile('engine'),
        status: 'END',
        at: 0,
        identityMap: 3,
        unflushed: [hostile('unflushed')],
        ends: [{ is: 'rollback', at: 3, duration: 1, error: hostile('end') }],
      },
    ],
    statements: [
      statementOf({
        engine: hostile('statement-engine'),
        server: hostile('server'),
        host: hostile('host'),
        dialect: 'other',
        error: hostile('error'),
        sql: hostile('sql'),
        origin: hostile('origin'),
        repeats: 3,
      }),
      statementOf({
        number: 2,
        text: `select 1 /* ${hostile('text')} */`,
        parameters: [hostile('parameter')],
      }),
    ],
    routes: [
      { engine: hostile('route-engine'), server: hostile('route-server'), reason: hostile('reason'), at: 1 },
    ],
    waits: [{ engine: hostile('wait-engine'), at: 0, duration: 1, error: hostile('wait') }],
    flags: [{ name: hostile('flag'), value: hostile('flag-value'), times: 2 }],
    segments: [hostile('segment')],
    events: [{ topic: hostile('topic'), originatorId: hostile('originator'), originatorVersion: 1 }],
    steps: [
      {
        step: hostile('step'),
        engine: hostile('step-engine'),
        id: hostile('step-id'),
        duration: 1,
        error: hostile('step-error'),
      },
    ],
  })
  const records = recordsOf([entry], {
    subscriptions: () => [
      {
        name: hostile('subscription'),
        position: hostile('position'),
        state: hostile('state'),
        error: hostile('subscription-error'),
        at: 0,
      },
    ],
  })
  const root = {
    flags: {
      flags: () =>
        new Map([
          [
            hostile('known-flag'),
            { version: 1, data: { enabled: true, description: hostile('description') } },
          ],
        ]),
    },
    segments: { segmentList: () => [{ key: hostile('known-segment'), name: hostile('segment-name') }] },
  } as unknown as FastifyInstance
  const page = await pagesOf(t, real.app, { records, root })
  const query = encodeURIComponent(hostile('query'))
  const all = (await Promise.all(['/', `/?q=${query}`, '/requests/1', '/plugins'].map(page)))
    .map(({ body }) => body)
    .join('')
  t.equal(all.includes('<b>'), false, 'nothing becomes an element')
  for (const field of seen) t.ok(all.includes(`&lt;b&gt;${field}`) || all.includes(`&lt;</span>b`), field)
  // The SQL is taken apart for its colours.
  t.match(all, /title="[^"<>]*error[^"<>]*"/)
})

t.test('without `parameters` no page shows a value, and none ever shows a password', async t => {
  const all = (await Promise.all(PAGES.map(path => read(path)))).join('')
  for (const secret of ['secret-draft', 'never flushed', 'A heading', 'alert("1")']) {
    t.equal(all.includes(secret), false, secret)
  }
  const { password } = new URL(db.writerUrl)
  t.ok(password.length > 5)
  t.equal(all.includes(password), false)
  t.match(all, /app_writer|<dt>user<\/dt>/, 'who it logs in as is no secret')
  t.match(all, /insert into (<span[^>]*>)?&quot;note&quot;/)
})

t.test('the pages work under any prefix, and have neither inline styles nor inline scripts', async t => {
  for (const path of PAGES) {
    const body = await read(path)
    const urls = [...body.matchAll(/ (?:href|src|action|data-url)="([^"]*)"/g)].map(match => match[1] ?? '')
    t.ok(urls.length > 5)
    t.same(
      urls.filter(url => !/^(\/any\/where\/|[#?]|data:image)/.test(url)),
      [],
      path,
    )
    t.notMatch(body, /<style|<script>| style=| on\w+=/i)
    t.match(body, /^<!doctype html>/)
  }
})

t.test('the list says of every request what it did, and can be filtered', async t => {
  const list = await read('/')
  for (const text of ['/notes/:tag', '/forgotten', '(no route)', 'status 201', 'the request threw']) {
    t.ok(list.includes(text), text)
  }
  const outcomes = [...list.matchAll(/chip (\w*)">rollback<\/span> <span class="quiet">([^<]*)/g)].map(
    ([, kind, why]) => `${why}: ${kind}`,
  )
  t.same(
    [...new Set(outcomes)].sort(),
    [
      'status 404 does not commit (autocommit): bad',
      'the request threw: bad',
      'there was nothing to commit: ',
    ],
    'a rollback of what only reads is nothing bad',
  )
  for (const chip of ['error ×2', 'N+1', 'slow', 'unflushed']) t.match(list, `>${chip}</span>`)
  const rows = (body: string) => body.match(/<tr data-key/g)?.length ?? 0
  t.equal(rows(await read('/')), REQUESTS.length)
  t.equal(rows(await read('/?q=%2Fnotes')), 2)
  t.equal(rows(await read('/?q=post')), 1, 'also by method')
  // On a busy machine more of them are slow.
  const warned = list.match(/<td class="warned"><span class="chips"><span/g)?.length ?? 0
  t.ok(warned >= 4 && warned < REQUESTS.length)
  t.equal(rows(await read('/?warnings=1')), warned)
  t.equal(rows(await read('/?warnings=1&q=slow')), 1)
  t.equal(rows(await read('/?q=nothing')), 0)
  t.match(await read('/?q=nothing'), /None of the 7 requests matches/)
  t.equal(rows(await read('/?q=a&q=b')), REQUESTS.length, 'what is no text filters nothing')
  await real.app.sqlAssist.run(db => db.writer.execute('select 1'), { name: 'a job' })
  t.equal(rows(await read('/?q=a+job')), 1)
  t.equal(rows(await read('/?q=a+job&requests=1')), 0, 'without scopes')
})

t.test('a long list has pages', async t => {
  const entries = Array.from({ length: 450 }, (_none, index) => entryOf({ id: 450 - index }))
  const page = await pagesOf(t, real.app, { records: recordsOf(entries) })
  const { body } = await page('/?q=notes')
  t.equal(body.match(/<tr data-key/g)?.length, 200)
  t.match(body, 'href="/x/?q=notes&amp;before=251">Older')
  const { body: last } = await page('/?q=notes&before=51')
  t.equal(last.match(/<tr data-key/g)?.length, 50)
  t.notMatch(last, /Older/)
})

t.test('an entry of many statements has pages as well', async t => {
  const statements = Array.from({ length: 2_300 }, (_none, index) =>
    statementOf({ number: index + 1, at: index, error: index === 1_100 ? 'broken' : undefined }),
  )
  const page = await pagesOf(t, real.app, { records: recordsOf([entryOf({ statements })]) })
  const { body } = await page('/requests/1')
  t.equal(body.match(/<details class="statement"/g)?.length, 500)
  t.match(body, 'href="?page=3#s1101"')
  t.equal(
    body.match(/<a href="[^"]*" tabindex="-1"><rect class="bar/g)?.length,
    2_000,
    'the picture has enough',
  )
  const { body: third } = await page('/requests/1?page=3')
  t.match(third, 'id="s1101"')
  t.match(third, 'data-url="/x/requests/1?page=3"')
  t.match((await page('/requests/1?page=6')).body, 'id="s1"', 'there is no such page')
})

t.test('what is not there, or not any more, is said to be so', async t => {
  for (const path of ['/requests/999', '/requests/x', '/requests/-1', '/requests/1e3']) {
    const { status, body } = await real.ask('GET', `/any/where${path}`)
    t.equal(status, 404)
    t.match(body, /Only the last 100 requests are kept/)
  }
})

t.test('the style sheet and the script may be kept for as long as they are the same', async t => {
  const page = await read('/')
  for (const path of ['toolbar.css', 'toolbar.js']) {
    const [, url = ''] = new RegExp(`"([^"]*${path}\\?v=[\\w-]{16})"`).exec(page) ?? []
    const { headers, status } = await real.ask('GET', url)
    t.equal(status, 200)
    t.match(headers['cache-control'], /immutable/)
    const { headers: other } = await real.ask('GET', `/any/where/${path}?v=old`)
    t.equal(other['cache-control'], 'no-cache')
    const again = await real.ask('GET', url, { headers: { 'if-none-match': headers.etag ?? '' } })
    t.equal(again.status, 304)
  }
})

t.test('the engines are shown with their pools and who holds a connection', async t => {
  const { promise: asked, resolve: answer } = Promise.withResolvers<void>()
  const { promise: held, resolve: hold } = Promise.withResolvers<number>()
  const work = real.app.sqlAssist.run(
    async ({ writer }) => {
      const [{ pid }] = await writer.execute<[{ pid: number }]>('select pg_backend_pid() as pid')
      hold(pid)
      await asked
    },
    { name: HOSTILE },
  )
  const pid = await held
  const body = await read('/engines')
  answer()
  await work
  t.match(body, new RegExp(`<td class="number">${pid}</td><td>&lt;script&gt;`))
  t.match(body, `process <strong>${process.pid}</strong>`)
  t.match(body, '<code>request.db</code>')
  t.match(body, /1 holding/)
  for (const engine of ['writer', 'reader', 'logger']) t.match(body, `Connections of ${engine}`)
  t.match(body, /read-only<\/span>/)
  t.match(body, /<dt>snapshot<\/dt><dd>true/)
})

t.test('the timeline is to scale', async t => {
  const draw = (entry: Partial<Entry>) => timeline(real.app.sqlAssist, entryOf(entry), 1).text
  const session = { engine: 'writer', status: 'END' as const, at: 0, identityMap: 0, unflushed: [] }
  const drawn = draw({
    statements: [statementOf({ at: 25, duration: 50 }), statementOf({ number: 2, at: 30, duration: 10 })],
    waits: [{ engine: 'writer', at: 5, duration: 20, error: undefined }],
    sessions: [{ ...session, ends: [{ is: 'commit', at: 80, duration: 10, error: undefined }] }],
  })
  t.match(drawn, /class="bar e0" x="25.00%" y="42" width="50.00%"/)
  t.match(drawn, /class="bar e0" x="30.00%" y="58" width="10.00%"/, 'one that ran beside it is below it')
  t.match(drawn, /class="wait" x="5.00%" y="42" width="20.00%"/)
  t.match(drawn, /class="span e0" x="25.00%" y="39" width="65.00%"/, 'until COMMIT has ended')
  t.match(drawn, /<line x1="90.00%"/)
  const running = draw({ duration: undefined, statements: [statementOf({ at: 10, duration: undefined })] })
  t.match(running, /x="100.00%" y="42" width="0.00%"/)
  t.match(draw({ duration: 0, statements: [statementOf({ at: 0, duration: 0 })] }), /x="0.00%"/)
})

t.test('warnings are for what somebody should look at', async t => {
  const kinds = (entry: Partial<Entry>) =>
    warningsOf(entryOf(entry)).map(({ kind, text }) => `${kind}: ${text}`)
  t.same(kinds({ statements: [statementOf()] }), [])
  t.same(kinds({ status: 404 }), [])
  t.same(kinds({ status: 503 }), ['error: Answered with 503'])
  t.same(kinds({ statements: [statementOf({ error: 'no' })] }), ['error: Failed on writer: no'])
  t.same(kinds({ statements: [statementOf({ duration: 99.9 })] }), [])
  t.same(kinds({ statements: [statementOf({ duration: 100 })] }), ['slow: Slow statement: 100 ms on writer'])
  t.same(kinds({ duration: 1_000 }), ['slow: Slow: 1.00 s'])
  t.same(kinds({ dropped: 1 }), ['dropped: 1 further statement not kept: too many'])
  t.same(kinds({ waits: [{ engine: 'writer', at: 0, duration: 1, error: 'full' }] }), [
    'error: No connection to writer: full',
  ])
  const twice = [
    statementOf({ repeats: 2, origin: 'a.ts:1:2' }),
    statementOf({ number: 2, repeats: 2, origin: 'a.ts:1:2' }),
  ]
  t.same(kinds({ statements: twice }), ['N+1: Likely N+1: sent 2 times from a.ts:1:2'])
})

t.test('SQL is formatted where it can be', async t => {
  t.equal(unformatted, 'select 1 from a', 'not without the package')
  await loadFormatter()
  for (const dialect of ['postgresql', 'mysql', 'mariadb', 'sqlite', 'other']) {
    t.match(formatted('select a from b where c = $1', dialect), /\n +a\nfrom\n +b\nwhere\n +c = \$1/, dialect)
  }
  const broken = `select (((' from`
  t.equal(formatted(broken, 'postgresql'), broken)
  const long = `select ${'1, '.repeat(5_000)} 1`
  t.equal(formatted(long, 'postgresql'), long, 'a very long one is left alone')
})
