import Fastify from 'fastify'
import t from 'tap'
import {
  type Entries,
  Flag,
  FlagClient,
  type FlagData,
  type FlagInput,
  flags,
  MemoryFlagStorage,
  ofrep,
  type Variants,
} from '../../plugins/flags/index.ts'

// The variant of those whom a flag that is on is not meant for.

const VARIANTS: Variants = {
  actor_key: 'user_id',
  options: [
    { name: 'new', value: 'blue', weight: 1 },
    { name: 'old', value: 'grey', weight: 0 },
  ],
  otherwise: 'old',
}
const DATA: FlagData = {
  name: 'f',
  deleted: false,
  enabled: true,
  enabled_for_actors: null,
  enabled_for_percentage_of_actors: null,
  updated_at: 0,
  version: 1,
  variants: VARIANTS,
}
const OTHERS = { enabled: false, reason: 'DEFAULT', variant: 'old', value: 'grey' }

t.test('whichever condition it is that does not hold', async t => {
  const conditions: Record<string, Partial<FlagData>> = {
    actors: { enabled_for_actors: { actor_key: 'user_id', actor_ids: ['1'] } },
    'a percentage': {
      enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 0 },
      hash: 'salted',
    },
    'a segment': { segments: ['staff'] },
    'a flag that it requires': { requires: ['none'] },
    'its begin': { from: '2100-01-01T00:00:00Z' },
    'its end': { until: '2000-01-01T00:00:00Z' },
  }
  for (const [name, condition] of Object.entries(conditions)) {
    const one = new Flag({ ...DATA, ...condition })
    t.same(one.evaluate({ user_id: 2 }), OTHERS, name)
    t.equal(one.isEnabled({ user_id: 2 }), false)
  }
  const one = new Flag({ ...DATA, ...conditions.actors })
  t.match(one.evaluate({ user_id: 1 }), { enabled: true, variant: 'new', value: 'blue' })
})

t.test('nobody else gets it, and whoever a flag that is off is asked for gets none', async t => {
  const everybody = new Flag(DATA)
  for (let id = 0; id < 1_000; id++) t.equal(everybody.evaluate({ user_id: id }).variant, 'new')
  for (const off of [{ enabled: false }, { deleted: true }]) {
    t.same(new Flag({ ...DATA, ...off }).evaluate({ user_id: 1 }), {
      enabled: false,
      reason: 'DISABLED',
      variant: undefined,
      value: false,
    })
  }
  const shared = { ...VARIANTS, options: VARIANTS.options.map(option => ({ ...option, weight: 1 })) }
  const names = new Set(
    Array.from(
      { length: 100 },
      (_none, id) => new Flag({ ...DATA, variants: shared }).evaluate({ user_id: id }).variant,
    ),
  )
  t.same([...names].sort(), ['new', 'old'], 'with a weight it is one like the others')
})

t.test('it must be one of the options, of which one at least has a weight', async t => {
  const storage = new MemoryFlagStorage()
  for (const otherwise of ['none', '', 7, ['old'], {}]) {
    await t.rejects(storage.upsert({ name: 'f', variants: { ...VARIANTS, otherwise } as never }), {
      code: 'SQLA_ERR_FLAG_INVALID',
      message: /otherwise must be the name of one of the options/,
    })
  }
  const options = VARIANTS.options.map(option => ({ ...option, weight: 0 }))
  await t.rejects(storage.upsert({ name: 'f', variants: { ...VARIANTS, options } }), /above 0/)
  t.same((await storage.upsert({ name: 'f', variants: VARIANTS })).variants, VARIANTS)
  await storage.upsert({ name: 'f', variants: { ...VARIANTS, otherwise: null } })
  const { otherwise: _, ...without } = VARIANTS
  await storage.upsert({ name: 'f', variants: without })
})

t.test('what others have stored wrongly is none', async t => {
  const actors = { enabled_for_actors: { actor_key: 'user_id', actor_ids: [] } }
  for (const variants of [
    { ...VARIANTS, otherwise: 'none' },
    { ...VARIANTS, otherwise: 7 },
    { ...VARIANTS, options: 'x' },
    { ...VARIANTS, options: [null, 5] },
    'x',
  ]) {
    const one = new Flag({ ...DATA, ...actors, variants: variants as never })
    t.match(one.evaluate(), { enabled: false, reason: 'DEFAULT', variant: undefined })
  }
})

const FLAG: FlagInput = {
  name: 'colour',
  enabled: true,
  enabled_for_actors: { actor_key: 'user_id', actor_ids: ['ann'] },
  variants: VARIANTS,
}

t.test('a context tells its value, its name and the reason', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert(FLAG)
  const { options } = VARIANTS
  const objects = options.map(option => ({ ...option, value: { colour: option.value } }))
  await storage.upsert({ ...FLAG, name: 'object', variants: { ...VARIANTS, options: objects } })
  const { otherwise: _, ...without } = VARIANTS
  await storage.upsert({ ...FLAG, name: 'without', variants: without })
  const client = new FlagClient({ storage })
  await client.sync()
  const bea = client.context({ user_id: 'bea' })
  t.equal(bea.value('colour', 'mine'), 'grey')
  t.equal(bea.isEnabled('colour'), false)
  t.same(bea.details('colour', 'mine'), {
    flagKey: 'colour',
    value: 'grey',
    variant: 'old',
    reason: 'DEFAULT',
    version: 1,
  })
  t.equal(bea.value('colour', 'mine', { user_id: 'ann' }), 'blue')
  t.match(bea.details('colour', 5), { value: 5, reason: 'ERROR', errorCode: 'TYPE_MISMATCH' })
  Object.assign(bea.value('object', {}), { colour: 'spoilt' })
  t.same(bea.value('object', {}), { colour: 'grey' }, 'a value that somebody changes is his own')
  t.same(bea.details('without', 'mine'), { flagKey: 'without', value: 'mine', reason: 'DEFAULT', version: 3 })
})

t.test('over OFREP, also for whoever does not say who he is, as far as that is the same for all', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert(FLAG)
  await storage.upsert({ name: 'later', enabled: true, from: '2100-01-01T00:00:00Z', variants: VARIANTS })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage })
  await app.register(ofrep, { authorize: 'none' })
  const ask = async (key: string, context: Entries) =>
    (
      await app.inject({ method: 'POST', url: `/ofrep/v1/evaluate/flags/${key}`, payload: { context } })
    ).json()
  const others = { value: 'grey', variant: 'old', reason: 'DEFAULT' }
  t.same(await ask('colour', { targetingKey: 'bea' }), { key: 'colour', ...others, metadata: { version: 1 } })
  t.match(await ask('colour', {}), { errorCode: 'TARGETING_KEY_MISSING' })
  t.match(await ask('later', {}), others, 'one variant with a weight tells nobody apart')
  const all = await app.inject({ method: 'POST', url: '/ofrep/v1/evaluate/flags', payload: {} })
  t.match(all.json().flags, [{ errorCode: 'TARGETING_KEY_MISSING' }, others])
})
