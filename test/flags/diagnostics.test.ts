import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import {
  FlagClient,
  type FlagMessage,
  type FlagsOptions,
  flags,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'
import { testDatabase } from '../support/cluster.ts'

// What is told on the channel `sqlassist:flag`.

const db = await testDatabase(t)

/** Hears the channel until `t` ends. */
function hear(t: Test): FlagMessage[] {
  const heard: FlagMessage[] = []
  const listener = (message: unknown) => heard.push(message as FlagMessage)
  subscribe('sqlassist:flag', listener)
  t.teardown(() => unsubscribe('sqlassist:flag', listener))
  return heard
}

/** Name, value and reason. */
const short = (heard: readonly FlagMessage[]) => heard.map(({ name, value, reason }) => [name, value, reason])

async function appWith(t: Test, options: FlagsOptions = {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({
    clientUrl: db.writerUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    logger: () => {},
  })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  await app.register(flags, { createTables: true, ...options })
  const { storage } = app.flags
  await storage.upsert({ name: 'on', enabled: true })
  await storage.upsert({ name: 'off', enabled: false })
  await storage.upsert({
    name: 'ann',
    enabled: true,
    enabled_for_actors: { actor_key: 'user_id', actor_ids: ['ann'] },
  })
  await storage.upsert({
    name: 'colour',
    enabled: true,
    variants: { actor_key: 'user_id', options: [{ name: 'blue', weight: 1, value: '#00f' }] },
  } as never)
  return app
}

t.test('every question of a request is told with its answer', async t => {
  const app = await appWith(t, { entries: () => ({ user_id: 'ann', secret: 'pw-4711' }) })
  let request: unknown
  app.get('/', async req => {
    request = req
    const { flags } = req
    flags.isEnabled('on')
    flags.isDisabled('off')
    flags.isEnabled('ann', { user_id: 'bob' })
    flags.isEnabled('ann')
    flags.isEnabled('nope' as never)
    flags.value('colour', 'red')
    flags.value('colour', 5)
    flags.details('nope' as never, { a: 1 })
    return {}
  })
  await app.ready()
  const heard = hear(t)
  t.equal((await app.inject('/')).statusCode, 200)
  t.same(short(heard), [
    ['on', true, 'STATIC'],
    ['off', false, 'DISABLED'],
    ['ann', false, 'DEFAULT'],
    ['ann', true, 'TARGETING_MATCH'],
    ['nope', false, 'ERROR'],
    ['colour', '#00f', 'STATIC'],
    ['colour', 5, 'ERROR'],
    ['nope', { a: 1 }, 'ERROR'],
  ])
  for (const message of heard) {
    t.equal(message.source, app.sqlAssist)
    t.equal(message.request, request)
    t.same(Object.keys(message), ['source', 'request', 'name', 'value', 'reason'])
  }
  heard.length = 0
  app.flags.context({ user_id: 'ann' }).isEnabled('ann')
  t.match(heard, [{ name: 'ann', value: true, request: undefined }], 'outside requests there is none')
  t.equal(heard[0]?.source, app.sqlAssist)
})

t.test('a client that belongs to no application has no source', async t => {
  const client = new FlagClient({ storage: new MemoryFlagStorage(), strict: true })
  const heard = hear(t)
  t.throws(() => client.context().isEnabled('nope'), { code: 'SQLA_ERR_FLAG_UNKNOWN' })
  t.throws(() => client.context().value('nope', 'x'), { code: 'SQLA_ERR_FLAG_UNKNOWN' })
  t.same(heard, [
    { source: undefined, request: undefined, name: 'nope', value: false, reason: 'ERROR' },
    { source: undefined, request: undefined, name: 'nope', value: 'x', reason: 'ERROR' },
  ])
})

t.test('answers are the same, whether or not somebody listens', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({
    name: 'broken',
    enabled: true,
    segments: ['any'],
  } as never)
  let asked = 0
  const client = new FlagClient({
    storage,
    isInSegment: () => {
      asked++
      throw new RangeError('no segments today')
    },
  })
  await client.sync()
  const ask = () => [client.context().isEnabled('broken'), client.context().value('broken', 'x')]
  const alone = ask()
  t.equal(asked, 2, 'nothing is asked for a message that nobody hears')
  const heard = hear(t)
  t.same(ask(), alone)
  t.same(short(heard), [
    ['broken', false, 'ERROR'],
    ['broken', 'x', 'ERROR'],
  ])
})
