import t, { type Test } from 'tap'
import {
  FlagStorage,
  type FlagStore,
  type HistoryOptions,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { NAMES, tablesOn } from './tables.ts'

// Who has done what to which flag, and which flags are asked for, in every store.

/** What a flag's history says, the newest first. */
const actionsOf = async (store: HistoryStore, name: string): Promise<unknown[]> =>
  (await store.history(name)).map(({ version, action, author }) => [version, action, author])

/** What every store here can do, and others need not. */
type HistoryStore = Required<Pick<FlagStore, 'history' | 'noteAsked' | 'usage'>> & FlagStore

const versionsOf =
  (store: HistoryStore) =>
  async (options?: HistoryOptions): Promise<number[]> =>
    (await store.history('f', options)).map(({ version }) => version)

/** @param store an empty one */
async function longHistory(t: Test, store: HistoryStore): Promise<void> {
  for (let n = 0; n < 105; n++) await store.upsert({ name: 'f' })
  const versions = versionsOf(store)
  const all = await versions({ limit: 1_000 })
  t.equal(all.length, 105)
  t.same(await versions(), all.slice(0, 100))
}

/** @param make an empty store */
function contract(t: Test, make: (t: Test) => Promise<HistoryStore>): void {
  t.test('the history says who has done what, the newest first', async t => {
    const store = await make(t)
    t.same(await store.history('f'), [])
    const created = await store.upsert({ name: 'f', enabled: true, owner: 'Ann' }, { author: 'Ann' })
    await store.upsert({ name: 'other' })
    const changed = await store.upsert({ name: 'f', segments: ['s'] }, { author: 'Bea' })
    const deleted = await store.delete('f', { author: 'Cy' })
    const restored = await store.upsert({ name: 'f', deleted: false }, { author: 'Ann' })
    await store.purge('f', { author: 'Dee' })
    t.same(await actionsOf(store, 'f'), [
      [6, 'purged', 'Dee'],
      [5, 'restored', 'Ann'],
      [4, 'deleted', 'Cy'],
      [3, 'changed', 'Bea'],
      [1, 'created', 'Ann'],
    ])
    const [purged, ...others] = await store.history('f')
    t.same(
      others.map(({ data }) => data),
      [restored, deleted, changed, created],
      'with all that the flag was',
    )
    t.match(purged?.data, { name: 'f', version: 6, deleted: false, owner: 'Ann', segments: ['s'] })
    for (const { at, data } of others) t.equal(at, data.updated_at)
    t.ok(Math.abs((purged?.at ?? 0) - Date.now() / 1000) < 60, 'in seconds')
    t.same(await actionsOf(store, 'other'), [[2, 'created', null]])
  })

  t.test('what changes nothing is not in the history', async t => {
    const store = await make(t)
    await store.upsert({ name: 'f' })
    await t.rejects(store.upsert({ name: 'f', hash: 'x' as never }))
    await t.rejects(store.upsert({ name: 'f' }, { expectedVersion: 7 }))
    await t.rejects(store.delete('f', { expectedVersion: 7 }))
    await t.rejects(store.purge('f', { expectedVersion: 7 }))
    await store.delete('none')
    await store.purge('none')
    t.equal((await store.history('f')).length, 1)
    t.same(await store.history('none'), [])
  })

  t.test('a new flag goes on with the history of those that had its name', async t => {
    const store = await make(t)
    const actions = async (): Promise<string[]> =>
      (await store.history('f')).map(({ action }) => action).reverse()
    await store.upsert({ name: 'f', owner: 'Ann' })
    await store.delete('f')
    await store.delete('f')
    await store.upsert({ name: 'f' }, { expectedVersion: 0 })
    t.same(await actions(), ['created', 'deleted', 'deleted', 'created'], 'over a tombstone')
    t.notOk('owner' in ((await store.history('f'))[0]?.data ?? {}))
    await store.purge('f')
    await store.upsert({ name: 'f' })
    t.same((await actions()).slice(-2), ['purged', 'created'], 'and where nothing was left')
  })

  t.test('an author is kept as far as it can be', async t => {
    const store = await make(t)
    const authors: [string | undefined, string | null][] = [
      ['Ünï 😀 <b>', 'Ünï 😀 <b>'],
      [undefined, null],
      ['', null],
      [' \n', null],
      ['\0', null],
      [' Ann\0e ', 'Anne'],
      ['x'.repeat(300), 'x'.repeat(255)],
      ['😀'.repeat(200), `${'😀'.repeat(127)}\uFFFD`],
      ['a\uD83D', 'a\uFFFD'],
      ["'; drop table x; --?", "'; drop table x; --?"],
    ]
    for (const [author] of authors) await store.upsert({ name: 'f' }, { author })
    const kept = (await store.history('f')).map(({ author }) => author).reverse()
    t.same(
      kept,
      authors.map(([, author]) => author),
    )
  })

  t.test('a history is read in parts', async t => {
    const store = await make(t)
    for (let n = 0; n < 5; n++) await store.upsert({ name: 'f' })
    const versions = versionsOf(store)
    t.same(await versions(), [5, 4, 3, 2, 1])
    t.same(await versions({ limit: 2 }), [5, 4])
    t.same(await versions({ limit: 2, before: 4 }), [3, 2])
    t.same(await versions({ before: 3 }), [2, 1])
    t.same(await versions({ before: 1 }), [])
    t.same(await versions({ before: Number.MAX_SAFE_INTEGER, limit: 1 }), [5])
  })

  t.test('a history that is handed out is not the one that is stored', async t => {
    const store = await make(t)
    await store.upsert({ name: 'f', segments: ['s'] })
    const [entry] = await store.history('f')
    const handedOut = entry?.data as { segments?: string[] } | undefined
    handedOut?.segments?.push('t')
    t.same((await store.history('f'))[0]?.data.segments, ['s'])
  })

  t.test('it is known which flags are asked for, and since when that is written down', async t => {
    const store = await make(t)
    t.same(await store.usage(), { since: undefined, askedAt: new Map() })
    const begin = Math.floor(Date.now() / 1000)
    await store.noteAsked([])
    const { since } = await store.usage()
    t.ok(since !== undefined && since >= begin && since < begin + 60, 'in seconds')
    t.same((await store.usage()).askedAt.size, 0)
    let seconds = begin + 1_000
    t.intercept(Date, 'now', { value: () => seconds * 1_000 + 999 })
    await store.noteAsked([...NAMES, 'twice', 'twice'])
    seconds = begin + 2_000
    await store.noteAsked(['?', 'F', 'f'])
    const usage = await store.usage()
    t.equal(usage.since, since, 'since the first time')
    const names = [...NAMES.filter(name => name !== '?'), 'twice'].map(name => [name, begin + 1_000])
    t.same(
      [...usage.askedAt].sort(),
      [...names, ...['?', 'F', 'f'].map(name => [name, begin + 2_000])].sort(),
    )
  })
}

t.test('MemoryFlagStorage', async t => {
  contract(t, async () => new MemoryFlagStorage())
  t.test('a history is 100 entries long, unless told', t => longHistory(t, new MemoryFlagStorage()))
})

t.test('FlagStorage', async t => {
  await onEveryBackend(t, async (t, backend) => {
    const { on, sql, quote, names, make } = await tablesOn(t, backend)

    await t.test('does what a store does', async t => contract(t, make))

    await t.test(
      'with the tables of flypper alone there is no history, until the others are made',
      async t => {
        const { flagsTable, metadataTable, historyTable, usageTable } = names()
        const before = new FlagStorage({ on, flagsTable, metadataTable, historyTable, usageTable })
        await before.createTables()
        for (const table of [historyTable, usageTable]) await sql(`drop table ${quote(table)}`)
        const storage = new FlagStorage({ on, flagsTable, metadataTable, historyTable, usageTable })
        await storage.upsert({ name: 'f' }, { author: 'Ann' })
        await storage.upsert({ name: 'g' })
        await storage.delete('g')
        await storage.purge('g')
        await storage.noteAsked(['f'])
        t.same(await storage.history('f'), [])
        t.same(await storage.usage(), { since: undefined, askedAt: new Map() })
        t.match(await storage.changesSince(0), { version: 4, flags: [{ name: 'f' }] })

        // Another process makes them.
        await new FlagStorage({ on, flagsTable, metadataTable, historyTable, usageTable }).createTables()
        await storage.upsert({ name: 'f', enabled: true }, { author: 'Bea' })
        await storage.noteAsked(['f'])
        t.same(await actionsOf(storage, 'f'), [[5, 'changed', 'Bea']])
        t.same([...(await storage.usage()).askedAt.keys()], ['f'])
      },
    )

    await t.test('two writers leave a complete history', async t => {
      const options = { on, ...names() }
      await new FlagStorage(options).createTables()
      const save = async (author: string): Promise<void> => {
        const storage = new FlagStorage(options)
        for (let n = 0; n < 10; n++) await storage.upsert({ name: n % 2 ? 'f' : 'g' }, { author })
      }
      await Promise.all(['Ann', 'Bea'].map(save))
      const storage = new FlagStorage(options)
      const entries = [...(await storage.history('f')), ...(await storage.history('g'))]
      t.same(
        entries.map(({ version }) => version).sort((a, b) => a - b),
        Array.from({ length: 20 }, (_none, n) => n + 1),
      )
      t.equal(entries.filter(({ author }) => author === 'Ann').length, 10)
      t.equal(entries.filter(({ action }) => action === 'created').length, 2)
    })

    if (backend.dialect === 'sqlite') {
      await t.test('a history is 100 entries long, unless told', async t => longHistory(t, await make()))
    }

    await t.test('versions may begin again', async t => {
      const options = { on, ...names() }
      const storage = new FlagStorage(options)
      await storage.createTables()
      await storage.upsert({ name: 'f', owner: 'Ann' }, { author: 'Ann' })
      await sql(`delete from ${quote(options.flagsTable)}`)
      await sql(`delete from ${options.metadataTable}`)
      await storage.upsert({ name: 'f', owner: 'Bea' }, { author: 'Bea' })
      t.match(await storage.history('f'), [{ version: 1, author: 'Bea', data: { owner: 'Bea' } }])
    })

    await t.test('several processes may note the same flags at once, and many of them', async t => {
      const options = { on, ...names() }
      await new FlagStorage(options).createTables()
      const many = Array.from({ length: 500 }, (_none, n) => `flag ${n}`)
      for (let round = 0; round < 3; round++) {
        const noted = Array.from({ length: 4 }, (_none, n) =>
          new FlagStorage(options).noteAsked(n % 2 ? many : many.toReversed()),
        )
        await t.resolves(Promise.all(noted))
      }
      const storage = new FlagStorage(options)
      t.equal((await storage.usage()).askedAt.size, 500)
      await storage.noteAsked(Array.from({ length: 20_000 }, (_none, n) => `flag ${n}`))
      t.equal((await storage.usage()).askedAt.size, 20_000)
    })
  })
})
