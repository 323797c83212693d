import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { html } from '../../examples/notes/html.ts'
import { eventually } from '../embedded/helpers.ts'
import { type TestDatabase, testDatabase, urlsOf } from './support.ts'

t.jobs = 4

async function start(t: Test): Promise<{ app: FastifyInstance; database: TestDatabase }> {
  const database = await testDatabase(t)
  const app = await buildApp(urlsOf(database))
  t.teardown(() => app.close())
  return { app, database }
}

async function addAuthor(app: FastifyInstance, name: string): Promise<number> {
  return (await app.inject({ method: 'POST', url: '/authors', payload: { name } })).json().id
}

async function addNote(app: FastifyInstance, author: number, title: string): Promise<number> {
  return (await app.inject({ method: 'POST', url: '/notes', payload: { author, title } })).json().id
}

const form = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
  ({
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(fields).toString(),
  }) as const

t.test('authors', async t => {
  const { app, database } = await start(t)

  const added = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada', id: 77 } })
  t.equal(added.statusCode, 201)
  t.match(added.json(), { id: 1, name: 'Ada', createdAt: /^\d{4}-.*Z$/ })
  t.same(Object.keys(added.json()), ['id', 'name', 'createdAt'], 'the response schema decides what leaves')
  t.same(await database.sql('select id, name from author'), [{ id: 1, name: 'Ada' }], 'it is committed')

  t.same((await app.inject('/authors/1')).json(), added.json())
  const twin = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada' } })
  t.equal(twin.statusCode, 409)
  t.same(twin.json(), {
    statusCode: 409,
    error: 'Conflict',
    message: 'There is already an Author with this name',
  })

  await addAuthor(app, 'Bob')
  const list = await app.inject('/authors?limit=1&offset=1')
  t.match(list.json(), { items: [{ name: 'Bob' }], total: 2, limit: 1, offset: 1 })

  const renamed = await app.inject({ method: 'PATCH', url: '/authors/1', payload: { name: 'Ada Lovelace' } })
  t.match([renamed.statusCode, renamed.json()], [200, { name: 'Ada Lovelace' }])
  const stolen = await app.inject({ method: 'PATCH', url: '/authors/1', payload: { name: 'Bob' } })
  t.equal(stolen.statusCode, 409)

  t.equal((await app.inject({ method: 'DELETE', url: '/authors/1' })).statusCode, 204)
  t.equal((await app.inject('/authors/1')).statusCode, 404)
  t.same(await database.sql('select name from author'), [{ name: 'Bob' }])

  for (const [method, url, payload] of [
    ['GET', '/authors/99'],
    ['PATCH', '/authors/99', { name: 'x' }],
    ['DELETE', '/authors/99'],
    ['POST', '/authors/99/transfer', { to: 1 }],
  ] as const) {
    const answer = await app.inject({ method, url, ...(payload && { payload }) })
    t.match(answer.json(), { statusCode: 404, error: 'Not Found' }, `${method} ${url}`)
  }
  for (const payload of [{}, { name: '' }, { name: '   ' }, { name: 'x'.repeat(81) }, { name: 'a\0b' }]) {
    t.equal((await app.inject({ method: 'POST', url: '/authors', payload })).statusCode, 400)
  }
  for (const url of ['/authors/0', '/authors/x', '/authors/99999999999', '/authors?limit=0']) {
    t.equal((await app.inject(url)).statusCode, 400, url)
  }
})

t.test('notes', async t => {
  const { app } = await start(t)
  const ada = await addAuthor(app, 'Ada')
  const bob = await addAuthor(app, 'Bob')

  const added = await app.inject({ method: 'POST', url: '/notes', payload: { author: ada, title: 'First' } })
  t.equal(added.statusCode, 201)
  t.match(added.json(), { id: 1, title: 'First', text: '', author: { id: ada, name: 'Ada' } })
  t.same((await app.inject('/notes/1')).json(), added.json(), 'the answer is what was saved')
  await addNote(app, bob, 'Second')
  t.match((await app.inject('/notes')).json(), { total: 2, items: [{ title: 'First' }, { title: 'Second' }] })
  t.match((await app.inject(`/notes?author=${bob}`)).json(), { total: 1, items: [{ title: 'Second' }] })

  const titles = async (query: string) =>
    (await app.inject(`/notes?${query}`)).json().items.map((note: { title: string }) => note.title)
  t.same(await titles('searchString=SEC'), ['Second'], 'a search ignores case')
  t.same(await titles('searchString=ada'), ['First'], 'and looks at the author, too')
  t.same(await titles('searchString=%25'), [], 'and takes no character for another')
  t.same(await titles('orderBy=title&sortOrder=desc'), ['Second', 'First'])
  t.same(await titles('createdBefore=2000-01-01T00:00:00Z'), [])
  t.equal((await app.inject('/notes?orderBy=author')).statusCode, 400)

  const changed = await app.inject({ method: 'PATCH', url: '/notes/1', payload: { text: 'Hello' } })
  t.match(changed.json(), { title: 'First', text: 'Hello', author: { name: 'Ada' } })
  t.equal((await app.inject({ method: 'PATCH', url: '/notes/1', payload: {} })).statusCode, 400)

  const orphan = await app.inject({ method: 'POST', url: '/notes', payload: { author: 99, title: 'x' } })
  t.match(orphan.json(), { statusCode: 422, message: 'There is no author 99' })
  t.equal((await app.inject({ method: 'DELETE', url: '/notes/1' })).statusCode, 204)
  for (const method of ['GET', 'DELETE'] as const) {
    t.equal((await app.inject({ method, url: '/notes/1' })).statusCode, 404)
  }
})

t.test('an author with notes is not deleted', async t => {
  const { app, database } = await start(t)
  const ada = await addAuthor(app, 'Ada')
  await addNote(app, ada, 'First')
  const refused = await app.inject({ method: 'DELETE', url: `/authors/${ada}` })
  t.match(refused.json(), { statusCode: 409, message: 'This Author is still referred to by Note.author' })
  t.same(await database.sql('select name from author'), [{ name: 'Ada' }])
})

t.test('a transfer', async t => {
  const { app, database } = await start(t)
  const ada = await addAuthor(app, 'Ada')
  const bob = await addAuthor(app, 'Bob')
  for (const title of ['First', 'Second']) await addNote(app, ada, title)
  const transfer = (from: number, payload: object) =>
    app.inject({ method: 'POST', url: `/authors/${from}/transfer`, payload })
  const owners = async () =>
    (await database.sql('select author_id from note order by id')).map(row => row.author_id)

  await t.test('refuses an author who does not exist, and the same one', async t => {
    t.equal((await transfer(ada, { to: 99 })).statusCode, 422)
    t.equal((await transfer(ada, { to: ada })).statusCode, 422)
    t.same(await owners(), [ada, ada])
  })

  await t.test('that fails in its last statement leaves everything as it was', async t => {
    await database.sql(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'not today'; end $$`)
    await database.sql('create trigger stay before delete on author for each row execute function refuse()')
    const failed = await transfer(ada, { to: bob, removeAuthor: true })
    t.equal(failed.statusCode, 500)
    t.notMatch(failed.body, /not today/, 'what the server said is not told')
    t.same(await owners(), [ada, ada])
    await database.sql('drop trigger stay on author')
  })

  await t.test('moves all notes', async t => {
    t.same((await transfer(ada, { to: bob })).json(), { transferred: 2 })
    t.same(await owners(), [bob, bob])
  })

  await t.test('in both directions at once does not deadlock', async t => {
    const both = Array.from({ length: 10 }, () => [transfer(ada, { to: bob }), transfer(bob, { to: ada })])
    const answers = await Promise.all(both.flat())
    t.same([...new Set(answers.map(answer => answer.statusCode))], [200])
    t.equal(new Set(await owners()).size, 1)
  })
})

t.test('the audit trail', async t => {
  const { app, database } = await start(t)
  const trail = () => database.sql('select action, target, status from audit_line order by id')

  await addAuthor(app, 'Ada')
  await addAuthor(app, 'Ada')
  await app.inject('/authors')
  await app.inject({ method: 'DELETE', url: '/authors/x' })
  t.same(
    await trail(),
    [
      { action: 'Add an author', target: 'POST /authors', status: 201 },
      { action: 'Add an author', target: 'POST /authors', status: 409 },
      { action: 'Delete an author', target: 'DELETE /authors/x', status: 400 },
    ],
    'has every attempt, and stays when the change is rolled back',
  )

  await t.test('of a COMMIT that fails ends with what the client got', async t => {
    await database.sql(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'not today'; end $$`)
    await database.sql(`create constraint trigger late after insert on author
      deferrable initially deferred for each row execute function refuse()`)
    const answer = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Bob' } })
    t.equal(answer.statusCode, 500)
    t.same((await trail()).slice(3), [
      { action: 'Add an author', target: 'POST /authors', status: 201 },
      { action: 'Add an author', target: 'POST /authors', status: 500 },
    ])
    t.same(await database.sql('select name from author'), [{ name: 'Ada' }])

    const page = await app.inject({ url: '/page/authors', ...form({ name: 'Bob' }) })
    t.equal(page.statusCode, 500)
    t.equal(page.headers.location, undefined, 'no redirect for what was not saved')
  })
})

t.test('the page of the notes', async t => {
  const { app, database } = await start(t)

  await t.test('is there before anything else is', async t => {
    const page = await app.inject('/notes-page')
    t.equal(page.statusCode, 200)
    t.match(page.headers['content-type'], /^text\/html/)
    t.match(page.body, /Nobody yet/)
    t.match(page.body, /No attempts yet/)
  })

  await t.test('escapes what users wrote', async t => {
    const evil = `<script>alert("x")</script>'&`
    const ada = await addAuthor(app, evil)
    await addNote(app, ada, evil)
    const { body } = await app.inject('/notes-page')
    t.notMatch(body, /<script/)
    t.match(body, '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;')
    t.equal(html`${[1, undefined, false, '<']}${html`<br>`}`.text, '1&lt;<br>')
  })

  await t.test('allows no script, and no style but its own', async t => {
    const csp = String((await app.inject('/notes-page')).headers['content-security-policy'])
    t.match(csp, /default-src 'none'/)
    t.notMatch(csp, /unsafe/)
    t.match(csp, /style-src 'sha256-/)
  })

  await t.test('shows what each engine did', async t => {
    const { body } = await app.inject('/notes-page')
    const card = (name: string) => /<dl>.*?<\/dl>/s.exec(body.slice(body.indexOf(`<h3>${name} `)))?.[0] ?? ''
    t.match(card('reader'), /START.*primary/s)
    t.match(card('writer'), />INIT<.*primary.*of 10 in use/s)
    t.match(card('logger'), /START/)
    t.notMatch(body, /app_writer|postgresql:/, 'and no user or password of a database')
  })

  await t.test('saves an author and a note from its forms', async t => {
    const author = await app.inject({ url: '/page/authors', ...form({ name: 'Grace' }) })
    t.equal(author.statusCode, 303)
    await app.inject({ url: '/page/authors', ...form({ name: 'Eve', id: '999', createdAt: '2000-01-01' }) })
    t.match(
      await database.sql(
        `select id, extract(year from created_at)::int > 2020 as now from author where name = 'Eve'`,
      ),
      [{ id: 3, now: true }],
    )
    const [grace] = await database.sql(`select id from author where name = 'Grace'`)
    t.equal(author.headers.location, `/notes-page?author=${grace?.id}`)
    const note = await app.inject({
      url: '/page/notes',
      ...form({ author: String(grace?.id), title: 'COBOL', text: 'a & b' }),
    })
    t.match(note.headers.location, /^\/notes-page\?note=\d+$/)
    const { body } = await app.inject(String(note.headers.location))
    t.match(body, /Saved\. The writer had committed/)
    t.match(body, /COBOL/)
    t.match(body, /a &amp; b/)
    t.match((await app.inject('/notes-page?note=999')).body, /It is not there any more/)
  })

  await t.test('says what is wrong and keeps what was typed', async t => {
    const twin = await app.inject({ url: '/page/authors', ...form({ name: 'Grace' }) })
    t.equal(twin.statusCode, 409)
    t.match(twin.body, /role="alert".*There is an author named “Grace” already/)
    t.match(twin.body, /value="Grace" aria-invalid="true"/)
    t.match(twin.body, /Tried to save, and rolled back/)
    t.match(twin.body, />409</, 'with its own audit line')
    const [{ lines } = {}] = await database.sql(
      `select count(*)::int as lines from audit_line where status = 409`,
    )
    t.equal(lines, 1, 'of which there is one')

    t.equal((await app.inject({ url: '/page/authors', ...form({ name: ' ' }) })).statusCode, 400)
    t.equal((await app.inject({ url: '/page/authors', method: 'POST' })).statusCode, 400)
    const untitled = await app.inject({
      url: '/page/notes',
      ...form({ author: '1', title: '', text: 'kept' }),
    })
    t.equal(untitled.statusCode, 400)
    t.match(untitled.body, /kept<\/textarea>/)
    const orphan = await app.inject({ url: '/page/notes', ...form({ author: '99', title: 'x' }) })
    t.equal(orphan.statusCode, 422)
  })

  await t.test('takes forms from itself only', async t => {
    const from = (headers: Record<string, string>) =>
      app.inject({ url: '/page/authors', ...form({ name: 'Mallory' }, headers) })
    t.equal((await from({ 'sec-fetch-site': 'cross-site' })).statusCode, 403)
    t.equal((await from({ 'sec-fetch-site': 'same-site' })).statusCode, 403)
    t.equal((await from({ origin: 'https://evil.example', host: 'notes.example' })).statusCode, 403)
    t.equal((await from({ origin: 'null' })).statusCode, 403)
    t.same(await database.sql(`select from author where name = 'Mallory'`), [])
    const own = await from({ origin: 'https://notes.example', host: 'notes.example' })
    t.equal(own.statusCode, 303)
    const json = await app.inject({ url: '/authors', ...form({ name: 'Mallory 2' }) })
    t.equal(json.statusCode, 415, 'and the JSON routes take none')
  })

  t.ok(await eventually(() => app.sqlAssist.sessions.scopes === 0), 'nothing stays open')
})

t.test('the documentation', async t => {
  const { app } = await start(t)
  const { paths, components } = (await app.inject('/docs/json')).json()
  t.same(Object.keys(paths).sort(), [
    '/authors',
    '/authors/{id}',
    '/authors/{id}/transfer',
    '/health',
    '/notes',
    '/notes/{id}',
  ])
  t.ok(components.schemas.Author, 'schemas have names')
  for (const [path, methods] of Object.entries<Record<string, { summary?: string; responses: object }>>(
    paths,
  )) {
    for (const [method, { summary, responses }] of Object.entries(methods)) {
      t.ok(summary, `${method} ${path} has a summary`)
      t.ok('500' in responses && '503' in responses, `${method} ${path} describes its errors`)
    }
  }
  const csp = (await app.inject('/docs')).headers['content-security-policy']
  t.match(csp, /default-src 'self'/)
})
