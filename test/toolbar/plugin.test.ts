import Fastify from 'fastify'
import t from 'tap'
import { type ToolbarOptions, toolbar } from '../../plugins/toolbar/index.ts'
import { Item, toolbarSite } from './site.ts'

const { NODE_ENV } = process.env
t.afterEach(() => {
  if (NODE_ENV === undefined) delete process.env.NODE_ENV
  else process.env.NODE_ENV = NODE_ENV
})

t.test('in production it does not start unless it is forced to, and told who may see it', async t => {
  process.env.NODE_ENV = 'production'
  await t.rejects(toolbarSite(t), { code: 'SQLA_ERR_TOOLBAR_PRODUCTION' })
  await t.rejects(toolbarSite(t, { authorize: () => {} }), { code: 'SQLA_ERR_TOOLBAR_PRODUCTION' })
  await t.rejects(toolbarSite(t, { force: true }), { code: 'SQLA_ERR_TOOLBAR_AUTHORIZE' })
  await t.rejects(toolbarSite(t, { force: true, authorize: 'none' }), { code: 'SQLA_ERR_TOOLBAR_AUTHORIZE' })
  const app = await toolbarSite(
    t,
    { force: true, authorize: request => request.headers['x-user'] === 'ann' },
    one => one.get('/page', (_request, reply) => reply.type('text/html').send('<body></body>')),
  )
  t.equal((await app.inject('/_sqlassist/')).statusCode, 403)
  t.equal((await app.inject({ url: '/_sqlassist/', headers: { 'x-user': 'ann' } })).statusCode, 200)
  t.equal((await app.inject('/page')).body, '<body></body>', 'visitors see no button')
})

t.test('options that make no sense are refused', async t => {
  const wrong: [string, object][] = [
    ['prefix', { prefix: '/' }],
    ['prefix', { prefix: '' }],
    ['prefix', { prefix: 'debug' }],
    ['prefix', { prefix: '/:name' }],
    ['limit', { limit: 0 }],
    ['limit', { limit: 1.5 }],
    ['limit', { limit: 10_001 }],
    ['statements', { statements: -1 }],
    ['parameters', { parameters: 'yes' }],
    ['button', { button: 1 }],
    ['explain', { explain: null }],
    ['force', { force: 'yes' }],
    ['authorize', { authorize: 'all' }],
  ]
  for (const [name, options] of wrong) {
    await t.rejects(toolbarSite(t, options as ToolbarOptions), {
      code: 'SQLA_ERR_INVALID_OPTION',
      message: new RegExp(`Invalid option: ${name} `),
    })
  }
  const bare = Fastify()
  t.teardown(() => bare.close())
  await t.rejects(async () => bare.register(toolbar), { code: 'SQLA_ERR_TOOLBAR_PLUGIN' })
  await t.rejects(
    toolbarSite(t, {}, app => app.register(toolbar, { prefix: '/again' })),
    { code: 'SQLA_ERR_TOOLBAR_REGISTERED' },
  )
})

t.test('without `authorize` only this machine gets in, under its own name', async t => {
  const app = await toolbarSite(t)
  const ask = async (remoteAddress: string, headers: Record<string, string> = {}) =>
    (await app.inject({ url: '/_sqlassist/', remoteAddress, headers })).statusCode
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    t.equal(await ask(address), 200, address)
  }
  for (const address of ['10.0.0.7', '192.168.1.4', '::ffff:10.0.0.7', '2001:db8::1', '128.0.0.1']) {
    t.equal(await ask(address), 403, address)
  }
  for (const host of [
    'localhost',
    'localhost:3000',
    'app.localhost:3000',
    '127.0.0.1:80',
    '[::1]:3000',
    'LOCALHOST',
  ]) {
    t.equal(await ask('127.0.0.1', { host }), 200, host)
  }
  const rebound = [
    'evil.example',
    'localhost.evil.example:3000',
    '127.0.0.1.evil.example',
    'x@localhost',
    'evil#localhost',
  ]
  for (const host of rebound) t.equal(await ask('127.0.0.1', { host }), 403, `Host: ${host}`)
  t.equal(await ask('127.0.0.1', { 'x-forwarded-for': '203.0.113.9' }), 403, 'passed on by a proxy')
  t.equal(await ask('127.0.0.1', { 'x-forwarded-for': '127.0.0.1, 203.0.113.9' }), 403)
  t.equal(await ask('127.0.0.1', { 'x-forwarded-host': 'evil.example' }), 403)
  t.equal(await ask('127.0.0.1', { forwarded: 'for=203.0.113.9' }), 403)
  t.equal(await ask('127.0.0.1', { 'x-forwarded-for': '::1', 'x-forwarded-host': 'localhost:5173' }), 200)

  const refused = await app.inject({ url: '/_sqlassist/', remoteAddress: '10.0.0.7' })
  t.match(refused.body, /only this machine may/)
  for (const url of [
    '/_sqlassist/events',
    '/_sqlassist/button.css',
    '/_sqlassist/toolbar.js',
    '/_sqlassist/nowhere',
  ]) {
    t.equal((await app.inject({ url, remoteAddress: '10.0.0.7' })).statusCode, 403, url)
  }
  const open = await toolbarSite(t, { authorize: 'none' })
  t.equal((await open.inject({ url: '/_sqlassist/', remoteAddress: '10.0.0.7' })).statusCode, 200)
})

t.test('every answer forbids what its pages do not need', async t => {
  const app = await toolbarSite(t)
  for (const [url, remoteAddress] of [
    ['/_sqlassist/', '::1'],
    ['/_sqlassist/', '10.0.0.7'],
    ['/_sqlassist/nowhere', '::1'],
    ['/_sqlassist/requests/77', '::1'],
    ['/_sqlassist/toolbar.css', '::1'],
  ] as const) {
    const { headers } = await app.inject({ url, remoteAddress })
    const policy = String(headers['content-security-policy'])
    for (const part of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "form-action 'self'",
    ]) {
      t.ok(policy.includes(part), `${url}: ${part}`)
    }
    t.ok(policy.includes("frame-ancestors 'none'") && policy.includes("base-uri 'none'"))
    t.notMatch(policy, /unsafe|\*/)
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'same-origin',
    })
    if (!url.endsWith('.css')) t.equal(headers['cache-control'], 'no-store', url)
  }
})

t.test('a form must have come from these pages', async t => {
  const app = await toolbarSite(t, {}, one => one.get('/plain', async () => 'plain'))
  await app.inject('/plain')
  const list = await app.inject('/_sqlassist/')
  const cookie = String(list.headers['set-cookie']).split(';')[0] ?? ''
  const token = /name="_csrf" value="([^"]+)"/.exec(list.body)?.[1] ?? ''
  t.match(list.headers['set-cookie'], /HttpOnly; SameSite=Lax/)
  const post = async (body: string, headers: Record<string, string>) =>
    (
      await app.inject({
        method: 'POST',
        url: '/_sqlassist/clear',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload: body,
      })
    ).statusCode
  const right = `_csrf=${token}`
  t.equal(await post('', { cookie }), 403)
  t.equal(await post('_csrf=other', { cookie }), 403)
  t.equal(await post(right, {}), 403, 'without the cookie')
  t.equal(await post(right, { cookie, 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await post(right, { cookie, origin: 'http://evil.example' }), 403)
  t.equal(await post(right, { cookie, 'content-type': 'application/json' }), 415)
  t.match((await app.inject('/_sqlassist/')).body, /\/plain/)
  t.equal(await post(right, { cookie, 'sec-fetch-site': 'same-origin' }), 303)
  t.notMatch((await app.inject('/_sqlassist/')).body, /\/plain/)
})

t.test('it covers the whole application, keeps to itself, and does not record itself', async t => {
  const app = await toolbarSite(t, { prefix: '/debug/sql/' }, async one => {
    one.post('/items', async request => {
      const { name } = request.body as { name: string }
      request.db.writer.create(Item, { name })
      return { name }
    })
    await one.register(async child => child.get('/list', async request => request.db.writer.find(Item, {})), {
      prefix: '/nested',
    })
  })
  const made = await app.inject({ method: 'POST', url: '/items', payload: { name: 'chair' } })
  t.same(made.json(), { name: 'chair' }, 'the application reads its own bodies')
  t.equal((await app.inject('/nested/list')).json().length, 1)
  t.equal((await app.inject('/elsewhere')).json().message, 'Route GET:/elsewhere not found')
  t.equal((await app.inject('/_sqlassist/')).statusCode, 404)
  await app.inject('/debug/sql/nowhere')
  await app.inject('/debug/sql/engines')
  await app.inject('/debug/%73ql/engines')
  const { body } = await app.inject('/debug/sql/')
  t.match(body, /\/items/)
  t.match(body, /\/nested\/list/)
  t.notMatch(body.replaceAll(/(?:href|src|action|data-\w+)="[^"]*"/g, ''), /debug/)
  t.equal((await app.inject('/debug/sql/requests/4')).statusCode, 200)
  t.equal((await app.inject('/debug/sql/requests/5')).statusCode, 404)
})
