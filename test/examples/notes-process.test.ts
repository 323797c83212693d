import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { eventually } from '../embedded/helpers.ts'
import { launch } from './helpers.ts'
import { testDatabase } from './support.ts'

t.jobs = 2

/** Where the login leads to. */
async function login(url: string, password: string): Promise<string | null> {
  const body = new URLSearchParams({ name: 'Ada', password })
  const answer = await fetch(`${url}/admin/login`, { method: 'POST', body, redirect: 'manual' })
  await answer.body?.cancel()
  return answer.headers.get('location')
}

t.test('the notes example on its own primary and standbys', async t => {
  // Any port: the test beside it wants the usual one to be taken all the time.
  const running = await launch(t, 'notes/main.ts', { PORT: '0' })
  const [, url = ''] = await running.line(/^ready: (http:\/\/127\.0\.0\.1:\d+)$/m)
  const family = running.family()
  t.ok(family.length > 12, 'three servers, their children and the watchdog run')

  let cookie = ''
  const ask = async (method: string, path: string, body?: object) => {
    const response = await fetch(url + path, {
      method,
      headers: { cookie, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie
    const text = await response.text()
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  t.same(await ask('GET', '/health'), { status: 200, body: { status: 'ok' } })

  const ada = await ask('POST', '/authors', { name: 'Ada' })
  t.match(ada, { status: 201, body: { id: Number, name: 'Ada', createdAt: String } })
  const bob = await ask('POST', '/authors', { name: 'Bob' })
  t.match(await ask('POST', '/authors', { name: 'Ada' }), { status: 409 })
  t.match(await ask('POST', '/authors', {}), { status: 400 })
  t.match(
    await ask('GET', `/authors/${bob.body.id}`),
    { status: 200 },
    'is found at once by whoever wrote it',
  )
  t.match(await ask('GET', '/authors'), { status: 200, body: { total: 2, items: [ada.body, bob.body] } })
  t.match(await ask('PATCH', `/authors/${bob.body.id}`, { name: 'Bo' }), {
    status: 200,
    body: { name: 'Bo' },
  })

  const note = await ask('POST', '/notes', { author: ada.body.id, title: 'First', text: 'Hello' })
  t.match(note, { status: 201, body: { title: 'First', author: { id: ada.body.id, name: 'Ada' } } })
  t.match(await ask('GET', `/notes/${note.body.id}`), { status: 200 })
  t.match(await ask('GET', `/notes?author=${ada.body.id}`), { status: 200, body: { total: 1 } })
  t.match(await ask('PATCH', `/notes/${note.body.id}`, { text: 'Bye' }), {
    status: 200,
    body: { text: 'Bye' },
  })

  t.match(await ask('DELETE', `/authors/${ada.body.id}`), { status: 409 }, 'an author with notes stays')
  t.same(await ask('POST', `/authors/${ada.body.id}/transfer`, { to: bob.body.id, removeAuthor: true }), {
    status: 200,
    body: { transferred: 1 },
  })
  t.match(await ask('GET', `/authors/${ada.body.id}`), { status: 404 })
  t.match(await ask('GET', `/notes/${note.body.id}`), { body: { author: { name: 'Bo' } } })

  // On the primary and a standby, whoever claps sees it; whoever has the page open does not keep the service from ending.
  const form = { method: 'POST', body: new URLSearchParams() }
  const clapped = await (await fetch(`${url}/applause/${note.body.id}/clap`, form)).text()
  t.match(clapped, /Saved as event 2.*data-claps="1"/s)
  const live = await fetch(`${url}/applause/stream`)
  t.teardown(() => live.body?.cancel())

  const page = await (await fetch(`${url}/notes-page`)).text()
  t.match(page, /standby/)
  t.match(page, /<td>Transfer notes<\/td>/)
  t.match(await (await fetch(url)).text(), /Kill standby-1.*Kill standby-2/s, 'which can be disturbed')
  t.match(await (await fetch(`${url}/docs`)).text(), /swagger-ui/)

  const [, password = ''] = await running.line(/^password for http:\S+\/admin\/flags: (\S{16})$/m)
  t.equal(await login(url, password), '/admin/flags/', 'the password that it has printed opens the flags')
  t.equal(await login(url, `${password}x`), null)

  t.match(await ask('DELETE', `/notes/${note.body.id}`), { status: 204, body: undefined })
  t.match(await ask('DELETE', `/authors/${bob.body.id}`), { status: 204 })
  t.match(await ask('GET', `/notes/${note.body.id}`), { status: 404 })

  running.kill('SIGTERM')
  t.same(await running.end(), { code: 0, signal: null })
  t.equal(running.errors, '')
  await eventually(async () => (await running.leftovers(family)).length === 0)
  t.same(await running.leftovers(family), [], 'no server, no watchdog and no file is left')
})

t.test('the notes example on servers that the environment names', async t => {
  const database = await testDatabase(t)
  const env = {
    WRITER_URL: database.writerUrl,
    READER_URL: database.readerUrl,
    LOGGER_URL: database.loggerUrl,
  }

  await t.test('serves from them, and ends on SIGINT', async t => {
    const settings = { PORT: '0', ADMIN_PASSWORD: 'open, sesame' }
    const running = await launch(t, 'notes/main.ts', { ...env, ...settings })
    const [, url = ''] = await running.line(/^ready: (http:.*)$/m)
    const response = await fetch(`${url}/authors`, {
      method: 'POST',
      body: '{"name":"Ada"}',
      headers: { 'content-type': 'application/json' },
    })
    t.equal(response.status, 201)
    t.same(await database.sql('select name from author'), [{ name: 'Ada' }])
    t.equal(await login(url, 'open, sesame'), '/admin/flags/')
    t.notMatch(running.output + running.errors, /sesame|password/, 'which is not told to anybody')
    t.same(running.family(), [], 'it starts no server')
    running.kill('SIGINT')
    t.same(await running.end(), { code: 0, signal: null })
  })

  await t.test('takes another port when 3000 is taken', async t => {
    const blocker = createServer().listen(3000, '127.0.0.1')
    // Somebody else may have it, which is as good
    await Promise.race([once(blocker, 'listening'), once(blocker, 'error')]).catch(() => {})
    t.teardown(() => blocker.close())
    const running = await launch(t, 'notes/main.ts', env)
    const [, port] = await running.line(/^ready: http:\/\/127\.0\.0\.1:(\d+)$/m)
    t.not(port, '3000')
    running.kill('SIGTERM')
    t.match(await running.end(), { code: 0 })
  })

  await t.test('says which URL is missing', async t => {
    const running = await launch(t, 'notes/main.ts', { WRITER_URL: database.writerUrl })
    t.match(await running.end(), { code: 1 })
    t.match(running.errors, /^READER_URL and LOGGER_URL missing: set all three URLs, or none/)
  })

  await t.test('says that the password is too short', async t => {
    const running = await launch(t, 'notes/main.ts', { ...env, ADMIN_PASSWORD: 'sesame' })
    t.match(await running.end(), { code: 1 })
    t.match(running.errors, /^ADMIN_PASSWORD is too short: use 8 characters or more/)
  })

  await t.test('says which engine cannot be reached, without the password', async t => {
    const running = await launch(t, 'notes/main.ts', {
      ...env,
      LOGGER_URL: 'postgresql://app_logger:secret@127.0.0.1:1/app',
    })
    t.match(await running.end(), { code: 1 })
    t.match(running.errors, /Engine 'logger' could not be started/)
    t.notMatch(running.errors, /secret/)
  })
})
