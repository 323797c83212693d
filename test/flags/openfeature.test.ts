import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MikroORM } from '@mikro-orm/sqlite'
import {
  AsyncLocalStorageTransactionContextPropagator,
  type Client,
  type EvaluationContext,
  type EvaluationDetails,
  type FlagValue,
  type Hook,
  type JsonValue,
  OpenFeature,
} from '@openfeature/server-sdk'
import t, { type Test } from 'tap'
import {
  FlagClient,
  FlagStorage,
  type FlagStore,
  MemoryFlagStorage,
  SqlAssistProvider,
} from '../../plugins/flags/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { type Exclusion, runFeature, type Step, step } from '../support/gherkin.ts'
import { type TestFlags, testFlags } from './openfeature-flags.ts'

// OpenFeature's own features, with its flags as flags of ours. They are read where they are. The feature evaluation is
// not among them: evaluation_v2 has replaced it.

const directory =
  process.env.OPENFEATURE_FEATURES ??
  fileURLToPath(new URL('../../../shared/data/flags/openfeature', import.meta.url))

const EXCLUDED: readonly Exclusion[] = [
  { tag: '@reason-codes-cached', reason: 'every evaluation is in this process; nothing is cached' },
  { tag: '@provider-status-fatal', reason: 'no failure is fatal: the client goes on trying' },
  { step: /^a fatal provider$/, reason: 'no failure is fatal: the client goes on trying' },
]

/** One scenario. */
interface World {
  readonly t: Test
  readonly domain: string
  readonly client: Client
  readonly flags: TestFlags
  provider?: SqlAssistProvider
  type?: string
  key?: string
  fallback?: FlagValue
  context: EvaluationContext
  details?: EvaluationDetails<FlagValue>
  readonly called: Map<string, EvaluationDetails<FlagValue> | undefined>
  readonly order: string[]
  hooks: Hook[]
  /** What has reached the flags. */
  merged?: EvaluationContext
  levels: string[]
  original?: EvaluationContext
}

OpenFeature.setTransactionContextPropagator(new AsyncLocalStorageTransactionContextPropagator())

let worlds = 0
async function world(t: Test): Promise<World> {
  const domain = `scenario ${++worlds}`
  t.teardown(async () => {
    await OpenFeature.clearProviders()
    OpenFeature.setContext({})
    OpenFeature.clearHooks()
  })
  return {
    t,
    domain,
    client: OpenFeature.getClient(domain),
    flags: await testFlags(join(directory, 'test-flags.json')),
    context: {},
    called: new Map(),
    order: [],
    hooks: [],
    levels: [],
  }
}

/** A provider of the test flags, in the state that the scenario wants. */
async function provide(here: World, state: string): Promise<void> {
  const { t, flags, domain } = here
  const storage = await STORAGES[state]?.(t, flags)
  if (storage === undefined) throw new Error(`there is no provider that is ${state}`)
  const client = new FlagClient({
    storage,
    ttl: 60_000,
    isInSegment(segment, entries) {
      here.merged = entries as EvaluationContext
      return segment === 'everybody' || flags.isInSegment(segment, entries)
    },
  })
  const provider = new SqlAssistProvider(client, {
    flagMetadata: ({ name }) => flags.metadata.get(name) ?? {},
    closeClient: true,
  })
  const set = OpenFeature.setProviderAndWait(domain, provider)
  if (state === 'not ready') return void set.catch(() => {})
  await set.catch(error => t.equal(state, 'error', String(error)))
  if (state === 'stale') {
    await (storage as FlagStorage & { drop(): Promise<void> }).drop()
    await t.rejects(client.sync())
  }
}

const STORAGES: Record<string, (t: Test, flags: TestFlags) => Promise<FlagStore>> = {
  async stable(_t, { flags }) {
    const storage = new MemoryFlagStorage()
    for (const flag of flags) await storage.upsert(flag)
    await storage.upsert({ name: 'some-flag', enabled: true, segments: ['everybody'] })
    return storage
  },
  async 'not ready'(t, { flags }) {
    const storage = new MemoryFlagStorage()
    for (const flag of flags) await storage.upsert(flag)
    const { promise, resolve } = Promise.withResolvers<void>()
    t.teardown(resolve)
    const read = storage.changesSince.bind(storage)
    return Object.assign(storage, { changesSince: (version: number) => promise.then(() => read(version)) })
  },
  /** A database without the tables. */
  error: async t => (await sqlite(t)).storage,
  async stale(t, { flags }) {
    const { storage, em } = await sqlite(t)
    await storage.createTables()
    for (const flag of flags) await storage.upsert(flag)
    return Object.assign(storage, { drop: () => em.execute('drop table flypper_metadata') })
  },
}

async function sqlite(t: Test): Promise<{ storage: FlagStorage; em: SqlEm }> {
  const orm = await MikroORM.init({
    dbName: ':memory:',
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  t.teardown(() => orm.close(true))
  const em = orm.em.fork() as unknown as SqlEm
  return { storage: new FlagStorage({ on: em }), em }
}

function typed(type = '', text = ''): FlagValue {
  switch (type.toLowerCase()) {
    case 'boolean':
      return text === 'true'
    case 'integer':
    case 'float':
      return Number(text)
    case 'object':
      return JSON.parse(text) as JsonValue
    default:
      return text
  }
}

function evaluate(here: World, hooks: Hook[] = []): Promise<EvaluationDetails<FlagValue>> {
  const { client, key = '', fallback, context } = here
  switch (here.type?.toLowerCase()) {
    case 'boolean':
      return client.getBooleanDetails(key, fallback as boolean, context, { hooks })
    case 'string':
      return client.getStringDetails(key, fallback as string, context, { hooks })
    case 'object':
      return client.getObjectDetails(key, fallback as JsonValue, context, { hooks })
    default:
      return client.getNumberDetails(key, fallback as number, context, { hooks })
  }
}

const evaluation: Step<World>[] = [
  step('a {words} provider', (here, [state = '']) => provide(here, state)),
  ...['a', 'an'].map(article =>
    step<World>(`${article} {word}-flag with key {string} and a fallback value {string}`, (here, args) => {
      const [type = '', key = '', fallback] = args
      Object.assign(here, { type, key, fallback: typed(type, fallback) })
    }),
  ),
  step(
    'a context containing a key {string}, with type {string} and with value {string}',
    (here, [key = '', type, value]) => {
      here.context[key] = typed(type, value) as string
    },
  ),
  step('a context containing a key {string} with null value', (here, [key = '']) => {
    here.context[key] = null
  }),
  step('the flag was evaluated with details', async here => {
    here.details = await evaluate(here)
  }),
  step('the flag was evaluated with details asynchronously', async here => {
    const pending = evaluate(here)
    here.t.type(pending, Promise)
    here.details = await pending
  }),
  step('the evaluation should complete without blocking', here => here.t.ok(here.details)),
  step('the resolved details value should be {string}', (here, [text]) => {
    here.t.strictSame(here.details?.value, typed(here.type, text))
  }),
  step('the reason should be {string}', (here, [reason]) => here.t.equal(here.details?.reason, reason)),
  step('the error-code should be {string}', (here, [code]) => here.t.equal(here.details?.errorCode, code)),
  step('the flag key should be {string}', (here, [key]) => here.t.equal(here.details?.flagKey, key)),
  step('the variant should be {string}', (here, [name]) => here.t.equal(here.details?.variant, name)),
  step('the provider status should be {string}', (here, [status]) => {
    here.t.equal(here.client.providerStatus, status)
  }),
  step('the resolved metadata should contain', (here, _args, [, ...rows]) => {
    const wanted = rows.map(([key = '', type, text]) => [key, typed(type, text)])
    here.t.strictSame(here.details?.flagMetadata, Object.fromEntries(wanted))
  }),
  step('the resolved metadata is empty', here => here.t.strictSame(here.details?.flagMetadata, {})),
  step('an evaluation context with modifiable data', here => {
    here.context = { targetingKey: 'ann', email: 'ann@example.org', nested: { list: [1, 2] } }
    here.original = structuredClone(here.context)
  }),
  step('the original evaluation context should remain unmodified', here => {
    here.t.strictSame(here.context, here.original)
  }),
  step('the evaluation details should be immutable', async here => {
    const { details } = here
    here.t.throws(() => Object.assign(details?.flagMetadata ?? {}, { more: true }), TypeError)
    // What is done to the details of one evaluation is not seen by the next.
    Object.assign(details ?? {}, { value: 'spoilt' })
    here.t.equal((await evaluate(here)).value, true)
  }),
]

/** Notes that it was called, and with what. */
function recorder(here: World, name: string): Hook {
  const note = (stage: string, details?: EvaluationDetails<FlagValue>) => {
    here.called.set(stage, details)
    here.order.push(`${name} ${stage}`)
  }
  return {
    before: () => note('before'),
    after: (_context, details) => note('after', details),
    error: () => note('error'),
    finally: (_context, details) => note('finally', details),
  }
}

const hooks: Step<World>[] = [
  step('a client with added hook', here => void here.client.addHooks(recorder(here, 'client'))),
  step('the {string} hook should have been executed', (here, [stage = '']) => {
    here.t.ok(here.called.has(stage))
  }),
  step('the {string} hooks should be called with evaluation details', (here, [stages = ''], [, ...rows]) => {
    for (const stage of stages.split(', ')) {
      const details = here.called.get(stage) as unknown as Record<string, unknown>
      for (const [type, key = '', text] of rows) {
        const name = key.replace(/_(\w)/, (_, letter: string) => letter.toUpperCase())
        here.t.equal(details[name], text === 'null' ? undefined : typed(type, text), `${stage}: ${name}`)
      }
    }
  }),
  step('evaluation options containing specific hooks', here => {
    here.hooks = [recorder(here, 'first'), recorder(here, 'second')]
  }),
  step('the flag was evaluated with details using the evaluation options', async here => {
    here.details = await evaluate(here, here.hooks)
  }),
  step('the specified hooks should execute during evaluation', here => {
    here.t.same([...here.called.keys()], ['before', 'after', 'finally'])
  }),
  step('the hook order should be maintained', here => {
    here.t.same(here.order, [
      'first before',
      'second before',
      'second after',
      'first after',
      'second finally',
      'first finally',
    ])
  }),
]

/** Where a context may come from. */
interface Levels {
  [level: string]: EvaluationContext
}
const levelsOf = new WeakMap<World, Levels>()

function addEntry(here: World, level: string, key: string, value: string): void {
  const levels = levelsOf.get(here) ?? {}
  levelsOf.set(here, { ...levels, [level]: { ...levels[level], [key]: value } })
}

const merging: Step<World>[] = [
  step('a stable provider with retrievable context is registered', here => provide(here, 'stable')),
  step(
    'a context entry with key {string} and value {string} is added to the {string} level',
    (here, args) => {
      const [key = '', value = '', level = ''] = args
      addEntry(here, level, key, value)
    },
  ),
  step('a table with levels of increasing precedence', (here, _args, rows) => {
    here.levels = rows.flat()
  }),
  step(
    'context entries for each level from API level down to the {string} level, with key {string} and value {string}',
    (here, [last = '', key = '']) => {
      for (const level of here.levels.slice(0, here.levels.indexOf(last) + 1))
        addEntry(here, level, key, level)
    },
  ),
  step('some flag was evaluated', async here => {
    const { API = {}, Transaction = {}, Client = {}, Invocation = {}, ...rest } = levelsOf.get(here) ?? {}
    OpenFeature.setContext(API)
    here.client.setContext(Client)
    const before = rest['Before Hooks']
    if (before !== undefined) here.client.addHooks({ before: () => before })
    await new Promise<void>((resolve, reject) => {
      OpenFeature.setTransactionContext(Transaction, () => {
        here.client.getBooleanValue('some-flag', false, Invocation).then(() => resolve(), reject)
      })
    })
  }),
  step('the merged context contains an entry with key {string} and value {string}', (here, args) => {
    const [key = '', value] = args
    here.t.equal(here.merged?.[key], value)
  }),
]

const steps = [...evaluation, ...hooks, ...merging]
const FEATURES = { evaluation_v2: 74, contextMerging: 29, hooks: 3, metadata: 5 }
const isThere = await access(join(directory, 'test-flags.json')).then(
  () => true,
  () => false,
)
if (!isThere) {
  t.comment(`SKIPPED: the features of OpenFeature are not in ${directory}; OPENFEATURE_FEATURES says where`)
  t.pass('skipped: there are no features here')
}
const used = new Set<Exclusion>()
for (const [name, count] of isThere ? Object.entries(FEATURES) : []) {
  t.test(`the feature ${name} of OpenFeature`, async t => {
    const { ran, excluded } = await runFeature(t, join(directory, `${name}.feature`), {
      steps,
      excluded: EXCLUDED,
      world,
    })
    t.equal(ran, count, 'as many scenarios as there should be')
    for (const exclusion of excluded.keys()) used.add(exclusion)
  })
}
if (isThere) {
  t.test('nothing is excluded that is not there', async t => {
    t.same(
      EXCLUDED.filter(exclusion => !used.has(exclusion)),
      [],
    )
  })
}
