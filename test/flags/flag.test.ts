import { readFile } from 'node:fs/promises'
import t from 'tap'
import {
  type Entries,
  Flag,
  type FlagData,
  type FlagInput,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'

const BARE: FlagData = {
  name: 'f',
  deleted: false,
  enabled: true,
  enabled_for_actors: null,
  enabled_for_percentage_of_actors: null,
  updated_at: 0,
  version: 1,
}
const flag = (data: Partial<FlagData>): Flag => new Flag({ ...BARE, ...data })
const rollout = (percentage: number, more: Partial<FlagData> = {}): Flag =>
  flag({ enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage }, hash: 'salted', ...more })
const among = (one: Flag, count = 10_000): Set<number> =>
  new Set(Array.from({ length: count }, (_none, id) => id).filter(id => one.isEnabled({ user_id: id })))
const mapOf = (...flags: Flag[]): { flags: Map<string, Flag> } => ({
  flags: new Map(flags.map(one => [one.name, one])),
})

t.test('stored flags are evaluated as flypper does: the 400 verdicts of the reference model', async t => {
  const text = await readFile(new URL('../fixtures/flags/verdicts.json', import.meta.url), 'utf8')
  const { cases } = JSON.parse(text) as { cases: { flag: FlagData; entries: Entries; enabled: boolean }[] }
  t.equal(cases.length, 400)
  t.same(
    cases.filter(({ flag, entries, enabled }) => new Flag(flag).isEnabled(entries) !== enabled),
    [],
  )
  const disagreeing = cases.filter(
    ({ flag, entries, enabled }) => new Flag({ ...flag, hash: 'salted' }).isEnabled(entries) !== enabled,
  )
  t.ok(disagreeing.length > 0, 'which the salted hash does not give')
})

t.test('what flypper does wrong', async t => {
  t.test('an actor may be a number', async t => {
    const one = flag({ enabled_for_actors: { actor_key: 'user_id', actor_ids: ['42'] } })
    t.equal(one.isEnabled({ user_id: 42 }), true)
    t.equal(one.isEnabled({ user_id: '42' }), true)
    t.equal(one.isEnabled({ user_id: 43 }), false)
    t.same(rollout(50).isEnabled({ user_id: 42 }), rollout(50).isEnabled({ user_id: '42' }))
    const old = rollout(50, { hash: 'flypper' })
    t.same(old.isEnabled({ user_id: 42 }), old.isEnabled({ user_id: '42' }))
  })

  t.test('an entry that is no actor is nobody, and no error', async t => {
    const one = rollout(99.9)
    for (const user_id of [null, undefined, Object.create(null), [], () => 1, Symbol('x')]) {
      t.equal(one.isEnabled({ user_id } as Entries), false)
    }
    t.equal(one.isEnabled(), false)
  })

  t.test('0 % is nobody, and 100 % everybody', async t => {
    t.equal(among(rollout(0)).size, 0)
    t.equal(among(rollout(100)).size, 10_000)
    t.equal(rollout(100).isEnabled(), true, 'whoever it is')
    t.equal(among(rollout(0, { hash: 'flypper' }), 100_000).size > 0, true, 'which in old flags it is not')
  })

  t.test('a blank percentage is nobody, and cannot be saved', async t => {
    for (const blank of ['', null, undefined, Number.NaN]) {
      const share = { actor_key: 'user_id', percentage: blank as number }
      t.equal(among(flag({ enabled_for_percentage_of_actors: share }), 100_000).size, 0)
      await t.rejects(
        new MemoryFlagStorage().upsert({ name: 'f', enabled_for_percentage_of_actors: share }),
        { code: 'SQLA_ERR_FLAG_INVALID', message: /percentage must be a number from 0 to 100/ },
      )
    }
  })

  t.test('two rollouts hit different users', async t => {
    const a = among(rollout(20, { name: 'a' }))
    const both = [...among(rollout(20, { name: 'b' }))].filter(id => a.has(id))
    t.ok(
      both.length > 320 && both.length < 480,
      `${both.length} of 10,000 are in both; 400 are to be expected`,
    )
    t.same(
      among(rollout(20, { name: 'a', hash: 'flypper' })),
      among(rollout(20, { name: 'b', hash: 'flypper' })),
      'which with the hash of flypper are the same',
    )
  })
})

t.test('a salted percentage', async t => {
  t.test('takes its share, evenly', async t => {
    for (const percentage of [1, 12.5, 50, 99]) {
      const expected = percentage * 100
      const deviation = Math.sqrt((expected * (100 - percentage)) / 100)
      const { size } = among(rollout(percentage))
      t.ok(Math.abs(size - expected) < 4 * deviation, `${percentage} %: ${size} of 10,000`)
    }
  })

  t.test('keeps whom it had when it grows', async t => {
    let before = new Set<number>()
    for (const percentage of [0, 0.01, 5, 5.5, 30, 99.99, 100]) {
      const now = among(rollout(percentage))
      t.ok(
        [...before].every(id => now.has(id)),
        `${percentage} %`,
      )
      before = now
    }
  })

  t.test('is the default of a new flag, and not of one that is there', async t => {
    const storage = new MemoryFlagStorage()
    t.equal((await storage.upsert({ name: 'new' })).hash, 'salted')
  })
})

t.test('variants', async t => {
  const options = [
    { name: 'a', value: 'A', weight: 1 },
    { name: 'b', value: 'B', weight: 3 },
    { name: 'never', value: 'C', weight: 0 },
  ]
  const one = flag({ variants: { actor_key: 'user_id', options } })
  const names = (which: Flag): (string | undefined)[] =>
    Array.from({ length: 10_000 }, (_none, user_id) => which.evaluate({ user_id }).variant)

  t.test('are given by weight', async t => {
    const count = Object.groupBy(names(one), name => name as string)
    t.ok(Math.abs((count.a?.length ?? 0) - 2_500) < 175, `${count.a?.length} of 10,000 have a`)
    t.equal((count.a?.length ?? 0) + (count.b?.length ?? 0), 10_000)
  })

  t.test('stay who they are: in each evaluation, and for all but those who must change', async t => {
    t.same(names(one), names(one))
    const more = flag({
      variants: {
        actor_key: 'user_id',
        options: [{ name: 'a', value: 'A', weight: 2 }, ...options.slice(1)],
      },
    })
    const after = names(more)
    t.same(
      names(one).filter((name, id) => name === 'a' && after[id] !== 'a'),
      [],
      'whoever had a has it when its weight grows',
    )
  })

  t.test('are the first one for nobody in particular, and none when the flag is off', async t => {
    t.match(one.evaluate(), { enabled: true, variant: 'a', value: 'A', reason: 'SPLIT' })
    const off = flag({ enabled: false, variants: { actor_key: 'user_id', options } })
    t.match(off.evaluate({ user_id: 1 }), { enabled: false, variant: undefined, reason: 'DISABLED' })
  })

  t.test('have no more to do with the percentage than chance', async t => {
    const half = rollout(50, { variants: { actor_key: 'user_id', options: options.slice(0, 2) } })
    const inside = names(half).filter(name => name !== undefined)
    const a = inside.filter(name => name === 'a').length
    t.ok(Math.abs(a / inside.length - 0.25) < 0.025, `${a} of ${inside.length} have a`)
  })
})

t.test('all conditions must hold', async t => {
  const one = flag({
    enabled_for_actors: { actor_key: 'user_id', actor_ids: ['1', '2'] },
    segments: ['staff', 'friends'],
  })
  const isInSegment = (segment: string, { user_id }: Entries): boolean =>
    segment === 'friends' && (user_id === 1 || user_id === 3)
  const surroundings = { flags: new Map<string, Flag>(), isInSegment }
  t.equal(one.isEnabled({ user_id: 1 }, surroundings), true, 'on the list and in one of the segments')
  t.equal(one.isEnabled({ user_id: 2 }, surroundings), false, 'in none')
  t.equal(one.isEnabled({ user_id: 3 }, surroundings), false, 'not on the list')
  t.equal(one.isEnabled({ user_id: 1 }), false, 'nobody is in a segment when nobody knows of segments')
})

t.test('a flag that requires others', async t => {
  const needs = (name: string, ...requires: string[]): Flag => flag({ name, requires })

  t.test('is on when all of them are, for the same entries', async t => {
    const base = flag({ name: 'base', enabled_for_actors: { actor_key: 'user_id', actor_ids: ['1'] } })
    const one = needs('one', 'base', 'other')
    const all = mapOf(one, base, flag({ name: 'other' }))
    t.equal(one.isEnabled({ user_id: 1 }, all), true)
    t.equal(one.isEnabled({ user_id: 2 }, all), false)
    t.equal(one.isEnabled({ user_id: 1 }, mapOf(one, base)), false, 'one that does not exist is off')
    t.equal(one.isEnabled({ user_id: 1 }, mapOf(one, base, flag({ name: 'other', enabled: false }))), false)
    t.equal(needs('two', 'one').isEnabled({ user_id: 1 }, all), true, 'and so on')
  })

  t.test('is off when it goes in a circle', async t => {
    const all = mapOf(needs('a', 'b'), needs('b', 'c'), needs('c', 'a'), needs('d', 'a'), needs('e', 'f'))
    for (const one of all.flags.values()) t.equal(one.isEnabled({}, all), false, one.name)
  })

  t.test('asks each of them once, however they are entangled', async t => {
    let asked = 0
    const isInSegment = (): boolean => ++asked > 0
    const layers = Array.from({ length: 30 }, (_none, layer) =>
      ['x', 'y', 'z'].map(name =>
        flag({
          name: `${name}${layer}`,
          segments: ['s'],
          requires: layer === 0 ? null : ['x', 'y', 'z'].map(below => `${below}${layer - 1}`),
        }),
      ),
    ).flat()
    const all = { ...mapOf(...layers), isInSegment }
    t.equal(layers.at(-1)?.isEnabled({}, all), true)
    t.equal(asked, 88)
  })
})

t.test('a flag has its time', async t => {
  const at = (milliseconds: number): string => new Date(Date.now() + milliseconds).toISOString()
  const on = (from: string | null, until: string | null): boolean => flag({ from, until }).isEnabled()
  t.equal(on(at(-1_000), null), true)
  t.equal(on(at(60_000), null), false, 'not before it')
  t.equal(on(null, at(60_000)), true)
  t.equal(on(null, at(-1)), false, 'nor after it')
  t.equal(on(at(-1_000), at(60_000)), true)
  t.equal(on('2026-01-01T00:00:00+14:00', '2026-01-01T00:00:00Z'), false)
})

t.test('the reason is told in the words of OpenFeature', async t => {
  const reasonOf = (data: Partial<FlagData>): string => flag(data).evaluate({ user_id: 1 }).reason
  const actors = { actor_key: 'user_id', actor_ids: ['1'] }
  t.equal(reasonOf({}), 'STATIC')
  t.equal(reasonOf({ enabled: false }), 'DISABLED')
  t.equal(reasonOf({ deleted: true }), 'DISABLED')
  t.equal(reasonOf({ enabled_for_actors: actors }), 'TARGETING_MATCH')
  t.equal(reasonOf({ enabled_for_actors: { ...actors, actor_ids: [] } }), 'DEFAULT')
  t.equal(rollout(100).evaluate({ user_id: 1 }).reason, 'SPLIT')
})

t.test('what others have stored wrongly is off, and breaks nothing', async t => {
  const all = { actor_key: 'user_id', actor_ids: 7 } as never
  t.equal(flag({ enabled_for_actors: all }).isEnabled({ user_id: 7 }), false)
  t.equal(flag({ enabled: 'no' as never }).isEnabled(), false)
  t.equal(flag({ variants: { actor_key: 'x' } as never }).evaluate().variant, undefined)
})

t.test('data that contradict themselves are not saved', async t => {
  const share = (percentage: unknown): object => ({
    enabled_for_percentage_of_actors: { actor_key: 'id', percentage },
  })
  const variants = (...options: unknown[]): object => ({ variants: { actor_key: 'id', options } })
  const circle: { self?: object } = {}
  circle.self = circle
  const cases: [object, RegExp][] = [
    [{ name: '' }, /it needs a name/],
    [{ name: ' ' }, /it needs a name/],
    [{ name: undefined }, /it needs a name/],
    [{ name: 7 }, /it needs a name/],
    [{ name: Object.create(null) }, /it needs a name/],
    [{ name: 'a ' }, /begins or ends with a space/],
    [{ name: 'a\0' }, /control characters/],
    [{ name: 'a\nb' }, /control characters/],
    [{ name: '\ud83d' }, /half of a character/],
    [{ name: 'x'.repeat(256) }, /more than 255/],
    [{ enabled: 'yes' }, /enabled must be true or false/],
    [{ enabled: null }, /enabled must be true or false/],
    [{ deleted: 1 }, /deleted must be true or false/],
    [{ hash: 'md5' }, /hash must be/],
    [{ enabled_for_actors: { actor_ids: [] } }, /needs an actor_key/],
    [{ enabled_for_actors: 'all' }, /needs an actor_key/],
    [{ enabled_for_actors: { actor_key: 'id', actor_ids: [1] } }, /must be a list of strings/],
    [{ enabled_for_actors: { actor_key: 'id', actor_ids: '1' } }, /must be a list of strings/],
    [share(-1), /from 0 to 100/],
    [share(100.1), /from 0 to 100/],
    [share('50'), /from 0 to 100/],
    [{ enabled_for_percentage_of_actors: { percentage: 1 } }, /needs an actor_key/],
    [variants(), /must be a list of variants/],
    [variants(null), /must be a list of variants/],
    [variants({ value: 1, weight: 1 }), /needs a name/],
    [variants({ name: 'a', value: 1, weight: 1 }, { name: 'a', value: 1, weight: 1 }), /same name/],
    [variants({ name: 'a', value: 1, weight: -1 }), /weight/],
    [variants({ name: 'a', value: 1, weight: 0 }), /above 0/],
    [variants({ name: 'a', value: 1, weight: 1 }, { name: 'b', value: '1', weight: 1 }), /of one type/],
    [variants({ name: 'a', value: undefined, weight: 1 }), /must be JSON/],
    [variants({ name: 'a', value: Number.NaN, weight: 1 }), /must be JSON/],
    [variants({ name: 'a', value: circle, weight: 1 }), /must be JSON/],
    [{ segments: 'staff' }, /segments must be a list of names/],
    [{ requires: [''] }, /requires must be a list of names/],
    [{ requires: ['f'] }, /cannot require itself/],
    [{ from: 'tomorrow' }, /from must be a time with its zone/],
    [{ from: '2026-01-01T00:00:00' }, /from must be a time with its zone/],
    [{ until: '2026-13-01T00:00:00Z' }, /until must be a time with its zone/],
    [{ from: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z' }, /until must be later than from/],
    [{ owner: 7 }, /owner must be a text/],
    [{ description: 'x'.repeat(10_001) }, /description must be a text/],
  ]
  const storage = new MemoryFlagStorage()
  for (const [data, message] of cases) {
    await t.rejects(
      storage.upsert({ name: 'f', ...data } as FlagInput),
      { code: 'SQLA_ERR_FLAG_INVALID', statusCode: 400, message },
      String(message),
    )
  }
  t.same(await storage.list(), [])
})
