import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { type TestDatabase, testDatabase, urlsOf } from './support.ts'

const PASSWORD = 'open, sesame'
const FLAG = 'latest-notes'

async function start(t: Test, database: TestDatabase): Promise<FastifyInstance> {
  const app = await buildApp(urlsOf(database), { adminPassword: PASSWORD })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** A browser, which keeps cookies and posts forms. */
function browse(app: FastifyInstance) {
  const jar = new Map<string, string>()
  const send = async (method: 'GET' | 'POST', url: string, fields?: Record<string, string>) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const payload = new URLSearchParams(fields).toString()
    const headers = { cookie, 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await app.inject({ method, url, headers, ...(fields && { payload }) })
    for (const { name, value } of answer.cookies) jar.set(name, value)
    return answer
  }
  return {
    jar,
    get: (url: string) => send('GET', url),
    post: (url: string, fields: Record<string, string>) => send('POST', url, fields),
    showsLatest: async () => /Latest notes/.test((await send('GET', '/')).body),
  }
}

t.test('a flag on the page of the flags, limited to a segment', async t => {
  const database = await testDatabase(t)
  const app = await start(t, database)
  const added = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada' } })
  const author = String(added.json().id)
  const writer = browse(app)
  const reader = browse(app)

  await t.test('whoever has not written is a newcomer', async t => {
    for (const visitor of [writer, reader]) t.match((await visitor.get('/')).body, segmentShown('newcomers'))
    t.equal(await app.segments.count('writers'), 0)
  })

  await t.test('whoever writes is a writer from then on', async t => {
    t.equal((await writer.post('/page/notes', { author, title: 'First' })).statusCode, 303)
    t.match((await writer.get('/')).body, segmentShown('writers'))
    t.match((await reader.get('/')).body, segmentShown('newcomers'))
    t.equal(await app.segments.count('writers'), 1)
    const stored = await app.segments.findIdentity(writer.jar.get('visitor') ?? '')
    t.match(stored?.traits, { has_written: true, author: 'Ada' })
  })

  await t.test('a note that is not saved makes no writer', async t => {
    const unlucky = browse(app)
    t.equal((await unlucky.post('/page/notes', { author: '999', title: 'Lost' })).statusCode, 422)
    // Refused by COMMIT, when everything has been sent.
    await database.sql(`create function refuse() returns trigger language plpgsql as
      $$ begin if new.title = 'Refused' then raise exception 'refused'; end if; return new; end $$`)
    await database.sql(`create constraint trigger refuse after insert on note
      deferrable initially deferred for each row execute function refuse()`)
    t.equal((await unlucky.post('/page/notes', { author, title: 'Refused' })).statusCode, 500)
    t.match((await unlucky.get('/')).body, segmentShown('newcomers'))
    t.equal(await app.segments.count('writers'), 1)
  })

  await t.test('the flag is then on for the members only', async t => {
    await writer.post('/admin/login', { name: 'Ada', password: PASSWORD })
    await limitTo(app, writer, 'writers')
    t.same([await writer.showsLatest(), await reader.showsLatest()], [true, false])
    await limitTo(app, writer, 'newcomers')
    t.same([await writer.showsLatest(), await reader.showsLatest()], [false, true])
    await limitTo(app, writer, 'no such segment')
    t.same([await writer.showsLatest(), await reader.showsLatest()], [false, false])
    await limitTo(app, writer, '')
    t.same([await writer.showsLatest(), await reader.showsLatest()], [true, true])
  })

  await t.test('a writer is one in another process as well', async t => {
    const other = await start(t, database)
    const { body } = await other.inject({
      url: '/',
      headers: { cookie: `visitor=${writer.jar.get('visitor')}` },
    })
    t.match(body, segmentShown('writers'))
  })

  t.equal(app.sqlAssist.sessions.scopes, 0, 'nothing stays open')
})

function segmentShown(key: string): RegExp {
  return new RegExp(`segment <code>${key}</code>\\.`)
}

/** As somebody does it on the page: all fields of the form, with another segment and the flag switched on. */
async function limitTo(
  app: FastifyInstance,
  admin: ReturnType<typeof browse>,
  segments: string,
): Promise<void> {
  const { body } = await admin.get(`/admin/flags/edit?name=${FLAG}`)
  const hidden = (name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(body)?.[1] ?? ''
  const fields = ['_csrf', 'name', 'version', 'shareKey', 'percentage'].map(name => [name, hidden(name)])
  const answer = await admin.post('/admin/flags/edit', {
    ...Object.fromEntries(fields),
    enabled: 'on',
    hash: 'salted',
    segments,
  })
  if (answer.statusCode !== 303) throw new Error(`${answer.statusCode}: ${answer.body}`)
  await app.flags.sync()
}
