import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type FlagInput, flags, MemoryFlagStorage, ofrep } from '../../plugins/flags/index.ts'

const PATH = '/ofrep/v1/evaluate/flags'

const FLAGS: FlagInput[] = [
  { name: 'on', enabled: true },
  { name: 'off' },
  { name: 'ann', enabled: true, enabled_for_actors: { actor_key: 'user_id', actor_ids: ['ann', '42'] } },
  { name: 'by-country', enabled: true, enabled_for_actors: { actor_key: 'country', actor_ids: ['CH'] } },
  {
    name: 'colour',
    enabled: true,
    variants: { actor_key: 'user_id', options: [{ name: 'red', value: '#f00', weight: 1 }] },
  },
  {
    name: 'layout',
    enabled: true,
    variants: {
      actor_key: 'user_id',
      options: [
        { name: 'wide', value: { columns: 3 }, weight: 1 },
        { name: 'narrow', value: { columns: 1 }, weight: 1 },
      ],
    },
  },
  {
    name: 'colour-off',
    variants: { actor_key: 'user_id', options: [{ name: 'red', value: '#f00', weight: 1 }] },
  },
  { name: '😀 a/b <script>', enabled: true },
]

async function open(
  t: Test,
  more: object = {},
): Promise<{ app: FastifyInstance; storage: MemoryFlagStorage }> {
  const storage = new MemoryFlagStorage()
  for (const flag of FLAGS) await storage.upsert(flag)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage, strict: true })
  await app.register(ofrep, { authorize: 'none', actorKey: 'user_id', ...more })
  await app.ready()
  return { app, storage }
}

async function one(app: FastifyInstance, key: string, context?: unknown) {
  const payload = context === undefined ? {} : { context }
  const { statusCode, body } = await app.inject({
    method: 'POST',
    url: `${PATH}/${encodeURIComponent(key)}`,
    payload,
  })
  return { status: statusCode, ...JSON.parse(body) }
}

t.test('one flag has its value, reason and variant', async t => {
  const { app } = await open(t)
  t.same(await one(app, 'on'), {
    status: 200,
    key: 'on',
    value: true,
    reason: 'STATIC',
    metadata: { version: 1 },
  })
  t.match(await one(app, 'off', { targetingKey: 'ann' }), { status: 200, value: false, reason: 'DISABLED' })
  t.match(await one(app, 'ann', { targetingKey: 'ann' }), { value: true, reason: 'TARGETING_MATCH' })
  t.match(
    await one(app, 'ann', { targetingKey: 42 }),
    { value: true },
    'a number is the same actor as its text',
  )
  t.match(await one(app, 'ann', { user_id: 'ann' }), { value: true }, 'the entry itself does as well')
  t.match(await one(app, 'ann', { targetingKey: 'bea', user_id: 'ann' }), { value: true }, 'and wins')
  t.match(await one(app, 'ann', { targetingKey: 'bea' }), { value: false, reason: 'DEFAULT' })
  t.match(await one(app, 'by-country', { country: 'CH' }), { value: true })
  t.match(await one(app, 'by-country', { country: ['CH'] }), { value: false }, 'a list is not seen')
  t.match(await one(app, 'colour', { targetingKey: 'ann' }), { value: '#f00', variant: 'red' })
  const layout = await one(app, 'layout', { targetingKey: 'ann' })
  t.match(layout, { reason: 'SPLIT', variant: /wide|narrow/ })
  t.same(layout.value, { columns: layout.variant === 'wide' ? 3 : 1 })
  t.match(await one(app, '😀 a/b <script>'), { status: 200, value: true })
  const off = await one(app, 'colour-off', { targetingKey: 'ann' })
  t.match(off, { status: 200, reason: 'DISABLED' })
  t.notOk('value' in off, 'the default of the client holds')
})

t.test('errors are those of the protocol', async t => {
  const { app } = await open(t)
  t.match(await one(app, 'nope'), { status: 404, key: 'nope', errorCode: 'FLAG_NOT_FOUND' })
  t.match(await one(app, "' or 1=1 --"), { status: 404, errorCode: 'FLAG_NOT_FOUND' })
  for (const key of ['ann', 'layout']) {
    for (const context of [undefined, {}, { targetingKey: null }, { country: 'CH' }]) {
      t.match(await one(app, key, context), { status: 400, key, errorCode: 'TARGETING_KEY_MISSING' })
    }
  }
  for (const context of [
    [],
    'ann',
    5,
    null,
    { targetingKey: {} },
    { targetingKey: true },
    { targetingKey: ['a'] },
  ]) {
    t.match(await one(app, 'on', context), { status: 400, key: 'on', errorCode: 'INVALID_CONTEXT' })
    const bulk = await app.inject({ method: 'POST', url: PATH, payload: { context } })
    t.match([bulk.statusCode, bulk.json()], [400, { errorCode: 'INVALID_CONTEXT' }])
  }
  const headers = { 'content-type': 'application/json' }
  for (const url of [PATH, `${PATH}/on`]) {
    for (const payload of [
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '5',
      '{"__proto__":{"a":1}}',
      '{"context":{"__proto__":{}}}',
    ]) {
      const answer = await app.inject({ method: 'POST', url, payload, headers })
      t.equal(answer.statusCode, 400, payload)
      t.equal(answer.json().errorCode, 'PARSE_ERROR')
      t.equal(answer.json().key, url === PATH ? undefined : 'on')
    }
    t.equal((await app.inject({ method: 'POST', url })).json().errorCode, 'PARSE_ERROR', 'no body')
    const long = await app.inject({ method: 'POST', url, payload: { context: { a: 'x'.repeat(70_000) } } })
    t.match([long.statusCode, long.json()], [413, { errorCode: 'PARSE_ERROR' }])
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    t.equal((await app.inject({ method: 'POST', url, payload: 'a=b', headers: form })).statusCode, 415)
  }
  const context = { constructor: 'x', toString: 'y', hasOwnProperty: 'z', targetingKey: '<script>' }
  t.match(await one(app, 'on', context), { status: 200, value: true })
})

t.test('all flags come with an ETag, which changes with them and with whoever asks', async t => {
  const { app, storage } = await open(t)
  const all = async (targetingKey: string, etag?: string) => {
    const headers = etag === undefined ? {} : { 'if-none-match': etag }
    return app.inject({ method: 'POST', url: PATH, payload: { context: { targetingKey } }, headers })
  }
  const first = await all('ann')
  const etag = String(first.headers.etag)
  const { flags: found } = first.json()
  t.same(
    found.map(({ key }: { key: string }) => key),
    FLAGS.map(({ name }) => name).sort(),
  )
  t.match(
    found.find(({ key }: { key: string }) => key === 'ann'),
    { value: true, reason: 'TARGETING_MATCH' },
  )
  for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const again = await all('ann', known)
    t.match([again.statusCode, again.body, again.headers.etag], [304, '', etag], known)
  }
  t.equal((await all('bea', etag)).statusCode, 200, 'somebody else')
  t.equal((await all('ann', '"x"')).statusCode, 200)
  await storage.upsert({ name: 'off', enabled: true })
  await app.flags.sync()
  const changed = await all('ann', etag)
  t.equal(changed.statusCode, 200)
  t.not(changed.headers.etag, etag)
  const nobody = (await app.inject({ method: 'POST', url: PATH, payload: {} })).json().flags
  t.match(
    nobody.find(({ key }: { key: string }) => key === 'ann'),
    { errorCode: 'TARGETING_KEY_MISSING' },
  )
  t.match(
    nobody.find(({ key }: { key: string }) => key === 'on'),
    { value: true },
  )
})

t.test('it has to be said who may, and whoever may not learns nothing', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => app.register(ofrep, {} as never), { code: 'SQLA_ERR_FLAG_AUTHORIZE' })
  await t.rejects(async () => Fastify().register(ofrep, { authorize: 'none' }), {
    code: 'SQLA_ERR_FLAG_PLUGIN',
  })
  const authorize = async () => {
    throw Object.assign(new Error('no'), { statusCode: 401 })
  }
  const { app: guarded } = await open(t, { authorize })
  for (const url of [PATH, `${PATH}/on`, `${PATH}/nope`]) {
    for (const payload of ['{}', '{']) {
      const headers = { 'content-type': 'application/json' }
      const answer = await guarded.inject({ method: 'POST', url, payload, headers })
      t.equal(answer.statusCode, 401, `${url} ${payload}`)
      t.notMatch(answer.body, /FLAG_NOT_FOUND|value/)
    }
  }
})

t.test('under a prefix, with targetingKey itself as the actor key, and in Swagger', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({
    name: 'a',
    enabled: true,
    enabled_for_actors: { actor_key: 'targetingKey', actor_ids: ['ann'] },
  })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  await app.register(flags, { storage })
  await app.register(ofrep, { prefix: '/public', authorize: 'none' })
  await app.ready()
  const payload = { context: { targetingKey: 'ann' } }
  const answer = await app.inject({ method: 'POST', url: `/public${PATH}/a`, payload })
  t.equal(answer.json().value, true)
  t.same(Object.keys((app.swagger() as { paths: object }).paths), [`/public${PATH}/{key}`, `/public${PATH}`])
})
