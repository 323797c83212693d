import swagger from '@fastify/swagger'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import { type FlagsWebUiOptions, flags, flagsWebUi, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { siteWith, stored } from './web-ui-site.ts'

const HOSTILE = '<script>alert(1)</script>"\' / &?#% 🚀'

const ALL = {
  enabled: 'on',
  description: 'Line 1\r\nLine 2',
  owner: 'Team A',
  actorKey: 'user_id',
  actorIds: '1\r\n2',
  shareKey: 'user_id',
  percentage: '12.5',
  hash: 'flypper',
  variantKey: 'user_id',
  variantName: ['blue', 'green', ''],
  variantWeight: ['1', '3', ''],
  variantValue: ['{"c":"#00f"}', '{"c":"#0f0"}', ''],
  variantOtherwise: 'green',
  segments: 'beta\r\nstaff',
  requires: 'base',
  from: '2026-01-01T00:00',
  until: '2026-02-01T12:30',
}

t.test('a flag with all of the model is created, shown, and saved again unchanged', async t => {
  const site = await siteWith(t)
  const { status, location } = await site.post('/new', { ...ALL, name: HOSTILE })
  t.equal(status, 303)
  t.equal(location, `/admin/flags/edit?name=${encodeURIComponent(HOSTILE)}&done=created`)
  const flag = await stored(site, HOSTILE)
  t.match(flag, {
    enabled: true,
    description: 'Line 1\nLine 2',
    owner: 'Team A',
    enabled_for_actors: { actor_key: 'user_id', actor_ids: ['1', '2'] },
    enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 12.5 },
    hash: 'flypper',
    variants: {
      actor_key: 'user_id',
      options: [
        { name: 'blue', weight: 1, value: { c: '#00f' } },
        { name: 'green', weight: 3, value: { c: '#0f0' } },
      ],
      otherwise: 'green',
    },
    segments: ['beta', 'staff'],
    requires: ['base'],
    from: '2026-01-01T00:00Z',
    until: '2026-02-01T12:30Z',
  })
  const page = await site.get(location.slice('/admin/flags'.length))
  t.match(page.text, 'Created.')
  const { version = 0 } = flag ?? {}
  t.equal((await site.post('/edit', { ...ALL, name: HOSTILE, version: String(version) })).status, 303)
  const { version: _v, updated_at: _u, ...after } = (await stored(site, HOSTILE)) ?? {}
  const { version: _w, updated_at: _x, ...before } = flag ?? {}
  t.same(after, before)
})

t.test('what a form cannot show exactly stays as it is when something else is saved', async t => {
  const site = await siteWith(t)
  const kept = {
    enabled_for_actors: { actor_key: 'id', actor_ids: ['a\nb', '', ' c '] },
    from: '2026-01-01T00:00:00.123+02:00',
  }
  const { version } = await site.storage.upsert({ name: 'odd', ...kept })
  const form = { actorKey: 'id', actorIds: 'a\r\nb\r\n\r\n c ', hash: 'salted', from: '2025-12-31T22:00' }
  const answer = await site.post('/edit', { name: 'odd', version: String(version), owner: 'me', ...form })
  t.equal(answer.status, 303)
  t.match(await stored(site, 'odd'), { ...kept, owner: 'me' })
})

t.test('emptied fields become null', async t => {
  const site = await siteWith(t)
  await site.post('/new', { ...ALL, name: 'x' })
  const version = String((await stored(site, 'x'))?.version)
  t.equal((await site.post('/edit', { name: 'x', version, hash: 'salted' })).status, 303)
  const nothing = { actors: null, variants: null, segments: null, requires: null, from: null, until: null }
  const { actors, ...rest } = nothing
  t.match(await stored(site, 'x'), {
    ...rest,
    enabled: false,
    enabled_for_actors: actors,
    enabled_for_percentage_of_actors: null,
    owner: null,
    description: null,
  })
})

t.test('enable, disable, delete, restore, and delete for ever after a question', async t => {
  const site = await siteWith(t)
  await site.storage.upsert({ name: HOSTILE, description: 'kept' })
  const act = async (action: string) => {
    const version = String((await stored(site, HOSTILE))?.version)
    return site.post(`/${action}`, { name: HOSTILE, version })
  }
  t.equal((await act('enable')).status, 303)
  t.match(await stored(site, HOSTILE), { enabled: true })
  t.ok(site.app.flags.flags().get(HOSTILE)?.isEnabled(), 'this process knows at once')
  await act('disable')
  t.match(await stored(site, HOSTILE), { enabled: false })
  await act('delete')
  t.match(await stored(site, HOSTILE), { deleted: true })
  t.notMatch((await site.get('/')).text, 'alert(1)')
  t.match((await site.get('/?view=deleted')).text, '&lt;script&gt;')
  t.match((await site.get(`/edit?name=${encodeURIComponent(HOSTILE)}`)).text, 'Restore this flag')
  t.equal((await act('enable')).status, 404, 'a deleted flag is not enabled')
  await act('restore')
  t.match(await stored(site, HOSTILE), { deleted: false, description: 'kept' })
  t.match((await site.get(`/purge?name=${encodeURIComponent(HOSTILE)}`)).text, 'cannot be undone')
  t.ok(await stored(site, HOSTILE), 'the question alone deletes nothing')
  t.equal((await act('purge')).status, 303)
  t.equal(await stored(site, HOSTILE), undefined)
})

t.test('the list shows active or deleted flags, and searches name, description and owner', async t => {
  const site = await siteWith(t)
  await site.storage.upsert({ name: 'one', owner: 'Ann' })
  await site.storage.upsert({ name: 'two', description: 'Anna' })
  await site.storage.upsert({ name: 'three' })
  const namesOn = async (path: string) =>
    [...(await site.get(path)).text.matchAll(/edit\?name=(\w+)"/g)].map(([, name]) => name)
  t.same(await namesOn('/'), ['one', 'three', 'two'])
  t.same(await namesOn('/?q=ann'), ['one', 'two'])
  t.same(await namesOn('/?view=deleted'), [])
  t.same(await namesOn('/?q=a&q=b'), ['one', 'three', 'two'], 'nonsense is no search')
  t.match((await site.get('/?q=%3Cb%3E')).text, 'value="&lt;b&gt;"')
})

t.test('two editors: the second is told, sees both, and may still decide', async t => {
  const site = await siteWith(t)
  const { version } = await site.storage.upsert({ name: 'x', owner: 'nobody' })
  await site.post('/edit', { name: 'x', version: String(version), owner: 'first', hash: 'salted' })
  const second = { name: 'x', owner: 'second', hash: 'salted' }
  const answer = await site.post('/edit', { ...second, version: String(version) })
  t.equal(answer.status, 409)
  t.match(answer.text, /somebody else has changed/)
  t.match(answer.text, '<td>second</td><td>first</td>')
  t.match(answer.text, 'name="owner" value="second"')
  t.match(await stored(site, 'x'), { owner: 'first' })
  const [, shown = ''] = /name="version" value="(\d+)"/.exec(answer.text) ?? []
  t.equal((await site.post('/edit', { ...second, version: shown })).status, 303)
  t.match(await stored(site, 'x'), { owner: 'second' })

  for (const action of ['enable', 'disable', 'delete', 'purge']) {
    t.equal((await site.post(`/${action}`, { name: 'x', version: String(version) })).status, 409, action)
    t.equal((await site.post(`/${action}`, { name: 'x' })).status, 403, `${action} without a version`)
  }
  await site.storage.delete('x')
  const late = await site.post('/edit', { ...second, version: shown })
  t.equal(late.status, 409)
  t.match(late.text, 'somebody has deleted this flag')
})

t.test('a change between the look and the save is a conflict, too', async t => {
  const site = await siteWith(t)
  const { version } = await site.storage.upsert({ name: 'x', owner: 'nobody' })
  const get = site.storage.get.bind(site.storage)
  let isOvertaken = false
  site.storage.get = async name => {
    const read = await get(name)
    if (!isOvertaken) {
      isOvertaken = true
      await site.storage.upsert({ name: 'x', owner: 'quick' })
    }
    return read
  }
  const answer = await site.post('/edit', {
    name: 'x',
    version: String(version),
    owner: 'slow',
    hash: 'salted',
  })
  t.equal(answer.status, 409)
  t.match(answer.text, '<td>slow</td><td>quick</td>')
  t.match(await stored(site, 'x'), { owner: 'quick' })
})

t.test('what is wrong is said beside its field, and what was typed is kept', async t => {
  const site = await siteWith(t)
  await site.storage.upsert({ name: 'taken' })
  const cases: [Record<string, string>, string, number?][] = [
    [{ name: ' ' }, 'name'],
    [{ name: 'taken' }, 'name', 409],
    [{ name: 'x'.repeat(256) }, 'name'],
    [{ name: 'a', actorIds: '1' }, 'actorKey'],
    [{ name: 'a', percentage: '5' }, 'shareKey'],
    [{ name: 'a', shareKey: 'id', percentage: '101' }, 'percentage'],
    [{ name: 'a', shareKey: 'id', percentage: '1e1' }, 'percentage'],
    [{ name: 'a', shareKey: 'id' }, 'percentage'],
    [{ name: 'a', variantKey: 'id', variantName: 'v', variantWeight: '1', variantValue: 'blue' }, 'variants'],
    [{ name: 'a', variantKey: 'id', variantName: 'v', variantWeight: 'x', variantValue: '1' }, 'variants'],
    [{ name: 'a', variantName: 'v', variantWeight: '1', variantValue: '1' }, 'variantKey'],
    [{ ...ALL, name: 'a', variantOtherwise: 'red' } as never, 'variantOtherwise'],
    [{ name: 'a', from: 'tomorrow' }, 'from'],
    [{ name: 'a', until: '2026-02-31T99:00' }, 'until'],
  ]
  for (const [fields, field, status = 400] of cases) {
    const answer = await site.post('/new', { ...fields, owner: 'kept' })
    const what = `${field}: ${JSON.stringify(fields).slice(0, 60)}`
    t.equal(answer.status, status, what)
    t.match(answer.text, `id="${field}-error"`, what)
    t.match(answer.text, new RegExp(`aria-describedby="[^"]*${field}-error"`), what)
    t.match(answer.text, `<a href="#${field}">`, what)
    t.match(answer.text, 'value="kept"', what)
  }
  const self = await site.post('/new', { name: 'a', requires: 'a' })
  t.equal(self.status, 400)
  t.match(self.text, 'require itself')
  t.equal((await site.storage.list()).length, 1)
})

t.test('more rows for variants saves nothing and keeps what was typed', async t => {
  const site = await siteWith(t)
  const answer = await site.post('/new', { ...ALL, name: 'rows', _more: '5' })
  t.equal(answer.status, 200)
  t.equal(answer.text.match(/name="variantName"/g)?.length, 7)
  t.match(answer.text, 'value="green"')
  t.equal(await stored(site, 'rows'), undefined)
  const many = await site.post('/new', { name: 'rows', _more: '1e9' })
  t.equal(many.text.match(/name="variantName"/g)?.length, 50)
})

t.test('everything is escaped, on every page', async t => {
  const evil = '"><script>alert(1)</script>'
  const site = await siteWith(t, { author: () => evil })
  const fields = { ...ALL, description: evil, owner: evil, actorKey: evil, actorIds: evil, shareKey: evil }
  const more = {
    variantKey: evil,
    variantName: [evil],
    variantOtherwise: evil,
    variantWeight: ['1'],
    segments: evil,
    requires: `${evil}2`,
  }
  const answer = await site.post('/new', {
    ...fields,
    ...more,
    variantValue: [JSON.stringify(evil)],
    name: evil,
    from: '',
  })
  t.equal(answer.status, 303)
  const query = encodeURIComponent(evil)
  const { version = 0 } = (await stored(site, evil)) ?? {}
  const pages = [
    (await site.get('/')).text,
    (await site.get(`/?q=${query}&done=saved&name=${query}`)).text,
    (await site.get(`/?done=${query}`)).text,
    (await site.get(`/edit?name=${query}`)).text,
    (await site.get(`/purge?name=${query}`)).text,
    (await site.get(`/history?name=${query}`)).text,
    (await site.post('/rollback', { name: evil, version: '0', target: String(version) })).text,
    (await site.get(`/edit?name=${query}2`)).text,
    (await site.post('/new', { ...fields, ...more, name: evil, from: evil, percentage: evil, hash: evil }))
      .text,
    (await site.post('/new', { ...fields, name: evil })).text,
    (await site.post('/edit', { ...fields, ...more, name: evil, version: '0' })).text,
    (await site.post('/enable', { name: evil, version: '0' })).text,
  ]
  await site.post('/delete', { name: evil, version: String(version) })
  pages.push((await site.get('/?view=deleted')).text, (await site.get(`/edit?name=${query}`)).text)
  pages.push((await site.post('/edit', { ...fields, ...more, name: evil, version: '0' })).text)
  await site.storage.purge(evil)
  pages.push((await site.get(`/history?name=${query}`)).text)
  for (const [index, text] of pages.entries()) {
    // One script is ours, and it is exactly this.
    const page = text.replace(/<script src="\/admin\/flags\/live\.js\?v=[\w-]{16}" defer><\/script>/, '')
    t.notMatch(page, '<script', `page ${index}`)
    t.notMatch(page, '"&gt;', `page ${index}: no attribute is left`)
    if (index !== 2) t.match(page, '&lt;script&gt;', `page ${index} shows it`)
  }
})

const ROUTES = [
  ['GET', '/'],
  ['HEAD', '/'],
  ['GET', '/new'],
  ['GET', '/edit?name=x'],
  ['GET', '/purge?name=x'],
  ['GET', '/history?name=x'],
  ['GET', '/?view=unused'],
  ...['new', 'edit', 'enable', 'disable', 'restore', 'delete', 'purge', 'rollback'].map(path => [
    'POST',
    `/${path}`,
  ]),
] as ['GET' | 'HEAD' | 'POST', string][]

t.test('every answer has the headers that protect it', async t => {
  const site = await siteWith(t)
  await site.storage.upsert({ name: 'x' })
  for (const [method, path] of ROUTES) {
    const { headers } = await site.app.inject({ method, url: `/admin/flags${path}` })
    const policy = String(headers['content-security-policy'])
    t.match(policy, "default-src 'none'", `${method} ${path}`)
    t.match(policy, "frame-ancestors 'none'")
    t.match(policy, "script-src 'self';")
    t.match(policy, "connect-src 'self';")
    t.notMatch(policy, 'unsafe')
    t.equal(headers['cache-control'], 'no-store')
    t.equal(headers['x-frame-options'], 'DENY')
    t.equal(headers['x-content-type-options'], 'nosniff')
  }
  const { headers } = await site.app.inject('/admin/flags/')
  t.match(headers['set-cookie'], /^sqlassist_flags=[\w-]{43}; Path=\/admin\/flags; HttpOnly; SameSite=Lax$/)
})

t.test('a form without the right token, or from another site, changes nothing', async t => {
  const site = await siteWith(t)
  const other = await siteWith(t)
  const { version } = await site.storage.upsert({ name: 'x' })
  const fields = { name: 'x', version: String(version), target: String(version) }
  const otherBrowser = await site.app.inject('/admin/flags/new')
  const otherToken = /name="_csrf" value="([^"]+)"/.exec(otherBrowser.body)?.[1] ?? ''
  for (const [method, path] of ROUTES) {
    if (method !== 'POST') continue
    const isRefused = async (extra: Record<string, string>, headers: Record<string, string>, why: string) =>
      t.equal((await site.post(path, { ...fields, ...extra }, headers)).status, 403, `${path}: ${why}`)
    await isRefused({ _csrf: '' }, {}, 'no token')
    await isRefused({ _csrf: otherToken }, {}, "another browser's token")
    await isRefused({ _csrf: other.token }, { cookie: other.cookie }, "another server's token and cookie")
    await isRefused({ _csrf: site.cookie.split('=')[1] ?? '' }, {}, 'the cookie as the token')
    await isRefused({}, { cookie: '' }, 'no cookie')
    await isRefused({}, { 'sec-fetch-site': 'cross-site' }, 'another site')
    await isRefused({}, { 'sec-fetch-site': 'same-site' }, 'a sister site')
    await isRefused({}, { origin: 'https://evil.example' }, 'another origin')
    await isRefused({}, { origin: 'null' }, 'a sandbox')
    const json = { 'content-type': 'application/json' }
    t.equal((await site.post(path, fields, json)).status, 415, `${path} takes forms only`)
  }
  t.same(
    (await site.storage.list()).map(flag => flag.version),
    [version],
  )
  t.equal((await site.post('/enable', fields, { 'sec-fetch-site': 'same-origin' })).status, 303)
})

t.test('a browser keeps its cookie, and every form has the token for it', async t => {
  const site = await siteWith(t)
  await site.storage.upsert({ name: 'x' })
  const { version } = await site.storage.upsert({ name: 'x', owner: 'ann' })
  for (const path of ['/', '/new', '/edit?name=x', '/purge?name=x', '/history?name=x']) {
    const { text, headers } = await site.get(path)
    t.match(text, `name="_csrf" value="${site.token}"`, path)
    t.equal(headers['set-cookie'], undefined)
    t.notMatch(text, site.cookie.split('=')[1] ?? '', 'the cookie itself is in no page')
  }
  const { headers } = await site.app.inject({
    url: '/admin/flags/',
    headers: { cookie: 'sqlassist_flags=short' },
  })
  t.match(headers['set-cookie'], /^sqlassist_flags=/, 'what is no cookie of ours is replaced')
  t.equal((await site.post('/enable', { name: 'x', version: String(version) })).status, 303)
})

t.test('a storage that fails is a 503 that says nothing of it', async t => {
  const site = await siteWith(t)
  site.storage.changesSince = () =>
    Promise.reject(Object.assign(new TypeError('select secret'), { code: '57P01' }))
  const { status, text } = await site.get('/')
  t.equal(status, 503)
  t.match(text, 'The flags cannot be reached now')
  t.notMatch(text, 'secret')
})

t.test('processes with the same secret know the forms of each other', async t => {
  const secret = 's'.repeat(32)
  const [one, two] = [await siteWith(t, { secret }), await siteWith(t, { secret })]
  const fields = { name: 'x', _csrf: one.token }
  t.equal((await two.post('/new', fields, { cookie: one.cookie })).status, 303)
  await t.rejects(siteWith(t, { secret: 'short' }), { code: 'SQLA_ERR_INVALID_OPTION' })
})

t.test('nobody gets in whom authorize refuses, and it must be there', async t => {
  const refusals: [string, FlagsWebUiOptions['authorize'], number][] = [
    ['false', () => false, 403],
    ['an error', () => Promise.reject(Object.assign(new TypeError('login'), { statusCode: 401 })), 401],
    ['a reply', async (_request: FastifyRequest, reply: FastifyReply) => reply.redirect('/login', 302), 302],
  ]
  for (const [what, authorize, status] of refusals) {
    const site = await siteWith(t, { authorize })
    await site.storage.upsert({ name: 'x' })
    const live = [
      ['GET', '/events'],
      ['GET', '/live.js'],
    ] as const
    for (const [method, path] of [...ROUTES, ...live]) {
      const answer = await site.app.inject({ method, url: `/admin/flags${path}` })
      t.equal(answer.statusCode, status, `${what}: ${method} ${path}`)
      t.notMatch(answer.body, /_csrf/)
    }
    t.equal((await site.storage.list()).length, 1)
  }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage: new MemoryFlagStorage() })
  await t.rejects(async () => void (await app.register(flagsWebUi, { prefix: '/f' } as never)), {
    code: 'SQLA_ERR_FLAG_AUTHORIZE',
  })
})

t.test('it says that it needs the plugin flags', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => void (await app.register(flagsWebUi, { authorize: 'none' })), {
    code: 'SQLA_ERR_FLAG_PLUGIN',
  })
})

t.test('links stay below the prefix, whichever it is', async t => {
  for (const prefix of ['/', '/a/b', '/flags/']) {
    const site = await siteWith(t, { prefix })
    const base = prefix.replace(/\/$/, '')
    await site.storage.upsert({ name: 'x' })
    const page = await site.app.inject(`${base}/`)
    t.equal(page.statusCode, 200, prefix)
    for (const [, url = ''] of page.body.matchAll(/(?:href|action|src|data-url)="(\/[^"]*)"/g)) {
      t.ok(url.startsWith(`${base}/`) && !url.startsWith('//'), url)
    }
  }
})

t.test('the other routes of the application go on as they were', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage: new MemoryFlagStorage() })
  await app.register(flagsWebUi, { prefix: '/f', authorize: 'none' })
  app.post('/echo', async request => request.body)
  t.same((await app.inject({ method: 'POST', url: '/echo', payload: { a: 1 } })).json(), { a: 1 })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  t.equal((await app.inject({ method: 'POST', url: '/echo', headers, payload: 'a=1' })).statusCode, 415)
  const huge = await app.inject({ method: 'POST', url: '/f/new', headers, payload: 'a'.repeat(1_100_000) })
  t.equal(huge.statusCode, 413)
})

t.test('the script may be kept for ever, under an address that changes with it', async t => {
  const { app, get } = await siteWith(t)
  const [, url = ''] = /<script src="([^"]+)" defer>/.exec((await get('/')).text) ?? []
  t.match(url, /^\/admin\/flags\/live\.js\?v=[\w-]{16}$/)
  const script = await app.inject(url)
  t.equal(script.headers['cache-control'], 'private, max-age=31536000, immutable')
  t.match(script.headers['content-type'], 'text/javascript')
  t.match(script.body, 'EventSource')
  const etag = String(script.headers.etag)
  const again = await app.inject({ url, headers: { 'if-none-match': `W/${etag}` } })
  t.equal(again.statusCode, 304)
  t.equal(again.body, '')
  for (const other of ['/admin/flags/live.js', '/admin/flags/live.js?v=old', `${url}&v=x`]) {
    const { headers } = await app.inject(other)
    t.equal(headers['cache-control'], 'no-cache', `${other} may change`)
  }
})

t.test('the pages are no part of the documentation for programs', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { exposeHeadRoutes: true })
  await app.register(flags, { storage: new MemoryFlagStorage() })
  await app.register(flagsWebUi, { prefix: '/f', authorize: 'none' })
  await app.ready()
  t.same(app.swagger().paths, {})
})
