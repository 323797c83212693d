import swagger from '@fastify/swagger'
import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import {
  type FlagData,
  FlagStorage,
  type FlagStore,
  flags,
  flagsApi,
  type HistoryEntry,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'
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

  t.test('the history says who has done what, also of a flag that is gone', async t => {
    const author = (request: FastifyRequest) => request.headers['x-user']?.toString()
    const ask = asker(await apiApp(t, await open(t), { author }))
    const by = (name: string) => ({ 'x-user': name })
    await ask('POST', '/', { name: 'a', owner: 'shop' }, by('ann'))
    await ask('PATCH', '/a', { owner: 'billing' }, by('bea'))
    await ask('POST', '/a/enable', undefined, by('cem'))
    await ask('DELETE', '/a', undefined, by('dan'))
    await ask('POST', '/a/restore')
    await ask('POST', '/a/rollback', { to: 1 }, by('eve'))
    await ask('POST', '/', { name: 'other' }, by('nobody who matters here'))
    const { status, json } = await ask('GET', '/a/history')
    t.equal(status, 200)
    t.equal(json.name, 'a')
    const told = (entries: HistoryEntry[]) =>
      entries.map(({ version, action, author }) => `${version} ${action} ${author}`)
    t.same(told(json.history), [
      '6 changed eve',
      '5 restored null',
      '4 deleted dan',
      '3 changed cem',
      '2 changed bea',
      '1 created ann',
    ])
    t.match(json.history[4], { data: { version: 2, owner: 'billing', enabled: false } })
    t.ok(Math.abs(json.history[0].at - Date.now() / 1000) < 60)

    await ask('DELETE', '/a?hard=true', undefined, by('fay'))
    t.equal((await ask('GET', '/a')).status, 404)
    const page = (query: string) => ask('GET', `/a/history?${query}`)
    t.same(told((await page('limit=2')).json.history), ['8 purged fay', '6 changed eve'])
    t.same(told((await page('limit=2&before=6')).json.history), ['5 restored null', '4 deleted dan'])
    t.same((await page('before=1')).json.history, [], 'after the last page')
    t.equal((await page(`before=${Number.MAX_SAFE_INTEGER}`)).json.history.length, 7)
    t.match(await ask('GET', '/nope/history'), { status: 404, json: { code: 'SQLA_ERR_FLAG_NOT_FOUND' } })
    for (const query of [
      'limit=0',
      'limit=1001',
      'limit=x',
      'limit=1.5',
      'limit=',
      'before=-1',
      'before=1e3',
      'x=1',
    ])
      t.match(await page(query), { status: 400, json: { code: 'SQLA_ERR_FLAG_REQUEST' } }, query)
  })

  t.test('a flag is made what it was', async t => {
    const app = await apiApp(t, await open(t))
    const ask = asker(app)
    const variants = { actor_key: 'user_id', options: [{ name: 'x', value: 1, weight: 1 }], otherwise: 'x' }
    await ask('POST', '/', { name: 'a', owner: 'shop', variants })
    await ask('PATCH', '/a', { owner: 'billing', variants: null, enabled: true })
    const seen = { 'if-match': '"1"' }
    const late = await ask('POST', '/a/rollback', { to: 1 }, seen)
    t.match(late, { status: 409, json: { code: 'SQLA_ERR_FLAG_CONFLICT' } })
    t.match((await ask('GET', '/a')).json, { version: 2, owner: 'billing' })

    const back = await ask('POST', '/a/rollback', { to: 1 }, { 'if-match': '"2"' })
    t.match(back, { status: 200, headers: { etag: '"3"' } })
    t.match(back.json, { version: 3, owner: 'shop', enabled: false, variants })
    t.equal(app.flags.flags().get('a')?.version, 3, 'this process knows of it at once')
    await ask('DELETE', '/a')
    t.match((await ask('POST', '/a/rollback', { to: 2 })).json, {
      deleted: false,
      owner: 'billing',
      enabled: true,
    })

    for (const to of [99, Number.MAX_SAFE_INTEGER]) {
      const unknown = await ask('POST', '/a/rollback', { to })
      t.match(unknown, { status: 404, json: { code: 'SQLA_ERR_FLAG_VERSION' } }, String(to))
    }
    t.equal((await ask('POST', '/nope/rollback', { to: 1 })).status, 404)
    await ask('POST', '/', { name: 'other' })
    t.equal((await ask('POST', '/other/rollback', { to: 1 })).status, 404, 'the version of another flag')
    for (const body of [
      {},
      { to: 0 },
      { to: '1' },
      { to: 1.5 },
      { to: null },
      { to: 1, version: 5 },
      [],
      undefined,
    ])
      t.match(await ask('POST', '/a/rollback', body), { status: 400 }, JSON.stringify(body))
    t.equal((await ask('GET', '/a')).json.version, 5, 'none of it was saved')
    await ask('DELETE', '/a?hard=true')
    t.equal((await ask('POST', '/a/rollback', { to: 2 })).status, 404, 'of a flag that is gone for ever')
  })
}

t.test('which flags nobody has asked for', async t => {
  const day = 86_400
  const now = Date.now() / 1000
  const changedAt: Record<string, number> = {
    new: now,
    fresh: now - day * 60,
    old: now - day * 60,
    never: now - day * 60,
  }
  const storage = new MemoryFlagStorage()
  const ask = asker(await apiApp(t, storage))
  t.same((await ask('GET', '/unused')).json, { since: null, flags: [] }, 'before anything is written down')
  for (const name of [...Object.keys(changedAt), 'gone']) await storage.upsert({ name })
  await storage.delete('gone')
  const list = storage.list.bind(storage)
  storage.list = async options =>
    (await list(options)).map(flag => ({ ...flag, updated_at: changedAt[flag.name] ?? 0 }))
  const asked = { fresh: now - day * 10, old: now - day * 40 }
  storage.usage = async () => ({ since: now - day * 50, askedAt: new Map(Object.entries(asked)) })

  const unused = async (query: string) => {
    const { json } = await ask('GET', `/unused${query}`)
    t.equal(json.since, now - day * 50)
    return json.flags.map(({ flag, askedAt }: { flag: FlagData; askedAt: number }) => [flag.name, askedAt])
  }
  t.same(await unused(''), [
    ['old', asked.old],
    ['never', null],
  ])
  t.same(await unused('?days=30'), await unused(''))
  t.same(await unused('?days=5'), [['fresh', asked.fresh], ...(await unused(''))])
  t.same(await unused('?days=51'), [])
  for (const days of ['0', '-1', 'x', '1.5', '3651', ''])
    t.match(
      await ask('GET', `/unused?days=${days}`),
      { status: 400, json: { code: 'SQLA_ERR_FLAG_REQUEST' } },
      days,
    )

  await storage.upsert({ name: 'unused' })
  t.ok(Array.isArray((await ask('GET', '/unused')).json.flags), 'GET of a flag with this name is in the way')
  t.equal((await ask('PATCH', '/unused', { owner: 'ann' })).json.owner, 'ann', 'the rest is not')
  t.equal((await ask('GET', '/unused/history')).json.history[0].data.owner, 'ann')
  t.match((await ask('GET', '/?search=unused')).json.flags, [{ name: 'unused', owner: 'ann' }])
})

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
        historyTable: `history_${tables}`,
        usageTable: `usage_${tables}`,
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
    '{"variants":{"actor_key":"u","options":[{"name":"x","weight":1,"value":1}],"otherwise":"y"}}',
    '{"variants":{"actor_key":"u","options":[{"name":"x","weight":1,"value":1}],"otherwise":["x"]}}',
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
      t.ok(routes.length >= 17)
      t.ok(routes.some(([method, url]) => `${method} ${url}` === 'POST /flags/a/rollback'))
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
  const forged = await ask('POST', '/a/rollback', '{"to":1}', {
    'sec-fetch-site': 'cross-site',
    'content-type': 'text/plain',
  })
  t.match(forged, { status: 403, json: { code: 'SQLA_ERR_FLAG_FORBIDDEN' } })
  t.match((await ask('GET', '/a')).json, { enabled: false, version: 1 })
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
      'get /flags/unused',
      'get /flags/{name}',
      'get /flags/{name}/history',
      'patch /flags/{name}',
      'post /flags/',
      'post /flags/{name}/disable',
      'post /flags/{name}/enable',
      'post /flags/{name}/restore',
      'post /flags/{name}/rollback',
    ],
  )
  t.match(JSON.stringify(paths['/flags/{name}']?.patch), /enabled_for_percentage_of_actors.*otherwise/)
  t.match(JSON.stringify(paths['/flags/{name}/history']?.get), /"name":"before".*"action":/)
  t.match(JSON.stringify(paths['/flags/{name}/rollback']?.post), /"to":.*"if-match"/)
  t.match(JSON.stringify(paths['/flags/unused']?.get), /"name":"days".*"askedAt":/)
})
