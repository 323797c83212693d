import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { FlagStorage, type FlagStore, flags, flagsApi, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { apiApp, asker } from './api-app.ts'

const NAMES = [
  'with spaces',
  'a/b/../c',
  '<script>alert(1)</script>',
  '😀 flag',
  '100%',
  'a%2Fb',
  '?q#h&x=1',
  'o\'br"ien; --',
]

function contract(t: Test, open: (t: Test) => Promise<FlagStore>): void {
  t.test('a flag is made, read, changed, switched, deleted, restored and purged', async t => {
    const app = await apiApp(t, await open(t))
    const ask = asker(app)
    const made = await ask('POST', '/', { name: 'new-checkout', owner: 'shop' })
    t.equal(made.status, 201)
    t.match(made.json, { name: 'new-checkout', version: 1, enabled: false, deleted: false, hash: 'salted' })
    t.equal(made.headers.etag, '"1"')
    t.equal(app.flags.flags().get('new-checkout')?.version, 1, 'this process knows of it at once')

    const changed = await ask('PATCH', '/new-checkout', {
      enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 12.5 },
    })
    t.match(changed.json, {
      version: 2,
      owner: 'shop',
      enabled_for_percentage_of_actors: { percentage: 12.5 },
    })
    t.match((await ask('POST', '/new-checkout/enable')).json, { version: 3, enabled: true })
    t.match((await ask('POST', '/new-checkout/disable', {})).json, { version: 4, enabled: false })
    const read = await ask('GET', '/new-checkout')
    t.equal(read.headers.etag, '"4"')

    t.match(await ask('DELETE', '/new-checkout'), { status: 204, text: '' })
    t.equal(app.flags.flags().size, 0)
    t.equal((await ask('GET', '/new-checkout')).json.deleted, true)
    t.equal((await ask('DELETE', '/new-checkout')).status, 404, 'deleted already')
    t.equal(
      (await ask('PATCH', '/new-checkout', { enabled: true })).status,
      404,
      'nothing comes back by a change',
    )
    t.equal((await ask('POST', '/new-checkout/enable')).status, 404)
    t.match((await ask('POST', '/new-checkout/restore')).json, { deleted: false, owner: 'shop' })
    t.equal(app.flags.flags().size, 1)

    t.equal((await ask('DELETE', '/new-checkout?hard=true')).status, 204)
    t.equal(app.flags.flags().size, 0)
    const gone = await ask('GET', '/new-checkout')
    t.match(gone, { status: 404, json: { code: 'SQLA_ERR_FLAG_NOT_FOUND' } })
    t.equal((await ask('POST', '/new-checkout/restore')).status, 404)
    t.equal((await ask('DELETE', '/new-checkout?hard=true')).status, 404)
  })

  t.test(
    'a name that is taken is a 409 and changes nothing; that of a tombstone makes a blank flag',
    async t => {
      const app = await apiApp(t, await open(t))
      const ask = asker(app)
      await ask('POST', '/', { name: 'a', enabled: true, owner: 'first' })
      const again = await ask('POST', '/', { name: 'a', owner: 'second' })
      t.match(again, { status: 409, json: { code: 'SQLA_ERR_FLAG_EXISTS' } })
      t.match((await ask('GET', '/a')).json, { version: 1, owner: 'first' })
      await ask('DELETE', '/a')
      const anew = await ask('POST', '/', { name: 'a' })
      t.match(anew, { status: 201, json: { enabled: false, deleted: false } })
      t.notOk('owner' in anew.json)
      const both = await Promise.all([1, 2, 3].map(() => ask('POST', '/', { name: 'race' })))
      t.same(both.map(({ status }) => status).sort(), [201, 409, 409])
    },
  )

  t.test('of two editors the second is told, and nothing of theirs is saved', async t => {
    const ask = asker(await apiApp(t, await open(t)))
    const { headers } = await ask('POST', '/', { name: 'a' })
    const seen = { 'if-match': String(headers.etag) }
    t.equal((await ask('PATCH', '/a', { owner: 'first' }, seen)).status, 200)
    const second = await ask('PATCH', '/a', { owner: 'second' }, seen)
    t.match(second, { status: 409, json: { code: 'SQLA_ERR_FLAG_CONFLICT' } })
    t.equal((await ask('PATCH', '/a', { owner: 'second', version: 1 })).status, 409)
    t.equal((await ask('POST', '/a/enable', undefined, seen)).status, 409)
    t.equal((await ask('DELETE', '/a', undefined, seen)).status, 409)
    t.equal((await ask('DELETE', '/a?hard=true', undefined, seen)).status, 409)
    t.match((await ask('GET', '/a')).json, { version: 2, owner: 'first', enabled: false })
    t.equal((await ask('PATCH', '/a', { owner: 'third', version: 2 })).status, 200)
    t.equal((await ask('PATCH', '/a', { owner: 'fourth' }, { 'if-match': 'W/"3"' })).status, 200)
    t.equal((await ask('PATCH', '/a', {}, { 'if-match': '3' })).json.code, 'SQLA_ERR_FLAG_REQUEST')
    const rush = await Promise.all(['x', 'y', 'z'].map(owner => ask('PATCH', '/a', { owner })))
    t.same(
      rush.map(({ status }) => status),
      [200, 200, 200],
      'who names no version means the newest',
    )
  })

  t.test('any name works in the path', async t => {
    const ask = asker(await apiApp(t, await open(t)))
    for (const name of NAMES) {
      t.equal((await ask('POST', '/', { name })).status, 201, name)
      const path = `/${encodeURIComponent(name)}`
      t.equal((await ask('GET', path)).json?.name, name)
      t.equal((await ask('PATCH', path, { enabled: true })).json?.name, name)
      t.equal((await ask('POST', `${path}/disable`)).json?.name, name)
      t.equal((await ask('DELETE', path)).status, 204)
      t.equal((await ask('POST', `${path}/restore`)).json?.name, name)
    }
    const { json } = await ask('GET', '/')
    t.same(
      json.flags.map((flag: { name: string }) => flag.name),
      [...NAMES].sort(),
    )
  })

  t.test('the list has the flags or the tombstones, and what is searched', async t => {
    const ask = asker(await apiApp(t, await open(t)))
    await ask('POST', '/', { name: 'b', description: 'the new CHECKOUT' })
    await ask('POST', '/', { name: 'Checkout-old' })
    await ask('POST', '/', { name: 'a', owner: 'shop' })
    await ask('DELETE', '/a')
    const names = async (query: string) =>
      (await ask('GET', `/${query}`)).json.flags.map(({ name }: { name: string }) => name)
    t.same(await names(''), ['Checkout-old', 'b'])
    t.same(await names('?search=checkout'), ['Checkout-old', 'b'])
    t.same(await names('?search=NEW'), ['b'])
    t.same(await names('?deleted=true'), ['a'])
    t.same(await names('?deleted=true&search=SHOP'), ['a'])
    t.same(await names(`?search=${encodeURIComponent("' or 1=1 --")}`), [])
    t.equal((await ask('GET', '/')).json.version, 4)
    t.equal((await ask('GET', '/?deleted=yes')).json.code, 'SQLA_ERR_FLAG_REQUEST')
    t.equal((await ask('GET', '/?serach=a')).status, 400)
  })
}

t.test('in memory', async t => contract(t, async () => new MemoryFlagStorage()))

await onEveryBackend(
  t,
  async (t, backend) => {
    let tables = 0
    contract(t, async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      const orm = backend.options({ entities: [], discovery: { warnWhenNoEntities: false } })
      await app.register(sqlAssist, { engines: { writer: { orm: orm as never } } })
      await app.ready()
      const storage = new FlagStorage({
        on: app.sqlAssist.engines.get('writer'),
        flagsTable: `flags_${++tables}`,
        metadataTable: `meta_${tables}`,
      })
      await storage.createTables()
      return storage
    })
  },
  ['PostgreSQL'],
)

t.test('what is not valid is a 400 that says why, and nothing is guessed', async t => {
  const app = await apiApp(t)
  const ask = asker(app)
  await ask('POST', '/', { name: 'a' })
  const deep = `${'['.repeat(100_000)}1${']'.repeat(100_000)}`
  const variants = (value: string) =>
    `{"variants":{"actor_key":"u","options":[{"name":"x","weight":1,"value":${value}}]}}`
  const changes = [
    '',
    '{',
    'null',
    '[]',
    '1',
    '"x"',
    '{"enabled":"true"}',
    '{"enabled":null}',
    '{"enabled":1}',
    '{"enable":true}',
    '{"name":"b"}',
    '{"deleted":true}',
    '{"updated_at":1}',
    '{"__proto__":{"enabled":true}}',
    '{"constructor":{"prototype":{}}}',
    '{"hash":"md5"}',
    '{"version":"1"}',
    '{"version":1.5}',
    '{"enabled_for_actors":{"actor_key":"u","actor_ids":"ann"}}',
    '{"enabled_for_actors":{"actor_key":"u","actor_ids":[1]}}',
    '{"enabled_for_actors":{"actor_key":"","actor_ids":[]}}',
    '{"enabled_for_actors":[]}',
    '{"enabled_for_percentage_of_actors":{"actor_key":"u","percentage":""}}',
    '{"enabled_for_percentage_of_actors":{"actor_key":"u","percentage":null}}',
    '{"enabled_for_percentage_of_actors":{"actor_key":"u","percentage":101}}',
    '{"enabled_for_percentage_of_actors":{"actor_key":"u","percentage":1e999}}',
    '{"enabled_for_percentage_of_actors":{"actor_key":"u","percentage":1,"x":1}}',
    '{"variants":{"actor_key":"u","options":[]}}',
    '{"variants":{"actor_key":"u","options":[null]}}',
    '{"variants":{"actor_key":"u","options":[{"name":"x","weight":0,"value":1}]}}',
    variants('1e999'),
    variants('"\\ud800"'),
    variants(deep),
    '{"requires":["a"]}',
    '{"requires":[null]}',
    '{"from":"tomorrow"}',
    '{"owner":"\\u0000"}',
    '{"description":5}',
  ]
  for (const payload of changes) {
    const answer = await ask('PATCH', '/a', payload, { 'content-type': 'application/json' })
    t.equal(answer.status, 400, payload.slice(0, 80))
    t.match(answer.json.code, /^(SQLA|FST)_ERR_/)
  }
  const names = ['', ' ', null, 5, 'x'.repeat(256), 'a\u0000', 'a\nb', '\ud800', ['a'], {}]
  for (const name of names) {
    t.equal((await ask('POST', '/', { name } as never)).status, 400, JSON.stringify(name)?.slice(0, 40))
  }
  t.equal((await ask('POST', '/')).status, 400, 'no body')
  t.equal((await ask('PATCH', '/a')).status, 400, 'no body')
  t.equal((await ask('PATCH', '/a', 'enabled=true', { 'content-type': 'text/plain' })).status, 400)
  t.equal(
    (await ask('PATCH', '/a', 'enabled=true', { 'content-type': 'application/x-www-form-urlencoded' }))
      .status,
    415,
  )
  t.equal((await ask('PATCH', '/a', { description: 'x'.repeat(300_000) })).status, 413)
  t.equal((await ask('GET', '/%FF')).status, 400)
  t.equal((await ask('DELETE', '/a?hard=1')).status, 400)
  t.equal((await ask('DELETE', '/a?hard=true&hard=true')).status, 400)
  t.match((await ask('GET', '/a')).json, { version: 1, enabled: false }, 'none of it was saved')
})

t.test('mounting without a word about who may is refused', async t => {
  for (const options of [
    {},
    { authorize: undefined },
    { authorize: true },
    { authorize: 'all' },
    { authorize: null },
  ]) {
    const app = Fastify()
    await app.register(flags, { storage: new MemoryFlagStorage() })
    await t.rejects(async () => app.register(flagsApi, options as never), { code: 'SQLA_ERR_FLAG_AUTHORIZE' })
  }
  const bare = Fastify()
  await t.rejects(async () => bare.register(flagsApi, { authorize: 'none' }), {
    code: 'SQLA_ERR_FLAG_PLUGIN',
  })
})

t.test('whoever is refused is refused on every route, before anything is read', async t => {
  const refusals: Record<string, [unknown, number]> = {
    'throws a status': [
      async () => {
        throw Object.assign(new Error('no'), { statusCode: 401 })
      },
      401,
    ],
    'throws at once': [
      () => {
        throw Object.assign(new Error('no'), { statusCode: 401 })
      },
      401,
    ],
    'throws nothing in particular': [async () => Promise.reject(new Error('no')), 500],
    'returns false': [() => false, 403],
    'returns false later': [async () => false, 403],
    'returns null': [async () => null, 403],
    sends: [
      async (_request: never, reply: { code(code: number): { send(body: string): void } }) => {
        reply.code(401).send('no')
      },
      401,
    ],
    redirects: [
      async (_request: never, reply: { redirect(to: string): unknown }) => reply.redirect('/login'),
      302,
    ],
    'calls back with an error': [
      (_request: never, _reply: never, done: (error: Error) => void) => {
        setImmediate(() => done(Object.assign(new Error('no'), { statusCode: 401 })))
      },
      401,
    ],
    'sends and never calls back': [
      (_request: never, reply: { code(code: number): { send(body: string): void } }, _done: never) => {
        setImmediate(() => reply.code(401).send('no'))
      },
      401,
    ],
  }
  for (const [way, [authorize, status]] of Object.entries(refusals)) {
    await t.test(`authorize ${way}`, async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      // Replies that are on their way for a while must not be taken for none.
      app.addHook('onSend', async () => new Promise(resolve => setTimeout(resolve, 2)))
      const storage = new MemoryFlagStorage()
      await storage.upsert({ name: 'a' })
      const routes: [string, string][] = []
      app.addHook('onRoute', ({ method, url }) => {
        for (const one of [method].flat()) routes.push([one, url.replace(':name', 'a')])
      })
      await app.register(flags, { storage })
      await app.register(flagsApi, { prefix: '/flags', authorize: authorize as never })
      app.get('/open', async () => 'open')
      t.ok(routes.length >= 12)
      for (const [method, url] of routes.filter(([, url]) => url !== '/open')) {
        const answer = await app.inject({
          method: method as 'GET',
          url,
          payload: method === 'POST' ? '{' : (undefined as never),
        })
        t.equal(answer.statusCode, status, `${method} ${url}`)
        t.notMatch(answer.body, /updated_at/)
      }
      t.same(
        (await storage.list()).map(({ version }) => version),
        [1],
      )
      t.equal((await app.inject('/open')).body, 'open', 'only the routes of the plugin are guarded')
    })
  }
})

t.test('whoever is let in gets in, also through done', async t => {
  const ways = [
    async () => {},
    () => true,
    async () => ({ user: 1 }),
    (_q: unknown, _r: unknown, done: () => void) => setImmediate(done),
  ]
  for (const authorize of ways) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(flags, { storage: new MemoryFlagStorage() })
    await app.register(flagsApi, { prefix: '/flags', authorize: authorize as never })
    t.equal((await app.inject('/flags/')).statusCode, 200)
    t.equal((await app.inject({ method: 'POST', url: '/flags', payload: { name: 'a' } })).statusCode, 201)
  }
})

t.test('a page of another site cannot switch flags through the browser of somebody who may', async t => {
  const ask = asker(await apiApp(t))
  await ask('POST', '/', { name: 'a' })
  for (const site of ['cross-site', 'same-site']) {
    const forged = await ask('POST', '/a/enable', undefined, { 'sec-fetch-site': site })
    t.match(forged, { status: 403, json: { code: 'SQLA_ERR_FLAG_FORBIDDEN' } })
    t.equal(
      (await ask('POST', '/a/enable', '', { 'sec-fetch-site': site, 'content-type': 'text/plain' })).status,
      403,
    )
  }
  t.equal((await ask('GET', '/a')).json.enabled, false)
  t.equal((await ask('POST', '/a/enable', undefined, { 'sec-fetch-site': 'same-origin' })).status, 200)
  t.equal(
    (await ask('POST', '/a/disable', {}, { 'sec-fetch-site': 'cross-site' })).status,
    200,
    'CORS has asked for JSON',
  )
})

t.test(
  'a storage that fails is a 503 without SQL; a flag that is saved is answered though reading fails',
  async t => {
    const storage = new MemoryFlagStorage()
    const app = await apiApp(t, storage)
    const ask = asker(app)
    await ask('POST', '/', { name: 'a' })
    const read = storage.changesSince
    storage.changesSince = async () => Promise.reject(new Error('select data from flypper_flags'))
    t.equal((await ask('POST', '/a/enable')).status, 200)
    const failed = await ask('GET', '/')
    t.match(failed, { status: 503, json: { code: 'SQLA_ERR_FLAG_UNAVAILABLE' } })
    t.notMatch(failed.text, /select/)
    storage.changesSince = read
    t.equal((await ask('GET', '/')).status, 200)
  },
)

t.test('Swagger shows the routes with their schemas', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  await app.register(flags, { storage: new MemoryFlagStorage() })
  await app.register(flagsApi, { prefix: '/flags', authorize: 'none' })
  await app.ready()
  const { paths } = app.swagger() as { paths: Record<string, Record<string, unknown>> }
  t.same(
    Object.entries(paths)
      .flatMap(([path, methods]) => Object.keys(methods).map(method => `${method} ${path}`))
      .sort(),
    [
      'delete /flags/{name}',
      'get /flags/',
      'get /flags/events',
      'get /flags/{name}',
      'patch /flags/{name}',
      'post /flags/',
      'post /flags/{name}/disable',
      'post /flags/{name}/enable',
      'post /flags/{name}/restore',
    ],
  )
  t.match(JSON.stringify(paths['/flags/{name}']?.patch), /enabled_for_percentage_of_actors/)
})
