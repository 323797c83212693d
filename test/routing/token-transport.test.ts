import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t from 'tap'
import { TokenSigner } from '../../src/routing/causal-token.ts'
import type { TokenOptions, TokenTransport } from '../../src/routing/routing-options.ts'
import { transportOf } from '../../src/routing/token-transport.ts'
import { NOTHING, Note, type TestApp } from '../support/app.ts'
import { replicatedCluster, routedApp, SECRET } from '../support/routed-app.ts'

const cluster = await replicatedCluster(t, 1)
const TOKEN = 'v1.abc~1~2~3.mac-of-it_0'
const OTHER = 'v1.abd~1~2~4.mac-of-it_1'

/** An application that only reads what a client brings along, and sends a token to it. */
function carrier(options: Partial<TokenOptions> = {}, server: FastifyServerOptions = {}): FastifyInstance {
  const transport = transportOf({ secret: SECRET, maxAge: 300_000, ...options })
  const app = Fastify(server)
  app.get('/', async (request, reply) => {
    const brought = transport.read(request)
    transport.write(reply, TOKEN, 'write')
    return { brought }
  })
  app.get('/with-cookies', async (_request, reply) => {
    reply.header('set-cookie', ['a=1; Path=/', 'b=2; Path=/'])
    transport.write(reply, TOKEN, 'write')
    transport.write(reply, OTHER, 'read')
    return {}
  })
  return app
}

/** What a request with these headers brings along. */
async function broughtBy(headers: Record<string, string>, options: Partial<TokenOptions> = {}) {
  const answer = await carrier(options).inject({ url: '/', headers })
  return answer.json().brought
}

t.test(
  'the cookie: no script reads it, other sites do not send it along, it ends with the token',
  async t => {
    const { headers } = await carrier().inject('/')
    t.equal(headers['set-cookie'], `sqlassist=${TOKEN}; Max-Age=300; Path=/; HttpOnly; SameSite=Lax`)
  },
)

t.test('its name and age are as the options say', async t => {
  const { headers } = await carrier({ name: '__Host-seen', maxAge: 1_500 }).inject('/')
  t.equal(
    headers['set-cookie'],
    `__Host-seen=${TOKEN}; Max-Age=2; Path=/; HttpOnly; SameSite=Lax`,
    'it ends no earlier than the token',
  )
  t.same(await broughtBy({ cookie: `sqlassist=no; __Host-seen=${TOKEN}` }, { name: '__Host-seen' }), [TOKEN])
})

t.test('it is Secure when the request came over HTTPS, or as the options say', async t => {
  const isSecure = async (options: Partial<TokenOptions>, forwarded: string, trustProxy = true) => {
    const headers = { 'x-forwarded-proto': forwarded }
    const answer = await carrier(options, { trustProxy }).inject({ url: '/', headers })
    return /; Secure(;|$)/.test(String(answer.headers['set-cookie']))
  }
  t.ok(await isSecure({}, 'https'))
  t.notOk(await isSecure({}, 'http'))
  t.notOk(await isSecure({}, 'https', false), 'a proxy that is not trusted says nothing')
  t.ok(await isSecure({ secure: true }, 'http'))
  t.notOk(await isSecure({ secure: false }, 'https'))
})

t.test('the cookies of others stay what they are', async t => {
  const { headers } = await carrier().inject('/with-cookies')
  t.same(headers['set-cookie'], [
    'a=1; Path=/',
    'b=2; Path=/',
    `sqlassist=${TOKEN}; Max-Age=300; Path=/; HttpOnly; SameSite=Lax`,
    `sqlassist-read=${OTHER}; Max-Age=300; Path=/; HttpOnly; SameSite=Lax`,
  ])
})

t.test('it is found among the cookies of others, odd ones included', async t => {
  const mine = `sqlassist=${TOKEN}`
  const headers = [
    mine,
    `${mine};`,
    `;; ${mine} ;`,
    `a=1; ${mine}; b=2`,
    `a=1;${mine};b=2`,
    `a="x; y"; ${mine}`,
    `a="; ${mine}`,
    `a; ${mine}`,
    `=; =a; a==b; ${mine}`,
    `sqlassist; ${mine}`,
    `sqlassistx; ${mine}`,
    `sqlassist2=other; ${mine}`,
    `xsqlassist=other; ${mine}`,
    `SQLASSIST=other; ${mine}`,
    `a=%E0%A4%A; ${mine}`,
    `\u00e4=\u00f6; ${mine}`,
    ` sqlassist = ${TOKEN} `,
  ]
  for (const cookie of headers) t.same(await broughtBy({ cookie }), [TOKEN], cookie)
  t.same(await broughtBy({ cookie: `sqlassist-read=${OTHER}; ${mine}` }), [OTHER, TOKEN], 'both count')
  for (const cookie of ['', ';', '=', 'a=1', 'sqlassist', 'sqlassistx', 'a=sqlassist=1', 'xsqlassist=1']) {
    t.equal(await broughtBy({ cookie }), undefined, cookie)
  }
  t.equal(await broughtBy({}), undefined)
})

t.test('what is in quotes is not a token', async t => {
  const signer = new TokenSigner([SECRET], 300_000)
  const token = signer.sign([{ system: '7', timeline: 1, lsn: 5n }])
  const [brought] = await broughtBy({ cookie: `sqlassist="${token}"` })
  t.equal(signer.verify(brought), 'malformed')
  t.type(signer.verify((await broughtBy({ cookie: `sqlassist=${token}` }))[0]), Array)
})

t.test('the header, of either name', async t => {
  const plain = await carrier({ transport: 'header' }).inject('/')
  t.equal(plain.headers['x-sqlassist-token'], TOKEN)
  t.equal(plain.headers['set-cookie'], undefined)
  const options = { transport: 'header', name: 'X-Seen' } as const
  t.equal((await carrier(options).inject('/')).headers['x-seen'], TOKEN)
  t.same(await broughtBy({ 'X-Sqlassist-Token': TOKEN }, { transport: 'header' }), [TOKEN])
  t.same(await broughtBy({ 'x-sqlassist-token': `${TOKEN}, ${OTHER}` }, { transport: 'header' }), [
    TOKEN,
    OTHER,
  ])
  t.same(await broughtBy({ 'x-sEEN': TOKEN }, options), [TOKEN])
  t.equal(await broughtBy({ 'x-sqlassist-token': TOKEN, cookie: `sqlassist=${TOKEN}` }, options), undefined)
})

t.test('a transport of its own is taken as it is', async t => {
  const transport: TokenTransport = { read: () => 'brought', write: () => {} }
  t.equal(transportOf({ secret: SECRET, maxAge: 1, transport }), transport)
})

t.test('what goes wrong on the way changes no outcome', async t => {
  const failing = { ofRead: false, ofWrite: false, ofAnswer: false }
  const sent: string[] = []
  let brought: unknown
  const transport: TokenTransport = {
    read() {
      if (failing.ofRead) throw new Error('cannot be read')
      return brought as string | undefined
    },
    write(_reply, token): void | Promise<void> {
      sent.push(token)
      if (failing.ofWrite) throw new Error('cannot be written')
      if (failing.ofAnswer) return Promise.reject(new Error('cannot be written later'))
    },
  }
  const test = await routedApp(t, cluster, { routing: { token: { secret: SECRET, transport } }, routes })
  let tag = 0
  const post = () => test.ask('POST', `/notes/t${++tag}`)
  const isSaved = async () => (await test.ask('GET', `/notes/t${tag}`)).status === 200
  const errorLines = (message: RegExp) =>
    test.logs.filter(line => line.level === 50 && message.test(line.msg))

  t.test('a token that cannot be sent does not turn 201 into an error', async t => {
    failing.ofWrite = true
    t.teardown(() => (failing.ofWrite = false))
    t.equal((await post()).status, 201)
    t.match(errorLines(/could not be sent/), [{ err: { message: 'cannot be written' } }])
    t.equal(sent.length, 1)
    failing.ofWrite = false
    brought = sent.pop()
    t.ok(await isSaved())
    failing.ofWrite = true
    brought = undefined
    t.equal((await test.ask('GET', `/notes/t${tag}`)).status, 200, 'nor a read')
    sent.length = 0
  })

  t.test('nor does one whose sending fails later', async t => {
    failing.ofAnswer = true
    t.teardown(() => (failing.ofAnswer = false))
    const before = errorLines(/could not be sent/).length
    t.equal((await post()).status, 201)
    failing.ofAnswer = false
    brought = sent.pop()
    t.ok(await isSaved())
    t.match(errorLines(/could not be sent/).slice(before), [{ err: { message: 'cannot be written later' } }])
  })

  t.test('nor does one that cannot be read', async t => {
    failing.ofRead = true
    t.teardown(() => (failing.ofRead = false))
    t.equal((await post()).status, 201)
    t.match(errorLines(/could not be read/), [{ err: { message: 'cannot be read' } }])
    failing.ofRead = false
    brought = sent.pop()
    t.type(brought, 'string', 'the write is told to the client all the same')
    t.ok(await isSaved())
  })

  t.test('nor does whatever a transport brings', async t => {
    for (const odd of [7, null, {}, ['v1.a.b'], '', 'v1.a.b', '\u0000', 'x'.repeat(100_000)]) {
      brought = odd
      t.equal((await post()).status, 201, String(odd).slice(0, 20))
      brought = sent.pop()
      t.ok(await isSaved())
    }
    t.ok(test.app.sqlAssist.routing.tokens.malformed >= 7)
  })

  t.same(await test.remains(), NOTHING)
})

t.test(
  'a token that expires, that another secret has signed, or that is none, is counted and ignored',
  async t => {
    const old = 'an old secret of 16 characters'
    const token = { secret: [SECRET, old], maxAge: 20_000, transport: 'header' } as const
    const test = await routedApp(t, cluster, { routing: { token }, routes })
    const position = await positionOf(test)
    const ask = (text: string) =>
      test.ask('GET', '/notes/nothing', { headers: { 'x-sqlassist-token': text } })
    const sign = (secret: string, at = Date.now()) => new TokenSigner([secret], 20_000).sign([position], at)
    const counted = async (text: string) => {
      const before = { ...test.app.sqlAssist.routing.tokens }
      t.equal((await ask(text)).status, 404)
      const { tokens } = test.app.sqlAssist.routing
      return (Object.keys(before) as (keyof typeof before)[]).filter(key => tokens[key] !== before[key])
    }
    t.same(await counted(sign(SECRET)), ['accepted'])
    t.same(await counted(sign(old)), ['accepted'], 'a secret that no longer signs')
    t.same(await counted(sign('a secret that we never had')), ['forged'])
    t.same(await counted(sign(SECRET, Date.now() - 30_000)), ['expired'])
    t.same(await counted(`${sign(SECRET)}x`), ['malformed'])
    t.same(await counted(`${sign(SECRET)}, ${sign(SECRET)}`), ['accepted'], 'of several, each counts')
    t.same(await test.remains(), NOTHING)
  },
)

async function positionOf(test: TestApp) {
  const { headers } = await test.ask('POST', '/notes/first')
  const token = String(headers['x-sqlassist-token'])
  const said = new TokenSigner([SECRET], 20_000).verify(token)
  if (typeof said === 'string' || said[0] === undefined) throw new Error(`${token}: ${said}`)
  return said[0]
}

function routes(app: FastifyInstance): void {
  app.post<{ Params: { tag: string } }>('/notes/:tag', async (request, reply) => {
    const note = request.db.writer.create(Note, { tag: request.params.tag, body: 'a' })
    reply.code(201)
    return note
  })
  app.get<{ Params: { tag: string } }>('/notes/:tag', async (request, reply) => {
    const note = await request.db.reader.findOne(Note, { tag: request.params.tag })
    if (note === null) reply.code(404)
    return { found: note !== null }
  })
}
