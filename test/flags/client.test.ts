import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Entries, FlagClient, type FlagStore, MemoryFlagStorage } from '../../plugins/flags/index.ts'

// The client and its contexts, on flags in this process.

async function clientOf(
  flags: Parameters<FlagStore['upsert']>[0][],
  options: Partial<ConstructorParameters<typeof FlagClient>[0]> = {},
): Promise<FlagClient> {
  const storage = new MemoryFlagStorage()
  for (const flag of flags) await storage.upsert(flag)
  const client = new FlagClient({ storage, ...options })
  await client.sync()
  return client
}

const colours = {
  name: 'colour',
  enabled: true,
  variants: { actor_key: 'user_id', options: [{ name: 'warm', value: 'red', weight: 1 }] },
}

t.test('an entry given with the question wins over that of the context', async t => {
  const actors = { actor_key: 'user_id', actor_ids: ['7'] }
  const client = await clientOf([{ name: 'f', enabled: true, enabled_for_actors: actors }])
  const context = client.context({ user_id: 1, country: 'nz' })
  t.equal(context.isEnabled('f'), false)
  t.equal(context.isEnabled('f', { user_id: 7 }), true)
  t.equal(context.isDisabled('f', { user_id: 7 }), false)
  t.equal(context.isEnabled('f'), false, 'for that question only')
  t.equal(context.set('user_id', 7).isEnabled('f'), true)
  t.equal(context.get('user_id'), 7)
  t.equal(context.get('country'), 'nz')
})

t.test('a client that is new, one that was there, and a context that is older', async t => {
  const client = await clientOf([
    { name: 'gone', enabled: true, deleted: true },
    { name: 'f', enabled: true },
    { name: 'g', enabled: true },
  ])
  t.same([...client.flags().keys()].sort(), ['f', 'g'], 'a new client knows nothing of deleted flags')
  t.equal(client.context().isEnabled('gone'), false)
  const before = client.context()
  const told: string[][] = []
  const end = client.onChange(names => told.push([...names]))
  client.onChange(() => {
    throw new TypeError('not the fault of the flags')
  })
  await client.storage.delete('f')
  await client.storage.purge('g')
  await client.storage.upsert({ name: 'h', enabled: true })
  t.equal(client.context().isEnabled('f'), true, 'before it has asked')
  await client.sync()
  t.same([...client.flags().keys()], ['h'], 'deleted and purged flags are gone')
  t.same(told, [['f', 'h', 'g']])
  t.equal(client.stale, false)
  t.ok(before.isEnabled('f') && before.isEnabled('g') && !before.isEnabled('h'), 'the context keeps its own')
  end()
  await client.storage.upsert({ name: 'h', enabled: false })
  await client.sync()
  t.equal(told.length, 1)
})

t.test('asking never throws', async t => {
  const warnings: string[] = []
  const client = await clientOf(
    [
      { name: 'f', enabled: true, segments: ['s'] },
      { name: 'actors', enabled: true, enabled_for_actors: { actor_key: 'id', actor_ids: ['1'] } },
      ...Array.from({ length: 20_000 }, (_none, n) => ({
        name: `n${n}`,
        enabled: true,
        requires: [`n${n + 1}`],
      })),
    ],
    {
      isInSegment: () => {
        throw new TypeError('a mistake of the application')
      },
      log: { warn: (_object, message) => warnings.push(message) },
    },
  )
  const context = client.context()
  t.equal(context.isEnabled('f'), false)
  t.equal(context.isEnabled('f'), false)
  t.same(warnings, ['a flag could not be evaluated; it is off'], 'it is said once')
  t.match(context.details('f', true), { value: true, reason: 'ERROR', errorCode: 'GENERAL' })
  t.equal(context.isEnabled('n0'), false, 'a chain without end')
  const hostile = { id: Object.create(null), toString: null } as unknown as Entries
  t.equal(context.isEnabled('actors', hostile), false)
  t.equal(context.isEnabled('__proto__'), false)
  t.equal(context.isEnabled('constructor'), false)
})

t.test('values and why they are that', async t => {
  const client = await clientOf([
    colours,
    { name: 'plain', enabled: true },
    { name: 'off', enabled: false },
    { ...colours, name: 'colour off', enabled: false },
    {
      name: 'limit',
      enabled: true,
      variants: { actor_key: 'user_id', options: [{ name: 'low', value: 5, weight: 1 }] },
    },
    {
      name: 'theme',
      enabled: true,
      variants: { actor_key: 'user_id', options: [{ name: 'x', value: { dark: true }, weight: 1 }] },
    },
  ])
  const context = client.context({ user_id: 1 })
  t.equal(context.value('colour', 'blue'), 'red')
  t.equal(context.value('limit', 1), 5)
  t.same(context.value('theme', {}), { dark: true })
  t.equal(context.value('plain', false), true)
  t.equal(context.value('off', true), false, 'a flag without variants is a boolean')
  t.equal(context.value('colour off', 'blue'), 'blue')
  t.same(context.details('colour', 'blue'), {
    flagKey: 'colour',
    value: 'red',
    variant: 'warm',
    reason: 'STATIC',
    version: 1,
  })
  t.match(context.details('colour off', 'blue'), { value: 'blue', reason: 'DISABLED' })
  t.match(context.details('colour', 1), { value: 1, reason: 'ERROR', errorCode: 'TYPE_MISMATCH' })
  t.match(context.details('plain', 'x'), { value: 'x', reason: 'ERROR', errorCode: 'TYPE_MISMATCH' })
  t.match(context.details('none', 'x'), { value: 'x', reason: 'ERROR', errorCode: 'FLAG_NOT_FOUND' })
})

t.test('unknown flags are off and counted, and an error in strict mode', async t => {
  const warnings: object[] = []
  const client = await clientOf([], { log: { warn: object => warnings.push(object) } })
  for (const name of ['a', 'a', 'b']) t.equal(client.context().isEnabled(name), false)
  t.same(client.unknown, new Map(Object.entries({ a: 2, b: 1 })))
  t.same(warnings, [{ flag: 'a' }, { flag: 'b' }])
  for (let n = 0; n < 2_000; n++) client.context().isEnabled(`made up ${n}`)
  t.equal(client.unknown.size, 1_000, 'not without end')

  const strict = await clientOf([{ name: 'f' }], { strict: true })
  t.equal(strict.context().isEnabled('f'), false)
  for (const method of ['isEnabled', 'isDisabled', 'details', 'value'] as const) {
    t.throws(() => strict.context()[method]('g', false as never), {
      code: 'SQLA_ERR_FLAG_UNKNOWN',
      message: /'g'/,
    })
  }
})

t.test('a storage that fails: the last flags go on serving', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'f', enabled: true })
  let failing = false
  const warnings: string[] = []
  const shaky: FlagStore = Object.create(storage, {
    changesSince: {
      value: (version: number) =>
        failing ? Promise.reject(new Error('no connection')) : storage.changesSince(version),
    },
    subscribe: { value: undefined },
  })
  const client = new FlagClient({
    storage: shaky,
    ttl: 20,
    log: { warn: (_object, message) => warnings.push(message) },
  })
  await client.start()
  t.teardown(() => client.close())
  failing = true
  await storage.upsert({ name: 'f', enabled: false }).catch(() => {})
  await t.rejects(client.sync(), { message: 'no connection' })
  await sleep(100)
  t.equal(client.stale, true)
  t.match(client.failure, { message: 'no connection' })
  t.equal(client.context().isEnabled('f'), true)
  t.equal(warnings.length, 1, 'it is said once')
  failing = false
  await sleep(100)
  t.equal(client.stale, false)
  t.equal(client.failure, undefined)
  t.equal(client.context().isEnabled('f'), false)
  t.ok(Date.now() - (client.syncedAt ?? 0) < 1_000)
})

t.test('a storage that never answers keeps nobody from starting and ending, and is stale', async t => {
  const storage = { changesSince: () => new Promise(() => {}) } as unknown as FlagStore
  const client = new FlagClient({ storage, ttl: 50 })
  const begin = performance.now()
  await client.start()
  t.ok(performance.now() - begin < 500)
  t.equal(client.stale, false)
  await sleep(1_200)
  t.equal(client.stale, true)
  await client.close()
  t.ok(performance.now() - begin < 4_000)
})

t.test('that flags are stale is told at once when reading fails, and when it works again', async t => {
  const storage = new MemoryFlagStorage()
  const client = new FlagClient({ storage })
  const told: boolean[] = []
  client.onStale(isStale => told.push(isStale))
  await client.sync()
  Object.assign(storage, { changesSince: () => Promise.reject(new TypeError('no connection')) })
  await t.rejects(client.sync())
  await t.rejects(client.sync())
  t.same(told, [false, true])
  Reflect.deleteProperty(storage, 'changesSince')
  await client.sync()
  t.same(told, [false, true, false])
})

t.test('the flags of a closed client do not become stale', async t => {
  const client = new FlagClient({ storage: new MemoryFlagStorage() })
  await client.start()
  await client.close()
  const later = Date.now() + 3_600_000
  t.intercept(Date, 'now', { value: () => later })
  t.equal(client.stale, false)
})

t.test('a closed client asks no more', async t => {
  const storage = new MemoryFlagStorage()
  let asked = 0
  const counted: FlagStore = Object.create(storage, {
    changesSince: {
      value: (version: number) => {
        asked++
        return storage.changesSince(version)
      },
    },
    subscribe: { value: storage.subscribe.bind(storage) },
  })
  const client = new FlagClient({ storage: counted, ttl: 10 })
  await client.start()
  await sleep(50)
  t.ok(asked >= 2)
  await client.close()
  const before = asked
  await storage.upsert({ name: 'f' }).catch(() => {})
  await sleep(50)
  t.equal(asked, before)
})

t.test('calls at the same time share one question, and one that comes later is not forgotten', async t => {
  const storage = new MemoryFlagStorage()
  const client = new FlagClient({ storage })
  const first = client.sync()
  await storage.upsert({ name: 'f', enabled: true })
  await Promise.all([first, client.sync()])
  t.equal(client.context().isEnabled('f'), true)
})

t.test('a ttl must be a time', async t => {
  for (const ttl of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5' as never]) {
    t.throws(() => new FlagClient({ storage: new MemoryFlagStorage(), ttl }), {
      code: 'SQLA_ERR_INVALID_OPTION',
    })
  }
})

t.test('flags that are saved while a client reads are not lost', async t => {
  const storage = new MemoryFlagStorage()
  const client = new FlagClient({ storage })
  for (let at = 0; at < 20; at++) {
    const [, saved] = await Promise.all([
      client.sync(),
      storage.upsert({ name: `flag ${at}`, enabled: true }),
    ])
    t.equal(saved.version, at + 1)
  }
  await client.sync()
  t.equal(client.flags().size, 20)
})

t.test('who changes a value that he was given does not change the flag for everybody', async t => {
  const options = [{ name: 'one', value: { sizes: [1, 2] }, weight: 1 }]
  const client = await clientOf([
    { name: 'sizes', enabled: true, variants: { actor_key: 'user_id', options } },
  ])
  const given = client.context().value('sizes', { sizes: [] as number[] }) as { sizes: number[] }
  given.sizes.push(3)
  t.strictSame(client.context().value('sizes', { sizes: [] }), { sizes: [1, 2] })
})
