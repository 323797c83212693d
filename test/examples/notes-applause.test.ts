import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { eventually } from '../embedded/helpers.ts'
import { type TestDatabase, testDatabase, urlsOf } from './support.ts'

t.jobs = 4

const COUNTS = 'select note_id, claps from applause order by note_id'
const TOPICS = 'select id::int, topic, originator_version::int as version from stored_events order by id'

async function start(t: Test, database: TestDatabase): Promise<FastifyInstance> {
  const app = await buildApp(urlsOf(database))
  t.teardown(() => app.close())
  await app.ready()
  return app
}

async function addNotes(app: FastifyInstance, ...titles: string[]): Promise<void> {
  const author = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada' } })
  for (const title of titles) {
    await app.inject({ method: 'POST', url: '/notes', payload: { author: author.json().id, title } })
  }
}

/** The same visitor each time, who presses a button. */
const visitor = (app: FastifyInstance, digit = 1) => {
  const cookie = `visitor=00000000-0000-4000-8000-00000000000${digit}`
  const press =
    (action: string) =>
    (note: unknown, headers: Record<string, string> = {}) =>
      app.inject({
        method: 'POST',
        url: `/applause/${note}/${action}`,
        headers: { 'content-type': 'application/x-www-form-urlencoded', cookie, ...headers },
      })
  return { clap: press('clap'), takeBack: press('take-back') }
}

/** How much applause a page, or a message of the stream, shows for each note, in its order. */
const shown = (html: string) =>
  [...html.matchAll(/id="note-(\d+)" data-claps="(\d+)"/g)].map(([, note, claps]) => [
    Number(note),
    Number(claps),
  ])

/** Reads server-sent events, as a browser does. (Not with fetch: what it aborts it connects again.) */
async function listen(t: Test, url: string) {
  const request = get(`${url}/applause/stream`)
  t.teardown(() => request.destroy())
  const [response]: IncomingMessage[] = await once(request, 'response')
  const messages: string[] = []
  let text = ''
  response?.setEncoding('utf8').on('data', chunk => {
    const parts = (text + chunk).split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) if (part.startsWith('data: ')) messages.push(JSON.parse(part.slice(6)))
  })
  const ended = new Promise<void>(resolve => response?.once('close', resolve).once('error', () => {}))
  return { type: response?.headers['content-type'], messages, ended, leave: () => request.destroy() }
}

t.test('applause', async t => {
  const database = await testDatabase(t)
  const app = await start(t, database)
  await addNotes(app, 'First', '<script>Second</script>')
  const ada = visitor(app)

  await t.test('is shown to whoever has clapped, with the events that it is made of', async t => {
    t.same(shown((await app.inject('/applause')).body), [
      [2, 0],
      [1, 0],
    ])
    const answer = await ada.clap(1)
    t.match(answer, { statusCode: 303, headers: { location: '/applause?event=2' } })
    t.same(await database.sql(COUNTS), [{ note_id: 1, claps: 1 }], 'before the redirect is sent')

    const page = await app.inject(String(answer.headers.location))
    t.match(page.body, /role="status">Saved as event 2 of the log/)
    t.same(shown(page.body), [
      [1, 1],
      [2, 0],
    ])
    t.match(page.body, /Applause\.Clapped.*“First”, version 2.*Applause\.Opened.*“First”, version 1/s)
    t.match(await database.sql('select action, status from audit_line order by id desc limit 1'), [
      { action: 'Applaud a note (form)', status: 303 },
    ])
  })

  await t.test('counts once for each visitor', async t => {
    const again = await ada.clap(1)
    t.equal(again.statusCode, 409)
    t.match(again.body, /role="alert"><strong>Not saved\.<\/strong> You have applauded “First” already/)
    t.equal((await visitor(app, 2).clap(1)).statusCode, 303)
    t.same(await database.sql(COUNTS), [{ note_id: 1, claps: 2 }])
    t.equal((await database.sql(TOPICS)).length, 3, 'what is refused is no event')
  })

  await t.test('can be taken back, and given again', async t => {
    t.match(await ada.takeBack(1), { statusCode: 303, headers: { location: '/applause?event=4' } })
    t.same(await database.sql(COUNTS), [{ note_id: 1, claps: 1 }])
    t.match(await ada.takeBack(1), { statusCode: 303, headers: { location: '/applause' } }, 'there is none')
    t.equal((await ada.clap(1)).statusCode, 303)
    t.same((await database.sql(TOPICS)).slice(3), [
      { id: 4, topic: 'Applause.TakenBack', version: 4 },
      { id: 5, topic: 'Applause.Clapped', version: 5 },
    ])
  })

  await t.test('from many at the same moment all counts', async t => {
    const answers = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(digit => visitor(app, digit).clap(2)))
    t.same(new Set(answers.map(({ statusCode }) => statusCode)), new Set([303]))
    t.same(await database.sql(COUNTS), [
      { note_id: 1, claps: 2 },
      { note_id: 2, claps: 8 },
    ])
  })

  await t.test('is for notes that are there', async t => {
    const answer = await ada.clap(99)
    t.equal(answer.statusCode, 404)
    t.match(answer.body, /role="alert"><strong>Not saved\.<\/strong> This note is gone/)
    t.equal((await ada.takeBack(99)).statusCode, 404)
    t.equal((await ada.clap('x')).statusCode, 400)
  })

  await t.test('takes no form of another site', async t => {
    const before = await database.sql(TOPICS)
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
      t.equal((await visitor(app, 9).clap(1, headers)).statusCode, 403)
      t.equal((await ada.takeBack(1, headers)).statusCode, 403)
    }
    t.same(await database.sql(TOPICS), before)
  })

  await t.test(
    'has a page that escapes what users wrote, tells no visitor, and runs its own script only',
    async t => {
      const { body, headers } = await app.inject('/applause')
      t.match(body, '&lt;script&gt;Second')
      t.notMatch(body, /<script>|00000000-0000-4000/)
      const policy = String(headers['content-security-policy'])
      t.match(policy, /default-src 'none'.*script-src 'sha256-[^']+'; connect-src 'self'/)
      t.notMatch(policy, /unsafe/)
    },
  )

  await t.test('is refused with the COMMIT', async t => {
    await database.sql(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'not today'; end $$`)
    await database.sql(`create constraint trigger refuse after insert on stored_events
      deferrable initially deferred for each row execute function refuse()`)
    const before = await database.sql(TOPICS)
    const answer = await visitor(app, 9).clap(1)
    t.equal(answer.statusCode, 500)
    t.notMatch(answer.body, /not today/)
    await database.sql('drop trigger refuse on stored_events')
    t.same(await database.sql(TOPICS), before)
    t.equal((await visitor(app, 9).clap(1)).statusCode, 303)
  })

  await t.test('is not counted again by a service that begins again', async t => {
    const before = await database.sql(COUNTS)
    await app.close()
    const next = await start(t, database)
    t.equal((await visitor(next, 3).clap(1)).statusCode, 303)
    const [first, ...others] = before
    t.same(await database.sql(COUNTS), [{ note_id: 1, claps: Number(first?.claps) + 1 }, ...others])
  })
})

t.test('the stream of the applause', async t => {
  const database = await testDatabase(t)
  const [app, other] = await Promise.all([start(t, database), start(t, database)])
  await addNotes(app, 'First', 'Second')
  const url = await other.listen({ port: 0, host: '127.0.0.1' })

  await t.test('has what is, and what happens in another process', async t => {
    const { type, messages } = await listen(t, url)
    t.match(type, 'text/event-stream')
    t.ok(await eventually(() => messages.length === 1))
    t.same(shown(messages[0] ?? ''), [
      [2, 0],
      [1, 0],
    ])
    t.equal((await visitor(app).clap(1)).statusCode, 303)
    t.ok(await eventually(() => shown(messages.at(-1) ?? '')[0]?.[1] === 1))
    t.equal((await visitor(other, 2).clap(1)).statusCode, 303)
    t.ok(await eventually(() => shown(messages.at(-1) ?? '')[0]?.[1] === 2), 'and in its own')
  })

  await t.test('goes on when the process that counts has ended', async t => {
    const { messages } = await listen(t, url)
    await app.close()
    // Whoever asked first was elected, perhaps the other one: it counts now in any case.
    t.equal((await visitor(other, 3).clap(2)).statusCode, 303)
    t.ok(await eventually(() => shown(messages.at(-1) ?? '')[1]?.[1] === 1))
  })

  await t.test('ends with its reader, and does not keep the service from ending', async t => {
    const signals: (AbortSignal | undefined)[] = []
    const { subscribe } = other.events
    other.events.subscribe = options => {
      signals.push(options?.signal)
      return subscribe.call(other.events, options)
    }
    const left = await listen(t, url)
    t.ok(await eventually(() => left.messages.length === 1 && signals.length === 1))
    left.leave()
    t.ok(await eventually(() => signals[0]?.aborted === true))

    const open = await listen(t, url)
    t.ok(await eventually(() => open.messages.length === 1))
    await other.close()
    await open.ended
    t.equal(other.sqlAssist.sessions.scopes, 0)
  })
})

t.test('loading the application makes no tables', async t => {
  const database = await testDatabase(t)
  const app = await buildApp(urlsOf(database))
  const made = `select tablename from pg_tables where tablename ~ '^(stored_|applause)'`
  t.same(await database.sql(made), [])
  await app.ready()
  t.equal((await database.sql(made)).length, 4)
  await app.close()
})
