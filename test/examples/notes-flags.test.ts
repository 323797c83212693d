import type { FastifyInstance, InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { isSamePassword } from '../../examples/notes/password.ts'
import { eventually, query } from '../embedded/helpers.ts'
import { type TestDatabase, testDatabase, urlsOf } from './support.ts'

t.jobs = 4

const PASSWORD = 'open, sesame'
const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const FLAG = 'latest-notes'
/** Milliseconds. Asking every 5 s, which flags do as well, cannot be in time for two changes that follow each other. */
const NOTIFIED = 4_000

async function start(t: Test, database?: TestDatabase): Promise<FastifyInstance> {
  const app = await buildApp(urlsOf(database ?? (await testDatabase(t))), { adminPassword: PASSWORD })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** A browser: it keeps cookies, and posts forms. */
function browse(app: FastifyInstance, remoteAddress = '127.0.0.1') {
  const jar = new Map<string, string>()
  const send = async (options: InjectOptions) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await app.inject({
      remoteAddress,
      ...options,
      headers: { ...BROWSER, cookie, ...options.headers },
    })
    for (const { name, value } of answer.cookies) {
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    return answer
  }
  return {
    jar,
    get: (url: string) => send({ url }),
    post: (url: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
      send({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload: new URLSearchParams(fields).toString(),
      }),
    login(fields: Record<string, string> = {}, headers: Record<string, string> = {}) {
      return this.post('/admin/login', { name: 'Ada', password: PASSWORD, ...fields }, headers)
    },
    /** Presses a button in the list of the flags. */
    async press(action: 'enable' | 'disable' | 'delete') {
      const { body } = await this.get(`/admin/flags/edit?name=${FLAG}`)
      const fields = Object.fromEntries(
        ['_csrf', 'name', 'version'].map(name => [
          name,
          new RegExp(`name="${name}" value="([^"]*)"`).exec(body)?.[1] ?? '',
        ]),
      )
      return this.post(`/admin/flags/${action}`, fields)
    },
  }
}

t.test('whoever has not logged in', async t => {
  const app = await start(t)
  const stranger = browse(app)

  await t.test('is shown where to, in a browser', async t => {
    for (const url of ['/admin/flags', '/admin/flags/', `/admin/flags/edit?name=${FLAG}`]) {
      const answer = await stranger.get(url)
      t.match(answer, { statusCode: 303, headers: { location: '/admin/login' } }, url)
      t.notMatch(answer.body, FLAG)
    }
    const page = await stranger.get('/admin/login')
    t.equal(page.statusCode, 200)
    t.match(page.body, /type="password" required/)
    const policy = String(page.headers['content-security-policy'])
    t.match(policy, /default-src 'none'.*style-src 'sha256-/)
    t.notMatch(policy, /unsafe|script-src/)
    t.same(page.cookies, [], 'nobody gets a session for looking')
  })

  await t.test('is told so, in a program', async t => {
    const answer = await app.inject('/admin/flags/')
    t.same(
      [answer.statusCode, answer.json()],
      [401, { statusCode: 401, error: 'Unauthorized', message: 'Log in first, at /admin/login' }],
    )
    const forged = { headers: { cookie: 'admin=anything.signed' } }
    t.equal((await app.inject({ url: '/admin/flags/', ...forged })).statusCode, 401)
  })

  await t.test('changes nothing', async t => {
    for (const action of ['enable', 'delete', 'edit', 'new']) {
      const answer = await stranger.post(`/admin/flags/${action}`, { name: FLAG, version: '1' })
      t.match(answer, { statusCode: 303, headers: { location: '/admin/login' } }, action)
    }
    t.match(await app.flags.storage.get(FLAG), { enabled: false, deleted: false })
  })
})

t.test('the login', async t => {
  const database = await testDatabase(t)
  const app = await start(t, database)

  await t.test('refuses a wrong password, and keeps the name', async t => {
    const visitor = browse(app, '10.0.0.1')
    for (const password of ['wrong', `${PASSWORD} `, PASSWORD.toUpperCase(), PASSWORD.slice(1)]) {
      const answer = await visitor.login({ name: '<Ada>', password })
      t.equal(answer.statusCode, 403)
      t.match(answer.body, /role="alert">That is not the password\./)
      t.match(answer.body, 'value="&lt;Ada&gt;"')
      t.notMatch(answer.body, password, 'the page does not repeat it')
      t.same(answer.cookies, [])
    }
    t.equal((await visitor.get('/admin/flags/')).statusCode, 303)
    t.notOk(isSamePassword('', PASSWORD))
  })

  await t.test('wants a name and a password', async t => {
    const visitor = browse(app, '10.0.0.2')
    for (const fields of [{ name: ' ' }, { name: 'x'.repeat(41) }, { password: '' }]) {
      t.equal((await visitor.login(fields)).statusCode, 400)
    }
    const empty = await app.inject({ method: 'POST', url: '/admin/login', remoteAddress: '10.0.0.2' })
    t.equal(empty.statusCode, 400)
  })

  await t.test('takes five attempts a minute from one address', async t => {
    const guesser = browse(app, '10.0.0.3')
    const statuses: number[] = []
    for (let guess = 0; guess < 5; guess++) {
      statuses.push((await guesser.login({ password: `guess ${guess}` })).statusCode)
    }
    const late = await guesser.login()
    t.same([...statuses, late.statusCode], [403, 403, 403, 403, 403, 429], 'the right one comes too late')
    t.match(late.body, /Too many attempts/)
    t.match(late.headers['retry-after'], /^\d+$/)
    t.same(late.cookies, [])
    t.equal((await browse(app, '10.0.0.4').login()).statusCode, 303, 'others are not held up')
  })

  await t.test('takes its form from this service only', async t => {
    const visitor = browse(app, '10.0.0.5')
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
      const answer = await visitor.login({}, headers)
      t.equal(answer.statusCode, 403)
      t.same(answer.cookies, [])
    }
  })

  await t.test('opens the page of the flags, until somebody logs out', async t => {
    const ada = browse(app, '10.0.0.6')
    const answer = await ada.login()
    t.match(answer, { statusCode: 303, headers: { location: '/admin/flags/' } })
    t.match(answer.cookies, [{ name: 'admin', path: '/admin', httpOnly: true, sameSite: 'Lax' }])
    t.equal(answer.cookies[0]?.secure, undefined, 'over HTTP')
    t.match((await ada.get('/admin/flags/')).body, FLAG)
    t.match((await ada.get('/admin/login')).body, /<strong>Ada<\/strong>/)

    const stolen = { headers: { cookie: `admin=${ada.jar.get('admin')}` } }
    t.equal((await app.inject({ url: '/admin/flags/', ...stolen })).statusCode, 200)
    const foreign = await ada.post('/admin/logout', {}, { 'sec-fetch-site': 'cross-site' })
    t.equal(foreign.statusCode, 403, 'another site cannot log her out')
    t.match(await ada.post('/admin/logout', {}), { statusCode: 303, headers: { location: '/' } })
    t.notOk(ada.jar.has('admin'), 'the cookie is gone')
    const after = await app.inject({ url: '/admin/flags/', ...stolen })
    t.equal(after.statusCode, 401, 'and worth nothing to whoever has copied it')
  })

  await t.test('gives a new session, not one that the browser came with', async t => {
    const ada = browse(app, '10.0.0.7')
    await ada.login()
    const before = ada.jar.get('admin') ?? ''
    await ada.login()
    t.not(ada.jar.get('admin'), before)
    const old = await app.inject({ url: '/admin/flags/', headers: { cookie: `admin=${before}` } })
    t.equal(old.statusCode, 401)
  })

  await t.test('without a password of ours lets nobody in', async t => {
    const closed = await buildApp(urlsOf(database))
    t.teardown(() => closed.close())
    for (const password of ['undefined', 'null', PASSWORD]) {
      t.equal((await browse(closed).login({ password })).statusCode, 403)
    }
  })
})

t.test('the flag', async t => {
  const database = await testDatabase(t)
  const [app, other] = await Promise.all([start(t, database), start(t, database)])
  const payload = { name: 'Grace' }
  const author = (await app.inject({ method: 'POST', url: '/authors', payload })).json().id
  for (const title of ['One', 'Two', 'Three', '<Four>']) {
    await app.inject({ method: 'POST', url: '/notes', payload: { author, title } })
  }
  const admin = browse(app)
  await admin.login()
  const visitor = browse(app)
  const shows = async (browser = visitor) => /Latest notes/.test((await browser.get('/')).body)

  await t.test('is there once, and off, when two processes have begun', async t => {
    t.match(await app.flags.storage.history?.(FLAG), [{ action: 'created', version: 1 }])
    t.match(await app.flags.storage.get(FLAG), { enabled: false, deleted: false })
    t.match(
      (await visitor.get('/')).body,
      /<code>latest-notes<\/code> is off for you \(<code>DISABLED<\/code>\)/,
    )
    t.notOk(await shows())
  })

  await t.test('changes the start page at once, and that of other processes', async t => {
    t.equal((await admin.press('enable')).statusCode, 303)
    const { body } = await visitor.get('/')
    const [, latest = ''] = /<h2 id="latest">(.*?)<\/section>/s.exec(body) ?? []
    t.same(
      [...latest.matchAll(/<h3>(.*?)<\/h3>/g)].map(found => found[1]),
      ['&lt;Four&gt;', 'Three', 'Two'],
    )
    t.match(latest, /Grace, <time datetime="\d{4}-/)
    t.match(body, /is on for you/)

    const elsewhere = browse(other)
    t.ok(await eventually(() => shows(elsewhere), NOTIFIED))
    t.equal((await admin.press('disable')).statusCode, 303)
    t.notOk(await shows())
    t.ok(await eventually(async () => !(await shows(elsewhere)), NOTIFIED))
  })

  await t.test('has a history that names who was logged in', async t => {
    const history = await app.flags.storage.history?.(FLAG)
    t.match(
      history?.map(({ author }) => author),
      ['Ada', 'Ada', 'the example'],
    )
  })

  await t.test('can be rolled out to some visitors, who keep it', async t => {
    const half = { actor_key: 'visitor_id', percentage: 50 }
    await app.flags.storage.upsert({ name: FLAG, enabled: true, enabled_for_percentage_of_actors: half })
    await app.flags.sync()
    const visitors = Array.from('12345678', digit => {
      const visitor = browse(app)
      visitor.jar.set('visitor', `00000000-0000-4000-8000-00000000000${digit}`)
      return visitor
    })
    const first = await Promise.all(visitors.map(shows))
    t.ok(first.includes(true) && first.includes(false), 'some have it, some have not')
    t.same(await Promise.all(visitors.map(shows)), first)
    t.match((await visitors[0]?.get('/'))?.body, /SPLIT|DEFAULT/)
  })

  await t.test('tells visitors apart by a cookie of ours only', async t => {
    const fresh = await app.inject('/')
    t.match(
      fresh.cookies.find(({ name }) => name === 'visitor'),
      {
        value: /^[\da-f-]{36}$/,
        httpOnly: true,
        sameSite: 'Lax',
      },
    )
    const odd = await app.inject({ url: '/', headers: { cookie: 'visitor=<odd>' } })
    t.notMatch(odd.body, '<odd')
    t.ok(
      odd.cookies.some(({ name }) => name === 'visitor'),
      'what is no id is replaced',
    )
    const known = await app.inject({ url: '/', headers: { cookie: `visitor=${crypto.randomUUID()}` } })
    t.notOk(known.cookies.some(({ name }) => name === 'visitor'))
    t.same((await app.inject('/authors')).cookies.map(({ name }) => name).includes('visitor'), false)
  })

  await t.test('stays as it is when the service begins again', async t => {
    t.match(await (await start(t, database)).flags.storage.get(FLAG), { enabled: true })
    t.equal((await admin.press('delete')).statusCode, 303)
    t.match(await (await start(t, database)).flags.storage.get(FLAG), { deleted: true })
    t.notOk(await shows())
  })

  await t.test('is made once by two processes that begin at the same moment', async t => {
    await app.flags.storage.purge(FLAG)
    // Who holds this row keeps everybody from changing flags: both come to it without a flag.
    await database.sql('begin')
    await database.sql(`select from flypper_metadata where key = 'version' for update`)
    const starting = Promise.all([start(t, database), start(t, database)])
    const waiting = `select from pg_stat_activity where datname = current_database()
      and wait_event_type = 'Lock' and query like '%flypper_metadata%'`
    t.ok(await eventually(async () => (await query(urlsOf(database).writer, waiting)).length === 2))
    await database.sql('commit')
    await starting
    const [last, before] = (await app.flags.storage.history?.(FLAG)) ?? []
    t.match([last?.action, before?.action], ['created', 'purged'])
  })

  t.ok(await eventually(() => app.sqlAssist.sessions.scopes === 0), 'nothing stays open')
})
