import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { defineConfig } from '@mikro-orm/postgresql'
import { type Client, type EventDetails, OpenFeature, ProviderEvents } from '@openfeature/server-sdk'
import Fastify from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import {
  type Entries,
  errors,
  FlagClient,
  type FlagClientOptions,
  type FlagInput,
  FlagStorage,
  flags,
  MemoryFlagStorage,
  SqlAssistProvider,
  type SqlAssistProviderOptions,
} from '../../plugins/flags/index.ts'
import { sqlAssist } from '../../src/index.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { primaryUrl, testDatabase } from '../support/cluster.ts'

let domains = 0

interface Provided {
  readonly storage: MemoryFlagStorage
  readonly flagClient: FlagClient
  readonly provider: SqlAssistProvider
  readonly client: Client
}

async function provided(
  t: Test,
  options: SqlAssistProviderOptions = {},
  clientOptions: Partial<FlagClientOptions> = {},
  first: readonly FlagInput[] = [],
): Promise<Provided> {
  const storage = new MemoryFlagStorage()
  for (const flag of first) await storage.upsert(flag)
  const flagClient = new FlagClient({ storage, ttl: 60_000, ...clientOptions })
  const provider = new SqlAssistProvider(flagClient, { closeClient: true, ...options })
  t.teardown(() => OpenFeature.clearProviders())
  const domain = `domain ${++domains}`
  await OpenFeature.setProviderAndWait(domain, provider)
  return { storage, flagClient, provider, client: OpenFeature.getClient(domain) }
}

/** Everything that a provider tells, in order. */
function told(client: Client): EventDetails[] & { names: string[] } {
  const events = Object.assign([] as EventDetails[], { names: [] as string[] })
  for (const name of Object.values(ProviderEvents)) {
    client.addHandler(name, details => {
      events.names.push(name)
      if (details) events.push(details)
    })
  }
  return events
}

async function until(t: Test, what: string, is: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!is() && performance.now() < deadline) await sleep(5)
  t.ok(is(), what)
}

t.test('the targeting key is the actor', async t => {
  const { storage, flagClient, client } = await provided(t)
  const enabled_for_actors = { actor_key: 'user_id', actor_ids: ['42'] }
  await storage.upsert({ name: 'new', enabled: true, enabled_for_actors })
  await flagClient.sync()

  t.test('under the name user_id', async t => {
    t.equal(await client.getBooleanValue('new', false, { targetingKey: '42' }), true)
    t.equal(await client.getBooleanValue('new', false, { targetingKey: '43' }), false)
    t.equal(await client.getBooleanValue('new', false), false)
    t.equal((await client.getBooleanDetails('new', false, { targetingKey: '42' })).reason, 'TARGETING_MATCH')
  })

  t.test('unless the context says who it is under that name, a number as well', async t => {
    t.equal(await client.getBooleanValue('new', false, { targetingKey: '43', user_id: '42' }), true)
    t.equal(await client.getBooleanValue('new', false, { targetingKey: '43', user_id: 42 }), true)
    t.equal(await client.getBooleanValue('new', false, { targetingKey: '42', user_id: '43' }), false)
    t.equal(await client.getBooleanValue('new', false, { targetingKey: '42', user_id: null }), false)
  })
})

t.test('flags may look for the subject under names of the application', async t => {
  const inputs = ['account', 'tenant', 'user_id'].map(key => ({
    name: key,
    enabled: true,
    enabled_for_actors: { actor_key: key, actor_ids: ['a'] },
  }))
  const { client } = await provided(t, { actorKey: ['account', 'tenant'] }, {}, inputs)
  const on = (key: string) => client.getBooleanValue(key, false, { targetingKey: 'a' })
  t.same([await on('account'), await on('tenant'), await on('user_id')], [true, true, false])
})

t.test('dates become texts; lists and objects are nobody, and reach no segment', async t => {
  let seen: Entries = {}
  const isInSegment = (_: string, entries: Entries) => {
    seen = entries
    return true
  }
  const { storage, flagClient, client } = await provided(t, {}, { isInSegment })
  await storage.upsert({ name: 'new', enabled: true, segments: ['all'] })
  await flagClient.sync()
  const since = new Date('2026-01-31T12:00:00Z')
  await client.getBooleanValue('new', false, {
    targetingKey: 'ann',
    since,
    never: new Date(Number.NaN),
    list: ['a'],
    plan: { name: 'pro' },
    age: 3,
    __proto__: { polluted: 'yes' },
  })
  t.strictSame(seen, {
    targetingKey: 'ann',
    user_id: 'ann',
    since: '2026-01-31T12:00:00.000Z',
    never: undefined,
    age: 3,
  })
})

t.test('the value, the reason, the variant, the version and the owner are told', async t => {
  const options = [
    { name: 'red', value: { colour: 'red' }, weight: 1 },
    { name: 'blue', value: { colour: 'blue' }, weight: 0 },
  ]
  const enabled_for_percentage_of_actors = { actor_key: 'user_id', percentage: 100 }
  const { client } = await provided(t, {}, {}, [
    { name: 'off' },
    { name: 'on', enabled: true, owner: 'shop' },
    { name: 'button', enabled: true, variants: { actor_key: 'user_id', options } },
    { name: 'share', enabled: true, enabled_for_percentage_of_actors },
  ])
  const context = { targetingKey: 'ann' }

  t.match(await client.getBooleanDetails('off', true, context), {
    value: false,
    reason: 'DISABLED',
    flagMetadata: { version: 1 },
  })
  t.match(await client.getBooleanDetails('on', false), {
    value: true,
    reason: 'STATIC',
    flagMetadata: { version: 2, owner: 'shop' },
  })
  t.match(await client.getBooleanDetails('share', false, context), { value: true, reason: 'SPLIT' })
  const button = await client.getObjectDetails('button', {}, context)
  t.match(button, { value: { colour: 'red' }, variant: 'red', flagMetadata: { version: 3 } })

  t.test('a value that somebody changes is his own', async t => {
    Object.assign(button.value as object, { colour: 'green' })
    t.strictSame(await client.getObjectValue('button', {}, context), { colour: 'red' })
  })
})

t.test('a resolution never throws', async t => {
  t.test('before the flags have been read it says so', async t => {
    const provider = new SqlAssistProvider(new FlagClient({ storage: new MemoryFlagStorage() }))
    t.match(await provider.resolveBooleanEvaluation('new', true, {}), {
      value: true,
      reason: 'ERROR',
      errorCode: 'PROVIDER_NOT_READY',
    })
  })

  t.test('nor does an unknown flag in strict mode, which is counted', async t => {
    const { flagClient, provider } = await provided(t, {}, { strict: true })
    t.match(await provider.resolveStringEvaluation('gone', 'mine', {}), {
      value: 'mine',
      reason: 'ERROR',
      errorCode: 'FLAG_NOT_FOUND',
    })
    t.equal(flagClient.unknown.get('gone'), 1)
  })

  t.test("nor do the application's own functions, of whose errors nothing is told", async t => {
    const secret = 'postgresql://ann:secret@db/shop'
    const fail = (): never => {
      throw new Error(secret)
    }
    for (const [options, clientOptions] of [
      [{}, { isInSegment: fail }],
      [{ flagMetadata: fail }, { isInSegment: () => true }],
    ] as const) {
      const { storage, flagClient, provider } = await provided(t, options, clientOptions)
      await storage.upsert({ name: 'new', enabled: true, segments: ['all'] })
      await flagClient.sync()
      const details = await provider.resolveNumberEvaluation('new', 7, {})
      t.match(details, { value: 7, reason: 'ERROR', errorCode: 'GENERAL' })
      t.notMatch(JSON.stringify(details), secret)
    }
  })
})

t.test('a change is told with the names of the flags', async t => {
  const { storage, flagClient, client } = await provided(t)
  const events = told(client)
  for (const name of ['one', 'two']) {
    await storage.upsert({ name })
    await flagClient.sync()
  }
  await until(t, 'both are told', () => events.flatMap(changesOf).includes('two'))
  t.same([...new Set(events.flatMap(changesOf))].sort(), ['one', 'two'])

  t.test('but to nobody after the provider has been closed', async t => {
    await OpenFeature.clearProviders()
    const before = events.length
    await storage.upsert({ name: 'three' })
    await flagClient.sync()
    t.equal(events.length, before)
  })
})

function changesOf(details: EventDetails): readonly string[] {
  return 'flagsChanged' in details ? (details.flagsChanged as string[]) : []
}

t.test('what the first reading finds has not changed', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'one' })
  const events = told(OpenFeature.getClient('first'))
  const provider = new SqlAssistProvider(new FlagClient({ storage }), { closeClient: true })
  t.teardown(() => OpenFeature.clearProviders())
  await OpenFeature.setProviderAndWait('first', provider)
  await sleep(20)
  t.same(new Set(events.names), new Set([ProviderEvents.Ready]))
})

t.test('closing the provider closes the client only if that is wanted', async t => {
  for (const closeClient of [true, false]) {
    const { storage, flagClient } = await provided(t, { closeClient })
    await OpenFeature.clearProviders()
    await storage.upsert({ name: 'new' })
    await sleep(20)
    t.equal(flagClient.flags().has('new'), !closeClient, `closeClient: ${closeClient}`)
    await flagClient.close()
  }
})

t.test('a handler that throws hinders nobody', async t => {
  const { storage, flagClient, client, provider } = await provided(t)
  const seen: unknown[] = []
  provider.events.addHandler(ProviderEvents.ConfigurationChanged, () => {
    throw new Error('a handler of mine')
  })
  provider.events.addHandler(ProviderEvents.ConfigurationChanged, details => seen.push(details))
  await storage.upsert({ name: 'new', enabled: true })
  await flagClient.sync()
  t.ok(seen.length > 0, 'the next handler is called')
  t.equal(flagClient.stale, false)
  t.equal(await client.getBooleanValue('new', false), true)
})

t.test("the emitter is what the SDK's is: handlers come and go, and their errors are logged", async t => {
  const { events } = new SqlAssistProvider(new FlagClient({ storage: new MemoryFlagStorage() }))
  const { Stale, Ready } = ProviderEvents
  const [calls, logged]: [string[], unknown[]] = [[], []]
  const note = () => void calls.push('note')
  const fail = () => {
    throw new Error('mine')
  }
  const quiet = () => {}
  events.setLogger({ error: (...args) => logged.push(args[1]), warn: quiet, info: quiet, debug: quiet })
  events.addHandler(Stale, note)
  events.addHandler(Stale, note)
  events.addHandler(Stale, fail)
  events.removeHandler(Stale, note)
  events.removeHandler(Ready, note)
  t.same(events.getHandlers(Stale), [note, fail])
  events.emit(Stale)
  events.emit(Ready)
  await sleep(0)
  t.same(calls, ['note'])
  t.match(logged, [/mine/])
  events.addHandler(Ready, note)
  events.removeAllHandlers(Stale)
  t.same([events.getHandlers(Stale).length, events.getHandlers(Ready).length], [0, 1])
  events.removeAllHandlers()
  t.same(events.getHandlers(Ready), [])
})

t.test('hooks of the provider run for every evaluation', async t => {
  const keys: string[] = []
  const hooks = [{ before: ({ flagKey }: { readonly flagKey: string }) => void keys.push(flagKey) }]
  const { client } = await provided(t, { hooks })
  await client.getBooleanValue('one', false)
  await client.getStringValue('two', '')
  t.same(keys, ['one', 'two'])
})

t.test('the flags can be imported where the SDK is not installed', async t => {
  const index = new URL('../../plugins/flags/index.ts', import.meta.url)
  const program = `
    import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) {
      if (!name.startsWith('@openfeature/')) return next(name, context)
      throw Object.assign(new Error('not installed: ' + name), { code: 'ERR_MODULE_NOT_FOUND' })
    } })
    await import('@openfeature/server-sdk').then(() => process.exit(7), () => {})
    const { FlagClient, MemoryFlagStorage, SqlAssistProvider } = await import(${JSON.stringify(index.href)})
    const provider = new SqlAssistProvider(new FlagClient({ storage: new MemoryFlagStorage() }))
    await provider.initialize()
    const { errorCode } = await provider.resolveBooleanEvaluation('new', false, {})
    await provider.onClose()
    console.log(errorCode)
    process.exit()`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--experimental-strip-types',
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '-e',
      program,
    ],
    { cwd: fileURLToPath(new URL('../..', import.meta.url)), env: childEnvironment },
  )
  t.equal(stdout.trim(), 'FLAG_NOT_FOUND')
})

t.test('with PostgreSQL', async t => {
  const database = await testDatabase(t)
  const admin = new pg.Client({ connectionString: await primaryUrl() })
  await admin.connect()
  t.teardown(() => admin.end())
  const cutOff = async () => {
    await admin.query(`alter database ${database.name} with allow_connections false`)
    // Who holds a lock comes last: those who wait for it must not get an answer before they end.
    for (const those of ["state <> 'idle in transaction'", 'true']) {
      const left = async (): Promise<boolean> => {
        const { rowCount } = await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and ${those}`,
          [database.name],
        )
        return (rowCount ?? 0) > 0
      }
      while (await left()) await sleep(5)
    }
  }
  const letIn = () => admin.query(`alter database ${database.name} with allow_connections true`)
  t.teardown(letIn)

  async function application(t: Test, createTables: boolean) {
    const app = Fastify()
    t.teardown(() => app.close())
    t.teardown(() => OpenFeature.clearProviders())
    const orm = defineConfig({
      clientUrl: database.superUrl,
      entities: [],
      discovery: { warnWhenNoEntities: false },
    })
    await app.register(sqlAssist, { engines: { writer: { orm } } })
    await app.register(flags, { createTables, ttl: 50 })
    return app
  }

  t.test('a provider whose flags cannot be read is in ERROR, and READY once they can be', async t => {
    const app = await application(t, false)
    const client = OpenFeature.getClient('late')
    const events = told(client)
    await t.rejects(
      OpenFeature.setProviderAndWait('late', new SqlAssistProvider(app.flags)),
      errors.SQLA_ERR_FLAG_UNREAD,
    )
    t.equal(client.providerStatus, 'ERROR')
    t.equal((await client.getBooleanDetails('new', true)).errorCode, 'PROVIDER_NOT_READY')
    t.notMatch(JSON.stringify(events), /select|flypper/, 'no SQL is told')
    await new FlagStorage({ on: app.sqlAssist.engines.get('writer') }).createTables()
    await until(t, 'it becomes READY by itself', () => client.providerStatus === 'READY')
    t.same([...new Set(events.names)], [ProviderEvents.Error, ProviderEvents.Ready])
  })

  t.test('a provider is STALE while the database is down: the last flags go on serving', async t => {
    const app = await application(t, true)
    await app.flags.storage.upsert({ name: 'new', enabled: true })
    const client = OpenFeature.getClient('down')
    await OpenFeature.setProviderAndWait('down', new SqlAssistProvider(app.flags))
    const events = told(client)
    await cutOff()
    await until(t, 'it becomes STALE', () => client.providerStatus === 'STALE')
    t.equal(await client.getBooleanValue('new', false), true)
    await sleep(200)
    t.equal(events.names.filter(name => name === ProviderEvents.Stale).length, 1, 'told once')

    await t.test('one that is set meanwhile is STALE, too', async t => {
      const second = OpenFeature.getClient('second')
      await OpenFeature.setProviderAndWait('second', new SqlAssistProvider(app.flags))
      await until(t, 'it is STALE', () => second.providerStatus === 'STALE')
    })

    await letIn()
    await until(t, 'it becomes READY again', () => client.providerStatus === 'READY')
    await app.flags.storage.upsert({ name: 'new', enabled: false })
    await until(t, 'changes are told again', () => events.flatMap(changesOf).includes('new'))
    t.equal(await client.getBooleanValue('new', true), false)
  })

  t.test('a provider is STALE while the database is there and does not answer', async t => {
    const app = await application(t, true)
    await app.flags.storage.upsert({ name: 'new', enabled: true })
    const client = OpenFeature.getClient('silent')
    await OpenFeature.setProviderAndWait('silent', new SqlAssistProvider(app.flags))
    await database.sql('begin')
    await database.sql('lock table flypper_metadata')
    await until(t, 'it becomes STALE', () => client.providerStatus === 'STALE')
    t.equal(await client.getBooleanValue('new', false), true)
    await database.sql('rollback')
    await until(t, 'it becomes READY again', () => client.providerStatus === 'READY')
  })

  t.test('a provider is READY once a database answers that did not when it was set', async t => {
    const app = await application(t, true)
    const client = OpenFeature.getClient('slow')
    await database.sql('begin')
    await database.sql('lock table flypper_metadata')
    await t.rejects(
      OpenFeature.setProviderAndWait('slow', new SqlAssistProvider(app.flags)),
      errors.SQLA_ERR_FLAG_UNREAD,
    )
    await sleep(120)
    t.equal(client.providerStatus, 'ERROR', 'still, two ttl later')
    await database.sql('rollback')
    await until(t, 'it becomes READY', () => client.providerStatus === 'READY')
  })

  t.test('a provider that has never had any flags is in ERROR, not STALE', async t => {
    const app = await application(t, true)
    const client = OpenFeature.getClient('never')
    await database.sql('begin')
    await database.sql('lock table flypper_metadata')
    await t.rejects(
      OpenFeature.setProviderAndWait('never', new SqlAssistProvider(app.flags)),
      errors.SQLA_ERR_FLAG_UNREAD,
    )
    await cutOff()
    await until(t, 'the client is stale', () => app.flags.stale)
    t.equal(client.providerStatus, 'ERROR')
    await letIn()
    await until(t, 'it becomes READY', () => client.providerStatus === 'READY')
  })
})
