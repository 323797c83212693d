import t, { type Test } from 'tap'
import {
  FlagClient,
  type FlagData,
  FlagStorage,
  type FlagStore,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { NAMES, tablesOn } from './tables.ts'

// What every store of flags does, and what only one in a database has to.

/** @param make an empty store */
function contract(t: Test, make: (t: Test) => Promise<FlagStore>): void {
  t.test('a flag is saved with what was given, and off where nothing was', async t => {
    const store = await make(t)
    const flag = await store.upsert({ name: 'f', enabled: true, owner: 'Ann' })
    t.match(flag, {
      name: 'f',
      enabled: true,
      deleted: false,
      enabled_for_actors: null,
      enabled_for_percentage_of_actors: null,
      hash: 'salted',
      owner: 'Ann',
      version: 1,
    })
    t.ok(Math.abs(flag.updated_at - Date.now() / 1000) < 60, 'in seconds')
    t.same(await store.list(), [flag])
  })

  t.test('saving again changes what was given and keeps the rest', async t => {
    const store = await make(t)
    const variants = {
      actor_key: 'id',
      options: [{ name: 'a', value: { deep: ['é', 1.5, null] }, weight: 1 }],
    }
    await store.upsert({ name: 'f', enabled: true, variants, description: 'old' })
    await store.upsert({ name: 'f', description: 'new', enabled: undefined as never })
    t.match(await store.list(), [{ name: 'f', enabled: true, variants, description: 'new', version: 2 }])
    await store.upsert({ name: 'f', variants: null })
    t.match(await store.list(), [{ variants: null, description: 'new' }])
  })

  t.test('flags are listed in the order of their changes, those after a version', async t => {
    const store = await make(t)
    for (const name of ['a', 'b', 'c', 'a']) await store.upsert({ name })
    const namesAfter = async (versionGreaterThan?: number): Promise<string[]> =>
      (await store.list(versionGreaterThan === undefined ? {} : { versionGreaterThan })).map(one => one.name)
    t.same(await namesAfter(), ['b', 'c', 'a'])
    t.same(await namesAfter(2), ['c', 'a'])
    t.same(await namesAfter(4), [])
  })

  t.test('names are what they are', async t => {
    const store = await make(t)
    for (const name of [...NAMES, 'f', 'F']) await store.upsert({ name, description: name })
    t.match(
      (await store.list()).map(({ name, description }) => [name, description]),
      [...NAMES, 'f', 'F'].map(name => [name, name]),
    )
    await store.upsert({ name: 'F', enabled: true })
    t.equal((await store.list()).find(({ name }) => name === 'f')?.enabled, false)
    for (const name of NAMES) t.equal(await store.purge(name), true, name)
    t.equal((await store.list()).length, 2)
  })

  t.test('one flag is found by its name, a tombstone, too', async t => {
    const store = await make(t)
    for (const name of NAMES) await store.upsert({ name, description: name })
    for (const name of NAMES) t.match(await store.get(name), { name, description: name })
    t.equal(await store.get('none'), undefined)
    const gone = await store.delete('two words')
    t.same(await store.get('two words'), gone)
    t.equal(gone?.deleted, true)
    await store.purge('two words')
    t.equal(await store.get('two words'), undefined)
  })

  t.test('invalid data change nothing', async t => {
    const store = await make(t)
    const { version } = await store.upsert({ name: 'f' })
    for (const input of [{ name: 'f', hash: 'x' }, { name: 'a\0b' }, {}, null, 'f']) {
      await t.rejects(store.upsert(input as never), { code: 'SQLA_ERR_FLAG_INVALID' })
    }
    t.match(await store.list(), [{ name: 'f', version }])
    await t.rejects(store.upsert({ name: 'f', from: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z' }))
    await store.upsert({ name: 'f', from: '2026-01-02T00:00:00Z' })
    await t.rejects(
      store.upsert({ name: 'f', until: '2026-01-01T00:00:00Z' }),
      { code: 'SQLA_ERR_FLAG_INVALID' },
      'nor do those that contradict what is there',
    )
  })

  t.test('the second of two editors is told', async t => {
    const store = await make(t)
    const { version } = await store.upsert({ name: 'f' })
    const { version: next } = await store.upsert({ name: 'f', owner: 'Ann' }, { expectedVersion: version })
    await t.rejects(store.upsert({ name: 'f', owner: 'Bea' }, { expectedVersion: version }), {
      code: 'SQLA_ERR_FLAG_CONFLICT',
      statusCode: 409,
    })
    await t.rejects(store.delete('f', { expectedVersion: version }), { code: 'SQLA_ERR_FLAG_CONFLICT' })
    t.match(await store.list(), [{ owner: 'Ann', deleted: false, version: next }])
    t.ok(await store.delete('f', { expectedVersion: next }))
    await t.rejects(store.upsert({ name: 'g' }, { expectedVersion: 7 }), { code: 'SQLA_ERR_FLAG_CONFLICT' })
  })

  t.test('a purge, too, is of the flag that was seen', async t => {
    const store = await make(t)
    const { version } = await store.upsert({ name: 'f' })
    await store.upsert({ name: 'f', enabled: true })
    await t.rejects(store.purge('f', { expectedVersion: version }), { code: 'SQLA_ERR_FLAG_CONFLICT' })
    t.match(await store.list(), [{ name: 'f', enabled: true }])
    t.equal(await store.purge('f', { expectedVersion: version + 1 }), true)
    t.equal(await store.purge('f', { expectedVersion: version + 1 }), false)
  })

  t.test('a new flag does not take the place of one that is there', async t => {
    const store = await make(t)
    await store.upsert({ name: 'f', enabled: true }, { expectedVersion: 0 })
    await t.rejects(store.upsert({ name: 'f' }, { expectedVersion: 0 }), { code: 'SQLA_ERR_FLAG_CONFLICT' })
    t.match(await store.list(), [{ enabled: true }])
  })

  t.test('a deleted flag leaves a tombstone, and comes back when it is said', async t => {
    const store = await make(t)
    await store.upsert({ name: 'f', enabled: true, owner: 'Ann' })
    const { version } = await store.changesSince(0)
    t.match(await store.delete('f'), { name: 'f', deleted: true, owner: 'Ann' })
    t.match(await store.changesSince(version), { flags: [{ name: 'f', deleted: true }], complete: false })
    t.match(await store.upsert({ name: 'f', description: 'x' }), { deleted: true }, 'not by chance')
    t.match(await store.upsert({ name: 'f', deleted: false }), { enabled: true, owner: 'Ann' })
    t.equal(await store.delete('none'), undefined)
    await store.delete('f')
    const fresh = await store.upsert({ name: 'f' }, { expectedVersion: 0 })
    t.match(fresh, { enabled: false, deleted: false, hash: 'salted' })
    t.notOk('owner' in fresh, 'a new one of the same name has nothing of it')
    t.equal((await store.list()).length, 1)
  })

  t.test('a purged flag is gone, and whoever had it learns of it', async t => {
    const store = await make(t)
    await store.upsert({ name: 'f' })
    await store.upsert({ name: 'g' })
    const { version } = await store.changesSince(0)
    t.match(await store.changesSince(version), { version, flags: [], complete: false })
    t.equal(await store.purge('f'), true)
    t.equal(await store.purge('f'), false)
    t.match(await store.changesSince(version), { flags: [{ name: 'g' }], complete: true })
    const { version: after } = await store.changesSince(version)
    t.match(await store.changesSince(after), { flags: [], complete: false }, 'once')
    await store.purge('g')
    t.same((await store.changesSince(after)).flags, [])
    t.equal((await store.changesSince(after)).complete, true, 'also of the last one')
  })

  t.test('whoever has seen versions that there have never been begins anew', async t => {
    const store = await make(t)
    await store.upsert({ name: 'f' })
    t.match(await store.changesSince(1_000), { version: 1, flags: [{ name: 'f' }], complete: true })
  })

  t.test('what is handed out is not what is stored', async t => {
    const store = await make(t)
    const actors = { actor_key: 'id', actor_ids: ['1'] }
    const flag = await store.upsert({ name: 'f', enabled_for_actors: actors })
    actors.actor_ids.push('2')
    const handedOut = flag.enabled_for_actors ?? actors
    ;(handedOut.actor_ids as string[]).push('3')
    ;((await store.list())[0] as { enabled: boolean }).enabled = true
    t.match(await store.list(), [{ enabled: false, enabled_for_actors: { actor_ids: ['1'] } }])
    t.equal((await store.list())[0]?.enabled_for_actors?.actor_ids.length, 1)
  })
}

t.test('MemoryFlagStorage', async t => {
  contract(t, async () => new MemoryFlagStorage())
})

t.test('FlagStorage', async t => {
  await onEveryBackend(t, async (t, backend) => {
    const { app, on, sql, quote, names, make } = await tablesOn(t, backend, app => {
      app.post('/:outcome', async request => {
        const storage = new FlagStorage({ on: request.db.get('writer') as SqlEm, flagsTable: 'of_request' })
        const { outcome } = request.params as { outcome: string }
        await storage.upsert({ name: outcome })
        await t.rejects(storage.upsert({ name: 'x'.repeat(300) }))
        await t.rejects(storage.upsert({ name: outcome }, { expectedVersion: 999 }))
        if (outcome === 'commit') await request.db.commit()
        return (await storage.list()).length
      })
    })

    await t.test('does what a store does', async t => contract(t, make))

    await t.test('tables are created once, by however many', async t => {
      // All connections are there before they race.
      await Promise.all(Array.from({ length: 4 }, () => sql('select 1')))
      for (let round = 0; round < 5; round++) {
        const options = { on, ...names() }
        await Promise.all(Array.from({ length: 4 }, () => new FlagStorage(options).createTables()))
        const storage = new FlagStorage(options)
        await storage.upsert({ name: 'f' })
        await storage.createTables()
        t.equal((await storage.list()).length, 1)
        const [counter] = await sql(`select value from ${options.metadataTable}`)
        t.equal(counter?.value, '1', 'with a counter that is text, as in those of flypper')
      }
    })

    await t.test('the first flags of all may be saved at once', async t => {
      const options = { on, ...names() }
      await new FlagStorage(options).createTables()
      const saved = await Promise.all(
        Array.from({ length: 6 }, (_none, n) => new FlagStorage(options).upsert({ name: `f${n % 3}` })),
      )
      t.same(
        saved.map(({ version }) => version).sort((a, b) => a - b),
        [1, 2, 3, 4, 5, 6],
      )
    })

    await t.test('changes of one flag at the same time all arrive', async t => {
      const storage = await make()
      const fields = ['owner', 'description', 'enabled', 'segments'] as const
      const values = { owner: 'Ann', description: 'x', enabled: true, segments: ['s'] }
      await Promise.all(fields.map(field => storage.upsert({ name: 'f', [field]: values[field] })))
      t.match(await storage.list(), [values])
      const results = await Promise.allSettled(
        fields.map(() => storage.upsert({ name: 'f' }, { expectedVersion: 4 })),
      )
      t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1, 'of four editors one wins')
    })

    await t.test('tables of flypper go on working, and flypper reads what is saved', async t => {
      const varchar = backend.dialect === 'mysql' ? 'varchar(255)' : 'varchar'
      await sql(
        `create table flypper_flags (name ${varchar} not null primary key, version integer not null, data json not null)`,
      )
      await sql(
        `create table flypper_metadata (${quote('key')} ${varchar} not null primary key, value ${varchar} not null)`,
      )
      await sql(`insert into flypper_metadata values ('version', '9')`)
      const old = {
        name: 'old',
        deleted: false,
        enabled: true,
        enabled_for_actors: null,
        enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 12.5 },
        updated_at: 1_700_000_000.25,
        version: 9,
      } satisfies FlagData
      await sql('insert into flypper_flags values (?, ?, ?)', ['old', 9, JSON.stringify(old)])
      const storage = new FlagStorage({ on })
      t.same(await storage.list(), [old], 'before anything of ours is in the database')
      await storage.createTables()
      await storage.createTables()
      t.same(await storage.changesSince(0), { version: 9, flags: [old], complete: false })
      await storage.upsert({ name: 'new' })
      const changed = await storage.upsert({ name: 'old', enabled: false })
      t.equal(changed.version, 11)
      t.equal(changed.hash, undefined, 'an old rollout keeps its users')
      const [row] = await sql(`select * from flypper_flags where name = 'old'`)
      const json = (typeof row?.data === 'string' ? JSON.parse(row.data) : row?.data) as FlagData
      t.same(Object.keys(json).sort(), Object.keys(old).sort(), 'no more than flypper has given it')
      t.equal(row?.version, 11)
      t.equal(json.version, 11)
      const [counter] = await sql(`select value from flypper_metadata where ${quote('key')} = 'version'`)
      t.equal(counter?.value, '11', 'as text, which flypper reads')
    })

    await t.test('a purge between the two questions of a client is seen the next time', async t => {
      const options = { on, ...names() }
      const storage = new FlagStorage(options)
      await storage.createTables()
      for (const name of ['f', 'g']) await storage.upsert({ name, enabled: true })
      const em = on.orm.em.fork() as SqlEm
      const execute = em.execute.bind(em)
      let meanwhile: (() => Promise<unknown>) | undefined
      em.execute = (async (...args: Parameters<typeof execute>) => {
        const rows = await execute(...args)
        const work = meanwhile
        meanwhile = undefined
        await work?.()
        return rows
      }) as typeof em.execute
      const client = new FlagClient({ storage: new FlagStorage({ ...options, on: em }) })
      await client.sync()
      await storage.upsert({ name: 'h' })
      meanwhile = () => storage.purge('f')
      await client.sync()
      t.equal(client.snapshot.version, 3, 'of the purge it has not heard')
      await client.sync()
      t.same([...client.flags().keys()].sort(), ['g', 'h'])
    })

    if (backend.dialect !== 'sqlite') {
      await t.test('a client that asks while a purge is under way misses nothing', async t => {
        const options = { on, ...names() }
        const storage = new FlagStorage(options)
        await storage.createTables()
        for (const name of ['f', 'g']) await storage.upsert({ name, enabled: true })
        const client = new FlagClient({ storage })
        await client.sync()
        const cold = new FlagClient({ storage })
        await on.orm.em.fork().transactional(async em => {
          await new FlagStorage({ ...options, on: em as SqlEm }).purge('f')
          for (const one of [client, cold]) {
            await one.sync()
            t.same([...one.flags().keys()].sort(), ['f', 'g'], 'before it is committed')
          }
        })
        for (const one of [client, cold]) {
          await one.sync()
          t.same([...one.flags().keys()], ['g'])
        }
      })
    }

    await t.test('on a session what is saved has the fate of the request', async t => {
      await new FlagStorage({ on, flagsTable: 'of_request' }).createTables()
      const outside = new FlagStorage({ on, flagsTable: 'of_request' })
      for (const outcome of ['rollback', 'commit']) {
        const answer = await app.inject({ method: 'POST', url: `/${outcome}` })
        t.equal(answer.body, '1', 'the request itself sees it')
        t.equal((await outside.list()).length, outcome === 'commit' ? 1 : 0, outcome)
        t.equal((await outside.history(outcome)).length, outcome === 'commit' ? 1 : 0, 'as has its history')
      }
    })

    if (backend.dialect === 'mysql') {
      await t.test('a session that has read before still changes what is there now', async t => {
        const options = names()
        const storage = new FlagStorage({ on, ...options })
        await storage.createTables()
        await storage.upsert({ name: 'f' })
        await on.orm.em.fork().transactional(async em => {
          const inside = new FlagStorage({ on: em as SqlEm, ...options })
          await inside.list()
          await storage.upsert({ name: 'f', owner: 'Ann' })
          await inside.upsert({ name: 'f', description: 'x' }).catch(() => {})
        })
        t.match(await storage.list(), [{ owner: 'Ann' }])
      })
    }

    if (backend.dialect === 'postgresql') {
      await t.test('the tables may be in a schema of their own', async t => {
        await sql('create schema "My flags"')
        const storage = new FlagStorage({ on, schema: 'My flags' })
        await storage.createTables()
        await storage.upsert({ name: 'f' })
        const found = await sql(`select tablename from pg_tables where schemaname = 'My flags'`)
        t.same(found.map(({ tablename }) => tablename).sort(), [
          'flypper_flags',
          'flypper_flags_history',
          'flypper_flags_usage',
          'flypper_metadata',
        ])
        const indexes = await sql(`select 1 from pg_indexes where indexname = 'ix_flypper_flags_version'`)
        t.equal(indexes.length, 2, 'each with an index')
      })
    }
  })
})
