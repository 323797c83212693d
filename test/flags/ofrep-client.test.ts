import { OFREPProvider } from '@openfeature/ofrep-provider'
import { type Client, OpenFeature } from '@openfeature/server-sdk'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import {
  type FlagInput,
  flags,
  type JsonValue,
  MemoryFlagStorage,
  type OfrepOptions,
  ofrep,
  type Variants,
} from '../../plugins/flags/index.ts'

// OpenFeature's own OFREP provider reads our flags over HTTP.

const ACTORS = { actor_key: 'user_id', actor_ids: ['ann'] }

/** One value for whom the flag is meant, another one for all others. */
function variants(value: JsonValue, other: JsonValue): Variants {
  const options = [
    { name: 'theirs', value, weight: 1 },
    { name: 'others', value: other, weight: 0 },
  ]
  return { actor_key: 'user_id', options, otherwise: 'others' }
}

const LAYOUT = { columns: 3, names: ['a', 'b'], deep: { on: true, none: null } }
const FLAGS: FlagInput[] = [
  { name: 'on', enabled: true },
  { name: 'off' },
  { name: 'for-ann', enabled: true, enabled_for_actors: ACTORS },
  { name: 'text', enabled: true, enabled_for_actors: ACTORS, variants: variants('😀 "blue"', '') },
  { name: 'number', enabled: true, enabled_for_actors: ACTORS, variants: variants(1.5, 0) },
  { name: 'object', enabled: true, enabled_for_actors: ACTORS, variants: variants(LAYOUT, {}) },
  { name: 'boolean', enabled: true, enabled_for_actors: ACTORS, variants: variants(true, false) },
  { name: 'text-off', variants: variants('blue', 'grey') },
  { name: 'by-country', enabled: true, enabled_for_actors: { actor_key: 'country', actor_ids: ['CH'] } },
  { name: '😀 new <script>', enabled: true },
]

let domains = 0

/** A client of a server that listens. */
async function remote(
  t: Test,
  options: OfrepOptions = { authorize: 'none' },
  headers: Record<string, string> = {},
): Promise<Client> {
  const storage = new MemoryFlagStorage()
  for (const flag of FLAGS) await storage.upsert(flag)
  const app = Fastify()
  await app.register(flags, { storage })
  await app.register(ofrep, options)
  const baseUrl = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => {
    await OpenFeature.clearProviders()
    await app.close()
  })
  const domain = `remote ${++domains}`
  const provider = new OFREPProvider({ baseUrl, headers: Object.entries(headers) })
  await OpenFeature.setProviderAndWait(domain, provider)
  return OpenFeature.getClient(domain)
}

const ANN = { targetingKey: 'ann' }
const BEA = { targetingKey: 'bea' }

t.test('values of every type, with variant, reason and metadata', async t => {
  const client = await remote(t)
  const theirs = { variant: 'theirs', reason: 'TARGETING_MATCH' }
  t.same(await client.getBooleanDetails('on', false), {
    flagKey: 'on',
    value: true,
    variant: undefined,
    reason: 'STATIC',
    flagMetadata: { version: 1 },
  })
  t.match(await client.getBooleanDetails('boolean', false, ANN), { value: true, ...theirs })
  t.match(await client.getStringDetails('text', 'mine', ANN), { value: '😀 "blue"', ...theirs })
  t.match(await client.getNumberDetails('number', 7, ANN), { value: 1.5, ...theirs })
  const object = await client.getObjectDetails('object', {}, ANN)
  t.match(object, theirs)
  t.strictSame(object.value, LAYOUT)
  t.match(await client.getBooleanDetails('for-ann', false, ANN), { value: true, reason: 'TARGETING_MATCH' })
  t.equal(await client.getBooleanValue('by-country', false, { ...BEA, country: 'CH' }), true)
  t.equal(await client.getBooleanValue('by-country', true, { ...BEA, country: 'NZ' }), false)
  // This version of the provider does not encode names, so those with a slash or a question mark do not get here.
  t.equal(await client.getBooleanValue('😀 new <script>', false), true)
})

t.test('whom a flag is not meant for gets its variant otherwise, and DEFAULT', async t => {
  const client = await remote(t)
  const others = { variant: 'others', reason: 'DEFAULT', errorCode: undefined }
  t.match(await client.getBooleanDetails('boolean', true, BEA), { value: false, ...others })
  t.match(await client.getStringDetails('text', 'mine', BEA), { value: '', ...others })
  t.match(await client.getNumberDetails('number', 7, BEA), { value: 0, ...others })
  const object = await client.getObjectDetails('object', { mine: 1 }, BEA)
  t.match(object, others)
  t.strictSame(object.value, {})
  t.match(await client.getBooleanDetails('for-ann', true, BEA), { value: false, reason: 'DEFAULT' })
})

t.test('a flag that is off', async t => {
  const client = await remote(t)
  t.match(await client.getBooleanDetails('off', true, ANN), { value: false, reason: 'DISABLED' })
  // Without a value in the answer, which this version of the provider takes for an error, with the same value.
  t.equal(await client.getStringValue('text-off', 'mine', ANN), 'mine')
})

t.test('errors are those of OpenFeature, with the default as the value', async t => {
  const client = await remote(t)
  const error = { value: 'mine', reason: 'ERROR' }
  t.match(await client.getStringDetails('nope', 'mine', ANN), {
    ...error,
    errorCode: 'FLAG_NOT_FOUND',
    errorMessage: "there is no flag named 'nope'",
  })
  t.match(await client.getStringDetails('for-ann', 'mine'), { ...error, errorCode: 'TARGETING_KEY_MISSING' })
  t.match(await client.getStringDetails('on', 'mine'), { ...error, errorCode: 'TYPE_MISMATCH' })
  t.match(await client.getNumberDetails('text', 7, ANN), { value: 7, errorCode: 'TYPE_MISMATCH' })
  t.match(await client.getStringDetails('on', 'mine', { targetingKey: 5 as never }), error, 'a wrong type')
  t.match(await client.getStringDetails('text', 'mine', { ...ANN, more: 'x'.repeat(70_000) }), error)
})

t.test('who may not learns nothing; who may says so in a header', async t => {
  const authorize = async (request: FastifyRequest, _reply: FastifyReply) =>
    request.headers['x-api-key'] === 'right'
  const refused = await remote(t, { authorize }, { 'x-api-key': 'wrong' })
  t.match(await refused.getBooleanDetails('on', false), {
    value: false,
    reason: 'ERROR',
    errorCode: 'GENERAL',
  })
  const admitted = await remote(t, { authorize }, { 'x-api-key': 'right' })
  t.equal(await admitted.getBooleanValue('on', false), true)
})
