import t, { type Test } from 'tap'
import {
  changeFlag,
  createFlag,
  flagHistory,
  removeFlag,
  rollBackFlag,
  unusedFlags,
} from '../../plugins/flags/edits.ts'
import {
  FlagClient,
  type FlagData,
  type FlagInput,
  FlagStorage,
  type FlagStore,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { tablesOn } from './tables.ts'

// What editors do with flags: back to what a flag was, and which of them nobody needs.

/** All fields, so that a new one is not forgotten here. */
type AllFields = Required<Omit<FlagInput, 'name' | 'deleted'>>

const THEN: AllFields = {
  enabled: true,
  enabled_for_actors: { actor_key: 'user_id', actor_ids: ['1', '😀'] },
  enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 12.5 },
  hash: 'salted',
  variants: { actor_key: 'user_id', options: [{ name: 'a', value: { deep: [1, null] }, weight: 1 }] },
  segments: ['s'],
  requires: ['other'],
  from: '2026-01-01T00:00:00Z',
  until: '2026-02-01T00:00:00Z',
  owner: 'Ann',
  description: 'what it was',
}

const SINCE: AllFields = {
  enabled: false,
  enabled_for_actors: null,
  enabled_for_percentage_of_actors: { actor_key: 'country', percentage: 0 },
  hash: 'flypper',
  variants: { actor_key: 'country', options: [{ name: 'b', value: 'x', weight: 1 }] },
  segments: [],
  requires: null,
  from: '2027-01-01T00:00:00Z',
  until: null,
  owner: '',
  description: 'what it is',
}

/** What a flag is, but for when that was saved. */
function contentOf({ version: _version, updated_at: _updated, ...content }: FlagData): object {
  return content
}

async function clientOn(storage: FlagStore): Promise<FlagClient> {
  const client = new FlagClient({ storage })
  await client.sync()
  return client
}

/** A storage some of whose methods are others, or are missing. */
function storeWith(
  storage: FlagStore,
  own: { [K in keyof FlagStore]?: FlagStore[K] | undefined },
): FlagStore {
  return new Proxy(storage, {
    get(target, key) {
      if (key in own) return own[key as keyof FlagStore]
      const found: unknown = Reflect.get(target, key)
      return typeof found === 'function' ? found.bind(target) : found
    },
  })
}

const memory = (): Promise<FlagClient> => clientOn(new MemoryFlagStorage())

t.test('a roll back restores every field', async t => {
  const client = await memory()
  const then = await createFlag(client, { name: 'f', ...THEN })
  const since = await changeFlag(client, 'f', SINCE)
  for (const field of Object.keys(THEN) as (keyof AllFields)[]) {
    t.notSame(then[field], since[field], `${field} has changed`)
  }
  const back = await rollBackFlag(client, 'f', then.version, { author: 'Bea' })
  t.strictSame(contentOf(back), contentOf(then))
  t.equal(back.version, 3, 'as a change like others')
  t.strictSame(client.flags().get('f')?.data, back, 'which this process knows at once')
  t.match(await flagHistory(client, 'f', { limit: 1 }), [{ version: 3, action: 'changed', author: 'Bea' }])
  t.strictSame(contentOf(await rollBackFlag(client, 'f', since.version)), contentOf(since), 'and forth')
})

t.test('what a flag did not have then is null', async t => {
  const client = await memory()
  const then = await createFlag(client, { name: 'f', ...{ of_another_program: 1 } })
  await changeFlag(client, 'f', { ...THEN, ...{ of_another_program: 2, added_since: [3] } })
  const { hash, ...nulls } = Object.fromEntries(Object.keys(THEN).map(field => [field, null]))
  t.strictSame(contentOf(await rollBackFlag(client, 'f', then.version)), {
    ...nulls,
    ...contentOf(then),
    of_another_program: 1,
    added_since: null,
  })
})

t.test('a deleted flag comes back as it was, and so does one that had its name before', async t => {
  const client = await memory()
  const first = await createFlag(client, { name: 'f', owner: 'Ann' })
  await removeFlag(client, 'f', false)
  const back = await rollBackFlag(client, 'f', first.version, { author: 'Bea' })
  t.match(back, { deleted: false, owner: 'Ann' })
  t.match(await flagHistory(client, 'f', { limit: 1 }), [{ action: 'restored', author: 'Bea' }])
  await removeFlag(client, 'f', false)
  const tombstone = await client.storage.get('f')
  t.match(await rollBackFlag(client, 'f', tombstone?.version as number), { deleted: false, owner: 'Ann' })
  await removeFlag(client, 'f', false)
  await createFlag(client, { name: 'f', description: 'another one' })
  t.match(await rollBackFlag(client, 'f', first.version), { owner: 'Ann', description: null })
})

t.test('back to what there never was', async t => {
  const client = await memory()
  const { version } = await createFlag(client, { name: 'f' })
  const other = await createFlag(client, { name: 'other' })
  const latest = await changeFlag(client, 'f', { enabled: true })
  for (const none of [0, -1, other.version, latest.version + 1, Number.MAX_SAFE_INTEGER]) {
    await t.rejects(rollBackFlag(client, 'f', none), {
      code: 'SQLA_ERR_FLAG_VERSION',
      statusCode: 404,
      message: `The history of flag 'f' has no version ${none}`,
    })
  }
  await t.rejects(rollBackFlag(client, 'none', version), { code: 'SQLA_ERR_FLAG_NOT_FOUND' })
  await removeFlag(client, 'f', true)
  await t.rejects(rollBackFlag(client, 'f', version), { code: 'SQLA_ERR_FLAG_NOT_FOUND' })
  t.equal((await flagHistory(client, 'f'))[0]?.action, 'purged', 'which is still read')

  const without = await clientOn(storeWith(client.storage, { history: undefined }))
  t.same(await flagHistory(without, 'other'), [], 'a storage may have no history')
  await t.rejects(rollBackFlag(without, 'other', other.version), { code: 'SQLA_ERR_FLAG_VERSION' })
})

t.test('whoever rolls back what somebody else has changed meanwhile is told', async t => {
  const client = await memory()
  const first = await createFlag(client, { name: 'f', owner: 'Ann' })
  const second = await changeFlag(client, 'f', { owner: 'Bea' })
  await changeFlag(client, 'f', { owner: 'Cy' })
  const options = { expected: second.version }
  await t.rejects(rollBackFlag(client, 'f', first.version, options), {
    code: 'SQLA_ERR_FLAG_CONFLICT',
    statusCode: 409,
  })
  t.match(await client.storage.get('f'), { owner: 'Cy' })
  t.match(await rollBackFlag(client, 'f', first.version, { expected: 3 }), { owner: 'Ann' })
})

t.test('who did not say which version he means rolls back the newest', async t => {
  const storage = new MemoryFlagStorage()
  let overtakes = 2
  const busy = storeWith(storage, {
    async upsert(...args) {
      // Somebody else, who adds a field, is quicker.
      if (overtakes-- > 0) await storage.upsert({ name: 'f', segments: [`s${overtakes}`] })
      return storage.upsert(...args)
    },
  })
  const first = await storage.upsert({ name: 'f', owner: 'Ann' })
  await storage.upsert({ name: 'f', owner: 'Bea' })
  const back = await rollBackFlag(await clientOn(busy), 'f', first.version)
  t.match(back, { owner: 'Ann', segments: null, version: 5 })
})

t.test('a storage that fails is not a flag that is not there', async t => {
  const fail = (): Promise<never> => Promise.reject(new Error('select secret from …'))
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'f' })
  const client = await clientOn(storeWith(storage, { history: fail, usage: fail }))
  for (const asked of [rollBackFlag(client, 'f', 1), unusedFlags(client)]) {
    await t.rejects(asked as Promise<unknown>, {
      code: 'SQLA_ERR_FLAG_UNAVAILABLE',
      message: /^((?!secret).)*$/,
    })
  }
})

t.test('FlagStorage', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const { on, sql, quote, make, names } = await tablesOn(t, backend)

      await t.test('what has been through the database is what it was', async t => {
        const client = await clientOn(await make())
        const then = await createFlag(client, { name: 'f', ...THEN })
        await changeFlag(client, 'f', SINCE)
        t.strictSame(contentOf(await rollBackFlag(client, 'f', then.version)), contentOf(then))
      })

      await t.test('a flag of flypper has its users again', async t => {
        const options = { on, ...names() }
        const storage = new FlagStorage(options)
        await storage.createTables()
        const client = await clientOn(storage)
        const share = { actor_key: 'user_id', percentage: 50 }
        const old: FlagData = {
          name: 'f',
          deleted: false,
          enabled: true,
          enabled_for_actors: null,
          enabled_for_percentage_of_actors: share,
          updated_at: 1,
          version: 1,
        }
        await sql(`insert into ${quote(options.flagsTable)} values (?, ?, ?)`, ['f', 1, JSON.stringify(old)])
        await sql(`insert into ${options.metadataTable} values ('version', '1')`)
        const users = Array.from({ length: 100 }, (_none, user_id) => user_id)
        const chosen = (): number[] => users.filter(user_id => client.context({ user_id }).isEnabled('f'))
        const { version } = await changeFlag(client, 'f', { owner: 'Ann' })
        const then = chosen()
        await removeFlag(client, 'f', false)
        await createFlag(client, { ...old, name: 'f', hash: 'salted' })
        t.notSame(chosen(), then)
        t.match(await rollBackFlag(client, 'f', version), { owner: 'Ann' })
        t.same(chosen(), then)
      })
    },
    ['PostgreSQL', 'SQLite'],
  )
})

const DAY = 86_400_000

/** Sets the clock: days since a certain day. */
function clock(t: Test): (day: number) => void {
  let now = Date.parse('2026-03-01T12:00:00Z')
  const begin = now
  t.intercept(Date, 'now', { value: () => now })
  return day => {
    now = begin + day * DAY
  }
}

t.test('flags that nobody asks for', async t => {
  const at = clock(t)
  const client = await memory()
  const { storage } = client
  const unused = async (days?: number): Promise<string[]> =>
    (await unusedFlags(client, days)).flags.map(({ flag }) => flag.name).sort()

  for (const name of ['asked once', 'deleted', 'changed', 'asked', 'never']) await storage.upsert({ name })
  at(100)
  t.same(
    await unusedFlags(client),
    { since: undefined, flags: [] },
    'nothing is said before anything is known',
  )
  await storage.noteAsked?.([])
  at(130)
  t.same(await unused(), [], 'nor of days of which nothing is known')
  at(101)
  await storage.noteAsked?.(['asked once', 'deleted', 'asked', 'changed'])
  at(110)
  await storage.noteAsked?.(['asked'])
  await storage.upsert({ name: 'changed' })
  await storage.delete('deleted')
  at(131.5)
  t.same(await unused(), ['asked once', 'never'])
  t.same(await unused(10), ['asked', 'asked once', 'changed', 'never'])
  t.same(await unused(31.5), [])
  const { since, flags } = await unusedFlags(client)
  t.equal(since, Date.parse('2026-03-01T12:00:00Z') / 1000 + 100 * 86_400)
  t.same(
    flags.map(({ flag, askedAt }) => [flag.name, askedAt]),
    [
      ['asked once', (since ?? 0) + 86_400],
      ['never', undefined],
    ],
  )
  await storage.upsert({ name: 'never', description: 'needed soon' })
  await storage.upsert({ name: 'new' })
  t.same(await unused(), ['asked once'], 'what somebody works on is not unused')
  await storage.upsert({ name: 'new', requires: ['asked once'] })
  t.same(await unused(), [], 'nor is what another flag needs')

  const without = await clientOn(storeWith(storage, { usage: undefined }))
  t.same(await unusedFlags(without), { since: undefined, flags: [] })
})
