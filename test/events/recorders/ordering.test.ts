import { randomUUID } from 'node:crypto'
import { IsolationLevel } from '@mikro-orm/core'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { assertOrdering, createEventTables } from '../../../plugins/events/create-tables.ts'
import { Datastore } from '../../../plugins/events/datastore.ts'
import { Log } from '../../../plugins/events/log.ts'
import { isHeld, LOCK_TRIGGER } from '../../../plugins/events/log-lock.ts'
import { type EventTable, eventTables, type Ordering } from '../../../plugins/events/tables.ts'
import sqlAssist, { type Engine } from '../../../src/index.ts'
import { onEveryBackend } from '../../support/backends.ts'
import { testDatabase } from '../../support/cluster.ts'
import { engineOn, event, events, recordersOn, storeOn } from './stores.ts'

// What PostgreSQL does for the order of notifications: a lock that shows which numbers may still come, or numbers that are
// given at COMMIT.

await onEveryBackend(
  t,
  async (t, backend) => {
    const { engine } = await engineOn(t, backend)
    const sql = (text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
      engine.orm.em.fork().execute(text, values)
    let made = 0
    /** As a default of another column, it sees which locks there are when a number is taken. */
    const seeLocks = async (table: EventTable): Promise<void> => {
      await sql(`create function seen_${made}() returns bigint language sql volatile as $$
        select count(*) from pg_locks where ${isHeld(table)} and pid = pg_backend_pid() $$`)
      await sql(`alter table ${table.sql} add column seen bigint default seen_${made}()`)
    }
    const make = (ordering: Ordering) => storeOn(engine, { name: `Log ${++made}`, ordering })

    t.test('watermark: the lock is held before the first number is taken, until the end', async t => {
      const store = await make('watermark')
      const { events: table } = store.tables
      await seeLocks(table)
      const holders = async (): Promise<number> =>
        (await sql(`select virtualtransaction from pg_locks where ${isHeld(table)}`)).length
      for (const count of [1, 3, 500, 1_100]) {
        await store.application.insertEvents(events(count))
        await store.process.insertEvents(events(count), {
          tracking: { applicationName: 'a', notificationId: count },
        })
      }
      t.same(await sql(`select distinct seen from ${table.sql}`), [{ seen: '1' }])
      t.equal(await holders(), 0)
      for (const end of ['commit', 'rollback'] as const) {
        const em = engine.orm.em.fork()
        await em.begin()
        await store.application.at(em as never).insertEvents(events(1))
        t.equal(await holders(), 1)
        await em[end]()
        t.equal(await holders(), 0)
      }
    })

    t.test('watermark: so it is when another program writes', async t => {
      const store = await make('watermark')
      const { events: table } = store.tables
      await seeLocks(table)
      const columns = '(originator_id, originator_version, topic, state)'
      await sql(
        `insert into ${table.sql} ${columns} select gen_random_uuid(), 1, 'a', '' from generate_series(1, 3)`,
      )
      await sql(
        `with other as (insert into ${table.sql} ${columns} values (gen_random_uuid(), 1, 'a', '') returning id) select id from other`,
      )
      t.same(await sql(`select seen, count(*) as n from ${table.sql} group by seen`), [{ seen: '1', n: '4' }])
    })

    t.test('watermark: a table without the trigger is refused, until createTables has made it', async t => {
      const store = await make('watermark')
      const { events: table } = store.tables
      await sql(`drop trigger ${LOCK_TRIGGER} on ${table.sql}`)
      const refused = { code: 'SQLA_ERR_EVENTS_STORAGE', message: /no trigger/ }
      await t.rejects(assertOrdering(engine.orm.em.fork() as never, store.tables, 'watermark'), refused)
      const log = Log.of(engine, store.tables, { ordering: 'watermark', notify: false })
      t.teardown(() => log.close())
      await t.rejects(log.settled(), refused)
      await createEventTables(store.datastore, store.options)
      await assertOrdering(engine.orm.em.fork() as never, store.tables, 'watermark')
      t.equal(await log.settled(), 0)
    })

    t.test('watermark: so it is in any plan', async t => {
      const store = await make('watermark')
      const { events: table } = store.tables
      await seeLocks(table)
      for (const off of ['enable_nestloop', 'enable_material', 'jit', 'enable_hashjoin']) {
        await store.datastore.transaction(async em => {
          await em.execute(`set local ${off} = off`)
          const many = events(400)
          const ids = await store.application.insertEvents(many)
          const found = await store.application.selectEvents(many[0]?.originatorId as string)
          t.equal(found.length, 400)
          t.same(
            ids,
            [...(ids ?? [])].sort((a, b) => a - b),
          )
        })
      }
      t.same(await sql(`select distinct seen from ${table.sql}`), [{ seen: '1' }])
      const wrong = await sql(`select 1 from ${table.sql} a join ${table.sql} b
        on a.originator_id = b.originator_id and a.originator_version < b.originator_version and a.id > b.id limit 1`)
      t.same(wrong, [])
    })

    t.test('watermark: writers do not wait for each other', async t => {
      const store = await make('watermark')
      const em = engine.orm.em.fork()
      await em.begin()
      const [first] = (await store.application.at(em as never).insertEvents(events(1))) as number[]
      const [second] = (await store.application.insertEvents(events(1))) as number[]
      t.same([first, second], [1, 2])
      await em.commit()
    })

    t.test('watermark: every isolation level will do', async t => {
      const store = await make('watermark')
      const id = randomUUID()
      for (const isolationLevel of [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]) {
        const em = engine.orm.em.fork()
        await em.begin({ isolationLevel })
        await store.application.at(em as never).insertEvents([event(id, 1)])
        await em.rollback()
      }
      t.equal(await store.application.maxNotificationId(), null)
    })

    t.test('strict: numbers are given at COMMIT, in the order of the commits', async t => {
      const store = await make('strict')
      const [a, b] = [engine.orm.em.fork(), engine.orm.em.fork()]
      await a.begin()
      await b.begin()
      const [ofA, ofB] = [randomUUID(), randomUUID()]
      t.equal(await store.application.at(a as never).insertEvents(events(2, ofA)), undefined)
      t.equal(await store.application.at(b as never).insertEvents(events(2, ofB)), undefined)
      t.equal(
        (await store.application.at(a as never).selectEvents(ofA)).length,
        2,
        'who wrote them sees them',
      )
      t.same(await store.application.at(a as never).selectNotifications({ limit: 9 }), [])
      t.equal(await store.application.at(a as never).notificationIdOf(ofA, 1), undefined)
      t.equal(await store.application.at(a as never).maxNotificationId(), null)
      await b.commit()
      await a.commit()
      const found = await store.application.selectNotifications({ limit: 9 })
      t.same(
        found.map(one => [one.id, one.originatorId, one.originatorVersion]),
        [
          [1, ofB, 1],
          [2, ofB, 2],
          [3, ofA, 1],
          [4, ofA, 2],
        ],
      )
    })

    t.test('strict: a transaction that is not READ COMMITTED is refused at once', async t => {
      const store = await make('strict')
      for (const isolationLevel of [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]) {
        const em = engine.orm.em.fork()
        await em.begin({ isolationLevel })
        await t.rejects(store.application.at(em as never).insertEvents(events(1)), {
          code: 'SQLA_ERR_EVENTS_STORAGE',
          message: /READ COMMITTED/,
        })
        await t.rejects(em.commit(), { code: 'SQEV1', message: /READ COMMITTED/ }, 'and by COMMIT')
        // Else MikroORM keeps the connection.
        await em.rollback()
      }
      t.equal(await store.application.maxNotificationId(), null)
    })

    t.test('strict: so is one statement on a connection that is not', async t => {
      const store = await make('strict')
      await sql(`alter database ${(await sql('select current_database() as name'))[0]?.name}
        set default_transaction_isolation = 'repeatable read'`)
      const other = await engineOn(t, backend)
      try {
        const refused = { code: 'SQLA_ERR_EVENTS_STORAGE', message: /READ COMMITTED/ }
        const recorders = recordersOn(new Datastore(other.engine), store.options)
        await t.rejects(recorders.application.insertEvents(events(1)), refused)
        await t.rejects(recorders.application.insertEvents(events(600)), refused)
      } finally {
        await sql(`alter database ${(await sql('select current_database() as name'))[0]?.name}
          reset default_transaction_isolation`)
      }
      t.equal(await store.application.maxNotificationId(), null)
    })

    t.test('strict: a large transaction is numbered by the index, whatever was planned before', async t => {
      const { tables } = await make('strict')
      const { sql: table } = tables.events
      const insert = (count: number): string =>
        `insert into ${table} (originator_id, originator_version, topic, state)
         select gen_random_uuid(), 1, 'a', '' from generate_series(1, ${count})`
      const { clientUrl, dbName } = backend.options() as { clientUrl: string; dbName?: string }
      const url = new URL(clientUrl)
      if (dbName !== undefined) url.pathname = `/${dbName}`
      const client = new pg.Client({ connectionString: url.href })
      await client.connect()
      try {
        await client.query(insert(60))
        await client.query(`vacuum analyze ${table}`)
        for (let round = 0; round < 10; round++) await client.query(insert(1))
        await client.query(insert(1_000))
        await client.query('select pg_stat_force_next_flush()')
        const { rows } = await client.query(
          `select seq_tup_read as read from pg_stat_all_tables where relid = '${table}'::regclass`,
        )
        t.ok(Number(rows[0].read) < 10_000, `${rows[0].read} rows were read`)
      } finally {
        await client.end()
      }
    })

    t.test('strict: each table numbers for itself, wherever the search path leads at COMMIT', async t => {
      const names = ['tenant_a', 'tenant_b']
      for (const schema of names) {
        await sql(`create schema ${schema}`)
        await storeOn(engine, { name: 'x', schema, ordering: 'strict' })
      }
      const tables = eventTables(engine.orm.em as never, { name: 'y' })
      for (const schema of names) {
        const datastore = new Datastore(engine)
        await datastore.transaction(async em => {
          await em.execute(`set local search_path = ${schema}`)
          await createEventTables(datastore, { name: 'y', ordering: 'strict' })
        })
      }
      const em = engine.orm.em.fork()
      await em.begin()
      for (const schema of [...names, 'tenant_a']) {
        await em.execute(`set local search_path = ${schema}`)
        await recordersOn(new Datastore(em as never), {
          name: 'y',
          ordering: 'strict',
        }).application.insertEvents(events(2))
      }
      await em.execute('set local search_path = public')
      await em.commit()
      const idsOf = async (schema: string): Promise<unknown[]> =>
        (await sql(`select id from ${schema}.${tables.events.sql} order by id`)).map(({ id }) => Number(id))
      t.same(await idsOf('tenant_a'), [1, 2, 3, 4])
      t.same(await idsOf('tenant_b'), [1, 2])
    })
  },
  ['PostgreSQL', 'PostgreSQL 15'],
)

t.test('a role that may only read and write rows records', async t => {
  const database = await testDatabase(t)
  const owner = await engineFor(t, database.superUrl)
  const writer = await engineFor(t, database.writerUrl)
  for (const ordering of ['watermark', 'strict'] as const) {
    const options = { name: `rights_${ordering}`, ordering }
    const made = await storeOn(owner, options)
    const store = recordersOn(new Datastore(writer), options)
    await database.sql('revoke create on schema public from app_writer')
    await createEventTables(store.datastore, options)
    await store.application.insertEvents(events(2))
    await store.process.insertEvents(events(2), { tracking: { applicationName: 'a', notificationId: 1 } })
    await store.snapshots.insertEvents(events(1))
    t.equal(await made.application.maxNotificationId(), 4)
    const [row] = await database.sql(
      `select tableowner from pg_tables where tablename = 'rights_${ordering}_events'`,
    )
    t.notMatch(row, { tableowner: 'app_writer' })
    // Where rows are hidden, PostgreSQL says nothing of the row that is there.
    for (const table of ['events', 'snapshots']) {
      await database.sql(`alter table rights_${ordering}_${table} enable row level security`)
      await database.sql(`create policy everybody on rights_${ordering}_${table} using (true)`)
    }
    const [one] = events(1)
    await store.application.insertEvents([one as never])
    await store.snapshots.insertEvents([one as never])
    const conflict = {
      code: 'SQLA_ERR_VERSION_CONFLICT',
      message: new RegExp(`version 1 of ${one?.originatorId}`),
    }
    await t.rejects(store.application.insertEvents([one as never]), conflict)
    await t.rejects(store.snapshots.insertEvents([one as never]), conflict)
  }
})

t.test('a batch of events is one round trip, in a session too', async t => {
  const database = await testDatabase(t)
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({
    clientUrl: database.superUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  await app.register(sqlAssist, { engines: { writer: { orm: orm as never } } })
  const messages: string[] = []
  app.post('/dogs', async (request, reply) => {
    const { application } = recordersOn(new Datastore(request.db.get('writer') as never), {
      ordering: 'watermark',
    })
    await application.insertEvents(events(2))
    await request.db.commit()
    return reply.code(201).send()
  })
  await app.ready()
  const engine = app.sqlAssist.engines.get('writer')
  const store = await storeOn(engine, { ordering: 'watermark' })
  const { query } = pg.Client.prototype
  pg.Client.prototype.query = function (this: pg.Client, ...args: never) {
    messages.push(String((args as unknown[])[0]))
    return (query as (...args: never) => unknown).apply(this, args)
  } as never
  t.teardown(() => {
    pg.Client.prototype.query = query
  })
  await store.application.insertEvents(events(500))
  await store.process.insertEvents(events(2), { tracking: { applicationName: 'a', notificationId: 1 } })
  t.equal(messages.splice(0).length, 2)
  const { statusCode } = await app.inject({ method: 'POST', url: '/dogs' })
  t.equal(statusCode, 201)
  t.equal(messages.length, 2, 'with BEGIN, and COMMIT')
  t.match(messages, [/^begin;insert into/i, /^commit/i])
})

async function engineFor(t: Test, clientUrl: string): Promise<Engine> {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({ clientUrl, entities: [], discovery: { warnWhenNoEntities: false } })
  await app.register(sqlAssist, { engines: { writer: { orm: orm as never } } })
  await app.ready()
  return app.sqlAssist.engines.get('writer')
}
