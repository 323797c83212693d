import { OpenFeature } from '@openfeature/server-sdk'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import {
  FlagClient,
  type FlagInput,
  flags,
  MemoryFlagStorage,
  ofrep,
  SqlAssistProvider,
} from '../../plugins/flags/index.ts'

// Which flags count as asked for, whoever asks: what is not, somebody may delete.

const ACTORS = { actor_key: 'user_id', actor_ids: ['ann'] }
const FLAGS: FlagInput[] = [
  { name: 'on', enabled: true },
  { name: 'off' },
  { name: 'for-ann', enabled: true, enabled_for_actors: ACTORS },
  {
    name: 'colour',
    enabled: true,
    variants: { actor_key: 'user_id', options: [{ name: 'red', value: '#f00', weight: 1 }] },
  },
  { name: 'base', enabled: true },
  { name: 'on-base', enabled: true, requires: ['base'] },
]

async function stored(): Promise<MemoryFlagStorage> {
  const storage = new MemoryFlagStorage()
  for (const flag of FLAGS) await storage.upsert(flag)
  return storage
}

/** The names of the flags that somebody has asked for since this was called last. */
function asked(client: FlagClient): string[] {
  const found = [...client.flags().values()].filter(({ isAsked }) => isAsked)
  for (const flag of found) flag.isAsked = false
  return found.map(({ name }) => name).sort()
}

t.test('through a context', async t => {
  const client = new FlagClient({ storage: await stored() })
  await client.sync()
  const context = client.context()
  t.same(asked(client), [], 'having them is not asking')
  context.isEnabled('off')
  t.same(asked(client), ['off'])
  context.value('colour', 5)
  t.same(asked(client), ['colour'], 'for another type as well')
  context.isEnabled('on-base')
  t.same(asked(client), ['base', 'on-base'], 'with what it requires')
  context.details('on-base', false)
  t.same(asked(client), ['base', 'on-base'])
  context.isEnabled('nope')
  t.same(asked(client), [])
})

t.test('through the provider', async t => {
  const client = new FlagClient({ storage: await stored() })
  t.teardown(() => OpenFeature.clearProviders())
  await OpenFeature.setProviderAndWait('asked', new SqlAssistProvider(client, { closeClient: true }))
  const feature = OpenFeature.getClient('asked')
  t.same(asked(client), [], 'being ready is not asking')
  await feature.getBooleanValue('off', false)
  await feature.getStringValue('colour', '')
  t.same(asked(client), ['colour', 'off'])
  await feature.getNumberValue('for-ann', 0)
  t.same(asked(client), ['for-ann'], 'in vain as well')
  await feature.getBooleanValue('on-base', false)
  t.same(asked(client), ['base', 'on-base'])
  await feature.getObjectValue('nope', {})
  t.same(asked(client), [])
})

async function ofrepApp(t: Test) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage: await stored() })
  await app.register(ofrep, { authorize: 'none' })
  await app.ready()
  const ask = (path: string, payload: object | string, headers: Record<string, string> = {}) =>
    app.inject({ method: 'POST', url: `/ofrep/v1/evaluate/flags${path}`, payload, headers })
  return { client: app.flags, ask }
}

t.test('through OFREP, one by one', async t => {
  const { client, ask } = await ofrepApp(t)
  t.same(asked(client), [])
  await ask('/off', {})
  t.same(asked(client), ['off'])
  t.equal((await ask('/for-ann', {})).json().errorCode, 'TARGETING_KEY_MISSING')
  t.same(asked(client), ['for-ann'], 'without saying who')
  await ask('/on-base', { context: { targetingKey: 'ann' } })
  t.same(asked(client), ['base', 'on-base'])
  await ask('/nope', {})
  t.equal((await ask('/on', { context: 5 })).statusCode, 400)
  t.same(asked(client), [], 'what cannot be read asks for nothing')
})

t.test('through OFREP, all at once: every flag, also when nothing has changed', async t => {
  const all = FLAGS.map(({ name }) => name).sort()
  const { client, ask } = await ofrepApp(t)
  const { headers } = await ask('', {})
  t.same(asked(client), all)
  const again = await ask('', {}, { 'if-none-match': String(headers.etag) })
  t.equal(again.statusCode, 304)
  t.same(asked(client), all)
  t.equal((await ask('', { context: 5 })).statusCode, 400)
  t.same(asked(client), [])
})

t.test('and that is what is written down', async t => {
  const storage = await stored()
  const client = new FlagClient({ storage, ttl: 60_000 })
  await OpenFeature.setProviderAndWait('noted', new SqlAssistProvider(client, { closeClient: true }))
  await OpenFeature.getClient('noted').getBooleanValue('on-base', false)
  await OpenFeature.clearProviders()
  t.same([...(await storage.usage()).askedAt.keys()].sort(), ['base', 'on-base'])
})
