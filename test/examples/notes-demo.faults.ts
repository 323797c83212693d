import { hasSubscribers } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type AppOptions, buildApp, type Urls } from '../../examples/notes/app.ts'
import { Feed } from '../../examples/notes/control-room/feed.ts'
import { ControlRoom } from '../../examples/notes/control-room/room.ts'
import { addStream } from '../../examples/notes/control-room/stream.ts'
import { eventually } from '../embedded/helpers.ts'
import { testCluster, testDatabase, urlsOf } from './support.ts'

type Cluster = NonNullable<AppOptions['cluster']>

async function start(t: Test, urls: Urls, cluster?: Cluster): Promise<FastifyInstance> {
  const app = await buildApp(urls, { cluster })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** A browser without scripts: it keeps cookies, posts forms and follows redirects. */
function browse(app: FastifyInstance) {
  const jar = new Map<string, string>()
  const send = async (method: 'GET' | 'POST', url: string, fields?: Record<string, string>) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { cookie, ...(fields && { 'content-type': 'application/x-www-form-urlencoded' }) }
    const payload = fields && new URLSearchParams(fields).toString()
    const answer = await app.inject({ method, url, headers, ...(payload !== undefined && { payload }) })
    for (const { name, value } of answer.cookies) jar.set(name, value)
    return answer
  }
  return {
    get: async (url = '/') => (await send('GET', url)).body,
    async press(url: string, fields: Record<string, string> = {}): Promise<string> {
      const answer = await send('POST', url, fields)
      if (answer.statusCode !== 303) throw new Error(`${url}: ${answer.statusCode} ${answer.body}`)
      return (await send('GET', String(answer.headers.location))).body
    },
    write: (title: string) => send('POST', '/write', { name: 'Ada', title }),
  }
}

/** What the page says of a server. */
function card(page: string, server: string) {
  const [, state, text = ''] =
    new RegExp(`<li class="server" data-server="${server}" data-state="(\\w+)">(.*?)</li>`, 's').exec(page) ??
    []
  const buttons = [...text.matchAll(/<button[^>]*>([^<]*)</g)].map(([, label]) => label)
  return { state, buttons, served: Number(/<strong>(\d+)<\/strong> statement/.exec(text)?.[1]) }
}

/** The requests of the feed, the newest first. */
function feed(page: string) {
  return [...page.matchAll(/<li class="request">(.*?)(?=<li class="request">|<\/ol>)/gs)].map(
    ([, item = '']) => ({
      label: (/<p class="line">(.*?)<time/s.exec(item)?.[1] ?? '')
        .replace(/<[^>]*>/g, '')
        .replace(/\s+/g, ' ')
        .trim(),
      legs: [...item.matchAll(/<p class="leg">(.*?)<\/p>/gs)].map(([, leg = '']) =>
        leg
          .replace(/<[^>]*>/g, '')
          .replace(/\s+/g, ' ')
          .trim(),
      ),
      why: [...item.matchAll(/<p class="why">(.*?)<\/p>/gs)].map(([, why = '']) =>
        why.replace(/<[^>]*>/g, ''),
      ),
    }),
  )
}

const reads = (page: string) => feed(page).find(({ label }) => label === 'GET /notes × 20')

t.test('on a cluster of its own', async t => {
  const cluster = await testCluster(t, { replicas: 2 })
  const [one, two] = cluster.replicas
  const app = await start(
    t,
    {
      writer: cluster.url('writer'),
      reader: cluster.replicas.map(standby => cluster.url('reader', standby)),
      logger: cluster.url('logger'),
    },
    cluster,
  )
  const ada = browse(app)

  await t.test('a note goes to the primary, in one transaction', async t => {
    const answer = await ada.write('First')
    t.match(answer, { statusCode: 303, headers: { location: '/?did=note' } })
    const page = await ada.get('/?did=note')
    t.match(page, /role="status">Saved\. The writer had committed/)
    const written = feed(page).find(({ label }) => label.startsWith('POST /write'))
    t.match(written, {
      label: 'POST /write committed status 303',
      legs: ['writer → to primary', 'logger → to primary'],
    })
    await Promise.all(cluster.replicas.map(standby => standby.caughtUp()))
  })

  await t.test('twenty reads are spread over the standbys', async t => {
    const page = await ada.press('/reads')
    t.match(reads(page)?.legs[0], /^reader → to standby-1 \d+ standby-2 \d+$/)
    t.ok(card(page, 'standby-1').served + card(page, 'standby-2').served >= 40)
  })

  await t.test('a standby whose replay is paused is not asked by whoever has just written', async t => {
    const paused = await ada.press('/servers/standby-1/pause')
    t.match(paused, /role="status">standby-1 stands still now/)
    t.match(card(paused, 'standby-1'), { state: 'paused', buttons: ['Resume replay', 'Kill'] })
    await ada.write('Second')
    const page = await ada.press('/reads')
    t.match(reads(page), {
      legs: ['reader → to standby-2 20'],
      why: [/^reader → standby-2: .*what this client must see/],
    })

    await ada.press('/servers/standby-2/pause')
    await ada.write('Third')
    const nobodyLeft = await ada.press('/reads')
    t.match(reads(nobodyLeft)?.legs, ['reader → to primary 20'])
    t.match(reads(nobodyLeft)?.why.join(), /reader → primary: /)
    const stranger = await browse(app).press('/reads')
    t.notMatch(reads(stranger)?.legs.join(), /primary/, 'who has not written needs nothing of that')
    t.match(await browse(app).press('/claps'), /Third<\/span> <strong>5/, 'but claps for the newest note')

    for (const name of ['standby-1', 'standby-2']) await ada.press(`/servers/${name}/resume`)
    await Promise.all(cluster.replicas.map(standby => standby.caughtUp()))
    t.ok(await eventually(async () => card(await ada.get(), 'standby-1').state === 'online'))
    t.match(card(await ada.get(), 'standby-1').buttons, ['Pause replay', 'Kill'])
  })

  await t.test('a standby that is killed is left out without an error, and comes back', async t => {
    const killed = await ada.press('/servers/standby-2/kill')
    t.equal(two?.pid, undefined)
    t.match(card(killed, 'standby-2'), { state: 'down', buttons: ['Start again'] })
    const page = await ada.press('/reads')
    t.match(reads(page)?.legs, ['reader → to standby-1 20'])
    t.match(page, /<strong>0<\/strong> server errors/)
    t.match(page, /\d<\/strong> requests answered/)

    const started = await ada.press('/servers/standby-2/start')
    t.match(card(started, 'standby-2').state, /^(joining|online)$/)
    t.ok(await eventually(async () => card(await ada.get(), 'standby-2').state === 'online', 10_000))
    const before = card(await ada.get(), 'standby-2').served
    t.ok(await eventually(async () => card(await ada.press('/reads'), 'standby-2').served > before, 10_000))
  })

  await t.test('a standby that ends while it is paused is not paused when it comes back', async t => {
    await ada.press('/servers/standby-2/pause')
    await two?.kill()
    t.match(card(await ada.get(), 'standby-2'), { state: 'down', buttons: ['Start again'] })
    const page = await ada.press('/servers/standby-2/start')
    t.match(card(page, 'standby-2').buttons, ['Pause replay', 'Kill'])
  })

  await t.test('pressing twice does no harm', async t => {
    t.match(await ada.press('/servers/standby-1/start'), /standby-1 is in that state already/)
    t.match(await ada.press('/servers/standby-1/resume'), /standby-1 is in that state already/)
    t.not(one?.pid, undefined)
  })

  await t.test('the switch flips the flag, and the page has the newest notes', async t => {
    const on = await ada.press('/flag', { enabled: 'on' })
    t.match(on, /aria-checked="true"/)
    t.match(on, /<h2 id="latest">.*Third.*Second.*First/s)
    t.match(await browse(app).get('/latest'), /<h2 id="latest">.*Third/s, 'for scripts, too')
    t.notMatch(await ada.press('/flag', { enabled: 'off' }), /<h2 id="latest">/)
    t.match(await app.flags.storage.history?.('latest-notes'), [
      { author: 'the start page' },
      { author: 'the start page' },
      { author: 'the example' },
    ])
  })

  await t.test('the projection has counted the claps of five visitors', async t => {
    const page = await ada.press('/claps')
    t.match(
      page,
      /Event <strong>11<\/strong> is the newest; the projection has counted up to <strong>11<\/strong>/,
    )
    t.match(page, /Third<\/span> <strong>10<\/strong>/)
  })

  await t.test('another site presses nothing', async t => {
    const urls = [
      '/servers/standby-1/kill',
      '/servers/standby-1/pause',
      '/reads',
      '/flag',
      '/claps',
      '/write',
    ]
    for (const url of urls) {
      for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
        const answer = await app.inject({
          method: 'POST',
          url,
          headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
          payload: 'enabled=on&name=Eve&title=Hello',
        })
        t.equal(answer.statusCode, 403, url)
      }
    }
    t.match(card(await ada.get(), 'standby-1').state, 'online')
    t.notMatch(await ada.get(), /Hello/)
  })

  await t.test('there are no other servers, and nothing else to do to them', async t => {
    const post = (url: string) =>
      app.inject({ method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded' } })
    t.equal((await post('/servers/primary/kill')).statusCode, 404)
    t.equal((await post('/servers/standby-3/kill')).statusCode, 404)
    t.equal((await post('/servers/standby-1/promote')).statusCode, 400)
    t.equal((await app.inject('/servers/standby-1/kill')).statusCode, 404, 'and no link does it')
    t.notMatch(await ada.get('/?did=kill&server=elsewhere'), /elsewhere is gone/, 'nor is it said')
    t.match(await ada.get(), /<strong>0<\/strong> server errors/, 'who is refused has met no error')
  })

  t.ok(await eventually(() => app.sqlAssist.sessions.scopes === 0), 'nothing stays open')
})

t.test('on servers of somebody else there are no buttons', async t => {
  const app = await start(t, urlsOf(await testDatabase(t)))
  const page = await browse(app).get()
  t.notMatch(page, /<button[^>]*>(Pause|Kill|Read 20|Five)/)
  t.notMatch(page, /role="switch"/)
  for (const url of ['/servers/primary/kill', '/reads', '/flag', '/claps']) {
    const answer = await app.inject({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'enabled=on',
    })
    t.equal(answer.statusCode, 404, url)
  }
})

t.test('the feed', async t => {
  const database = await testDatabase(t)
  const [app, other] = await Promise.all([start(t, urlsOf(database)), start(t, urlsOf(database))])
  const ada = browse(app)

  await t.test('has no value of any statement, whatever somebody writes', async t => {
    t.equal((await ada.write('my secret-4711 <script>')).statusCode, 303)
    t.equal((await ada.write("it's 'quoted-4712'")).statusCode, 303)
    await app.inject('/notes?searchString=secret-4713')
    const page = await ada.get()
    const [, html = ''] = /data-part="feed">(.*?)<\/section>/s.exec(page) ?? []
    t.match(html, /insert/)
    t.notMatch(html, /4711|4712|4713|quoted|Ada/)
    t.notMatch(page, /<script>(?!<)/)
  })

  await t.test('has the requests of its own application only', async t => {
    const version = (page: string) => /id="latest-part"[^>]* data-version="(\d+)"/.exec(page)?.[1]
    const before = version(await ada.get())
    await other.inject({ method: 'PATCH', url: '/notes/1', payload: { text: 'elsewhere' } })
    const page = await ada.get()
    t.notMatch(page, 'PATCH')
    t.equal(version(page), before, 'nor does its script ask for notes because of them')
    t.match(await browse(other).get(), 'PATCH')
  })

  await t.test('says what was rolled back, and why', async t => {
    const payload = { name: 'Ada' }
    t.equal((await app.inject({ method: 'POST', url: '/authors', payload })).statusCode, 409)
    const refused = feed(await ada.get()).find(({ label }) => label.startsWith('POST /authors'))
    t.match(refused, { label: /rolled back .+/, legs: ['writer → to primary', 'logger → to primary'] })
  })

  await t.test('has like requests together, although open pages ask for something in between', async t => {
    await app.flags.storage.upsert({ name: 'latest-notes', enabled: true }, {})
    await app.flags.sync()
    for (const url of ['/notes', '/latest', '/notes', '/latest']) await ada.get(url)
    t.match(feed(await ada.get()).slice(0, 3), [
      { label: /^GET \/$/ },
      { label: 'GET /latest' },
      { label: 'GET /notes × 2' },
    ])
  })

  await t.test('shows little, however much happens', async t => {
    for (let request = 0; request < 20; request++) {
      await app.inject(request % 2 === 0 ? '/notes' : '/authors?limit=1')
    }
    const page = await ada.get()
    t.equal(feed(page).length, 8)
    t.ok(page.length < 80_000)
  })
})

t.test('statements beside each other are shown as they were sent, however they were answered', async t => {
  const app = await buildApp(urlsOf(await testDatabase(t)))
  t.teardown(() => app.close())
  const kept = new Feed(app, () => {})
  app.get<{ Querystring: { first: number; second: number } }>('/beside', async ({ db, query }) => {
    await Promise.all([
      db.reader.execute('select 1 as first, pg_sleep(?)', [query.first]),
      db.reader.execute('select 2 as second, pg_sleep(?)', [query.second]),
    ])
    return {}
  })
  for (const url of ['/beside?first=0.2&second=0', '/beside?first=0&second=0.2']) {
    t.equal((await app.inject(url)).statusCode, 200)
    const shown = kept.requests[0]?.statements.map(({ sql }) => sql)
    t.match(shown, [/first/, /second/], url)
  }
})

t.test('the memory of the feed has limits', async t => {
  const app = await buildApp(urlsOf(await testDatabase(t)))
  t.teardown(() => app.close())
  const kept = new Feed(app, () => {})
  const long = `select ${Array.from({ length: 200 }, (_, index) => `1 as column_${index}`).join()}`
  app.get('/many', async request => {
    for (let statement = 0; statement < 30; statement++) await request.db.reader.execute(long)
    return {}
  })
  for (let request = 0; request < 70; request++) await app.inject(request === 69 ? '/many' : '/authors')
  const [newest] = kept.requests
  t.equal(kept.requests.length, 60)
  t.match(newest, { label: 'GET /many', more: 18 })
  t.equal(newest?.statements.length, 12)
  t.ok(newest?.statements.every(({ sql }) => sql.length <= 301))
  t.equal(kept.count('primary') > 90, true, 'all are counted')
  t.equal(kept.sentSince(0).length, 64)
  await app.close()
  t.notOk(hasSubscribers('sqlassist:statement:end'), 'and an end')
})

/** Reads server-sent events, as a browser does. */
async function listen(t: Test, url: string) {
  const request = get(`${url}/live`, { agent: false })
  t.teardown(() => request.destroy())
  const [response]: IncomingMessage[] = await once(request, 'response')
  const messages: { parts: Record<string, string>; flow: { number: number }[] }[] = []
  let text = ''
  response?.setEncoding('utf8').on('data', chunk => {
    const parts = (text + chunk).split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) if (part.startsWith('data: ')) messages.push(JSON.parse(part.slice(6)))
  })
  const ended = new Promise<void>(resolve => response?.once('close', resolve).once('error', () => {}))
  const { statusCode: status, headers } = response as IncomingMessage
  return { status, type: headers['content-type'], messages, ended, leave: () => request.destroy() }
}

t.test('the stream of the start page', async t => {
  const app = await start(t, urlsOf(await testDatabase(t)))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const ada = browse(app)

  await t.test('has everything at first, then what has changed, many at once', async t => {
    const { type, messages } = await listen(t, url)
    t.match(type, 'text/event-stream')
    t.ok(await eventually(() => messages.length === 1))
    t.ok(['feed', 'figures-primary', 'totals'].every(part => part in (messages[0]?.parts ?? {})))
    for (let request = 0; request < 60; request++) await app.inject('/authors')
    t.ok(
      await eventually(() =>
        messages.some(({ parts }) => /<span class="times">× \d\d/.test(parts.feed ?? '')),
      ),
    )
    t.ok(messages.length < 60, `${messages.length} messages for 60 requests`)
    t.ok(messages.every(({ flow }) => flow.length <= 64))
    await app.inject('/authors')
    t.ok(await eventually(() => messages.filter(({ flow }) => flow.length > 0).length > 1))
    const numbers = messages.flatMap(({ flow }) => flow.map(({ number }) => number))
    t.equal(new Set(numbers).size, numbers.length, 'each statement flies once')
    const later = messages.slice(1)
    t.notOk(
      later.some(({ parts }) => 'applause' in parts),
      'what has not changed is not sent again',
    )
  })

  await t.test('shows the projection move', async t => {
    await ada.write('First')
    await ada.get()
    const { messages } = await listen(t, url)
    t.ok(await eventually(() => messages.length > 0))
    await app.inject({
      method: 'POST',
      url: '/applause/1/clap',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    t.ok(
      await eventually(() =>
        messages.some(({ parts }) => /counted up to <strong>2</.test(parts.applause ?? '')),
      ),
    )
  })

  await t.test('has an end to how many it tells', async t => {
    const warnings: Error[] = []
    const warn = (warning: Error) => void warnings.push(warning)
    process.on('warning', warn)
    t.teardown(() => process.off('warning', warn))
    const all = await Promise.all(Array.from({ length: 100 }, () => listen(t, url)))
    t.ok(await eventually(() => all.every(({ messages }) => messages.length > 0)))
    t.equal((await listen(t, url)).status, 204, 'a browser does not come again then')
    all[0]?.leave()
    t.ok(await eventually(async () => (await listen(t, url)).status === 200))
    for (const { leave } of all) leave()
    t.same(warnings, [])
  })

  await t.test('ends with its reader, and does not keep the service from ending', async t => {
    const left = await listen(t, url)
    left.leave()
    const open = await listen(t, url)
    t.ok(await eventually(() => open.messages.length === 1))
    await app.close()
    await open.ended
    t.equal(app.sqlAssist.sessions.scopes, 0)
  })
})

t.test('a room of its own', async t => {
  const app = await buildApp(urlsOf(await testDatabase(t)))
  t.teardown(() => app.close())
  // There is no applause that it could wait for.
  const room = new ControlRoom(app, undefined as never, undefined)
  app.register(async own => addStream(own, room), { prefix: '/own' })
  app.get('/refused', async (_request, reply) => reply.code(400).send({}))
  app.get('/broken', async (_request, reply) => reply.code(500).send({}))
  const url = `${await app.listen({ port: 0, host: '127.0.0.1' })}/own`

  await t.test('counts who could not be served', async t => {
    for (const path of ['/refused', '/broken']) await app.inject(path)
    t.match(room, { answered: 2, failed: 1 })
  })

  await t.test('looks by itself as long as anybody watches', async () => {
    room.watch()()
    const [one, other] = [room.watch(), room.watch()]
    one()
    await room.change(AbortSignal.timeout(5_000))
    other()
  })

  await t.test('tells what changes while a message is made, and nothing else', async t => {
    let [watching, made] = [0, 0]
    room.watch = () => {
      watching++
      return () => {
        watching--
      }
    }
    const { messages, leave } = await listen(t, url)
    t.ok(await eventually(() => messages.length === 1))
    const servers = room.servers.bind(room)
    room.servers = () => {
      // The totals are in the message by now.
      if (++made === 1) {
        room.answered = 4711
        room.tell()
      }
      return servers()
    }
    room.tell()
    t.ok(await eventually(() => messages.length > 1))
    t.match(messages[1]?.parts, { totals: /4711/ })
    const before = made
    room.tell()
    t.ok(await eventually(() => made > before))
    room.answered = 4712
    room.tell()
    t.ok(await eventually(() => messages.some(({ parts }) => /4712/.test(parts.totals ?? ''))))
    t.equal(messages.length, 3, 'where nothing has changed there is nothing to tell')
    t.equal(watching, 1)
    leave()
    t.ok(await eventually(() => watching === 0))
  })
})
