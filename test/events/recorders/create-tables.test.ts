import { randomUUID } from 'node:crypto'
import t from 'tap'
import {
  assertOrdering,
  createEventTables,
  eventTableStatements,
} from '../../../plugins/events/create-tables.ts'
import { Datastore } from '../../../plugins/events/datastore.ts'
import { eventTables } from '../../../plugins/events/tables.ts'
import { onEveryBackend } from '../../support/backends.ts'
import { engineOn, event, events, onEveryStore, recordersOn, storeOn } from './stores.ts'

// The tables: where they are, what they are called, and for which ordering they were made.

await onEveryStore(t, async (t, { backend, ordering, make, engine, sql }) => {
  t.test('tables are made once, however many processes make them at once', async t => {
    const options = { name: 'together', ordering }
    const makers = Array.from({ length: 4 }, () => createEventTables(new Datastore(engine), options))
    await Promise.all(makers)
    const store = recordersOn(new Datastore(engine), options)
    await store.application.insertEvents(events(2))
    await createEventTables(store.datastore, options)
    await store.application.insertEvents(events(1))
    t.equal(await store.application.maxNotificationId(), 3)
    for (const { sql: table } of [store.tables.events, store.tables.snapshots, store.tables.tracking]) {
      await sql(`drop table ${table}`)
    }
    if (backend.dialect === 'mysql') await sql('drop table together_events_counter')
  })

  t.test('a table that is missing is made beside those that are there', async t => {
    const store = await make()
    await store.application.insertEvents(events(2))
    await sql(`drop table ${store.tables.tracking.sql}`)
    await createEventTables(store.datastore, store.options)
    await store.process.insertEvents(events(1), { tracking: { applicationName: 'a', notificationId: 1 } })
    t.equal(await store.application.maxNotificationId(), 3)
  })

  t.test('the statements of a migration make the same tables', async t => {
    const em = engine.orm.em.fork() as never
    const options = { name: 'migrated', ordering }
    for (const statement of eventTableStatements(em, options)) await sql(statement)
    const store = recordersOn(new Datastore(engine), options)
    await createEventTables(store.datastore, options)
    await assertOrdering(em, store.tables, ordering)
    await store.process.insertEvents(events(2), { tracking: { applicationName: 'a', notificationId: 1 } })
    await store.snapshots.insertEvents(events(1))
    t.equal(await store.application.maxNotificationId(), 2)
    for (const { sql: table } of [store.tables.events, store.tables.snapshots, store.tables.tracking]) {
      await sql(`drop table ${table}`)
    }
    if (backend.dialect === 'mysql') await sql('drop table migrated_events_counter')
  })

  t.test('tables have any names, and are in any schema', async t => {
    const NAMES = ['Select', 'two words', 'Ünï', 'semi;--/*', 'per%cent', 'a:b', '(x)']
    for (const name of NAMES) {
      // A quote cannot be a name here, and the table of another ordering may be there.
      const store = await storeOn(engine, { name: `${name}${ordering}`, ordering })
      const [one] = events(1)
      await store.process.insertEvents([one as never], {
        tracking: { applicationName: 'a', notificationId: 1 },
      })
      await store.snapshots.insertEvents([one as never])
      t.equal(await store.application.notificationIdOf(one?.originatorId as string, 1), 1, name)
      await t.rejects(store.application.insertEvents([one as never]), { code: 'SQLA_ERR_VERSION_CONFLICT' })
      await t.rejects(store.snapshots.insertEvents([one as never]), { code: 'SQLA_ERR_VERSION_CONFLICT' })
    }
    if (backend.dialect === 'sqlite') return
    const schema = `My events ${ordering} ${backend.name.replaceAll(' ', '')}`
    const quoted = engine.orm.em.getPlatform().quoteIdentifier(schema).toString()
    await sql(`create schema ${quoted}`)
    if (backend.dialect === 'mysql') t.teardown(() => sql(`drop schema ${quoted}`))
    const tables = { events: 'E', snapshots: 'S', tracking: 'T' }
    const inside = await storeOn(engine, { schema, tables, ordering })
    const outside = await storeOn(engine, { tables, ordering })
    await inside.process.insertEvents(events(1_001), {
      tracking: { applicationName: 'a', notificationId: 1 },
    })
    await inside.snapshots.insertEvents(events(1))
    t.equal(await inside.application.maxNotificationId(), 1_001)
    t.equal(await outside.application.maxNotificationId(), null)
    t.notSame(inside.tables.channel, outside.tables.channel)
    for (const table of [outside.tables.events, outside.tables.snapshots, outside.tables.tracking]) {
      await sql(`drop table ${table.sql}`)
    }
    if (backend.dialect === 'mysql') await sql('drop table E_counter')
  })

  t.test('every log has a channel of its own, that PostgreSQL takes', async t => {
    const em = engine.orm.em as never
    const [long, wide] = ['s'.repeat(44), 'ß'.repeat(22)]
    const logs = [
      {},
      { schema: 'a' },
      { schema: long, tables: { events: 'a' } },
      { schema: long, tables: { events: 'b' } },
      { schema: wide, tables: { events: wide } },
      { schema: wide, tables: { events: 'ß' } },
    ]
    const channels = logs.map(options => eventTables(em, options).channel)
    t.same(channels.slice(0, 2), ['sqlassist_stored_events', 'sqlassist_a_stored_events'])
    t.equal(new Set(channels).size, logs.length)
    for (const channel of channels) t.ok(Buffer.byteLength(channel) < 64, channel)
  })

  t.test('names that cannot be one are refused', async t => {
    const em = engine.orm.em as never
    for (const name of [
      'a?',
      'a"b',
      "a'b",
      'a`b',
      'a$b',
      'a\\b',
      'a\0b',
      'a.b',
      'x'.repeat(45),
      '😀'.repeat(12),
      '',
    ]) {
      for (const options of [
        { schema: name },
        { tables: { events: name } },
        { tables: { tracking: name } },
      ]) {
        t.throws(() => eventTables(em, options), { code: 'SQLA_ERR_EVENTS_STORAGE' }, JSON.stringify(options))
      }
    }
    t.throws(() => eventTables(em, { tables: { events: 'a', tracking: 'a' } }), {
      code: 'SQLA_ERR_EVENTS_STORAGE',
    })
  })
})

await onEveryBackend(t, async (t, backend) => {
  const { engine } = await engineOn(t, backend)
  const datastore = new Datastore(engine)
  const isPostgres = backend.dialect === 'postgresql'

  t.test('the default ordering is that of the database', async t => {
    const tables = eventTables(datastore.em, { name: 'default' })
    await createEventTables(datastore, { name: 'default' })
    await assertOrdering(datastore.em.fork() as never, tables, isPostgres ? 'watermark' : 'strict')
    t.throws(() => eventTableStatements(datastore.em, { ordering: 'loose' as never }), {
      code: 'SQLA_ERR_EVENTS_STORAGE',
    })
  })

  t.test('an ordering that the database or the table does not have is refused', async t => {
    if (!isPostgres) {
      const refused = { code: 'SQLA_ERR_EVENTS_STORAGE', message: /only PostgreSQL/ }
      await t.rejects(createEventTables(datastore, { ordering: 'watermark' }), refused)
      t.throws(() => eventTableStatements(datastore.em, { ordering: 'watermark' }), refused)
      await t.rejects(assertOrdering(datastore.em, eventTables(datastore.em), 'watermark'), refused)
      return
    }
    const em = datastore.em.fork() as never
    for (const [ordering, other] of [
      ['watermark', 'strict'],
      ['strict', 'watermark'],
    ] as const) {
      const options = { name: `for ${ordering}` }
      const tables = eventTables(datastore.em, options)
      await assertOrdering(em, tables, other)
      await createEventTables(datastore, { ...options, ordering })
      await assertOrdering(em, tables, ordering)
      const refused = {
        code: 'SQLA_ERR_EVENTS_STORAGE',
        message: `Events cannot be stored there: table ${tables.events.sql} was made for the ordering '${ordering}', not '${other}'`,
      }
      await t.rejects(assertOrdering(em, tables, other), refused)
      await t.rejects(createEventTables(datastore, { ...options, ordering: other }), refused)
    }
  })

  t.test('a counter that has no row is told of', async t => {
    if (backend.dialect !== 'mysql') return
    const store = await storeOn(engine, { name: 'counted', ordering: 'strict' })
    await engine.orm.em.fork().execute('delete from counted_events_counter')
    await t.rejects(store.application.insertEvents(events(1)), {
      code: 'SQLA_ERR_EVENTS_STORAGE',
      message: /counter/,
    })
    await createEventTables(datastore, store.options)
    await store.application.insertEvents(events(1))
    t.equal(await store.application.maxNotificationId(), 1)
  })

  t.test('tables of the Python package are gone on with', async t => {
    if (!isPostgres) return
    const em = engine.orm.em.fork()
    // As eventsourcing_sqlalchemy makes them, and with an identity instead.
    for (const [name, id] of [
      ['bankaccounts', 'bigserial primary key'],
      ['trainingschool', 'bigint generated always as identity primary key'],
    ]) {
      await em.execute(
        `create table ${name}_events (id ${id}, originator_id uuid, originator_version bigint, topic text, state bytea)`,
      )
      await em.execute(
        `create unique index ${name}_events_aggregate_idx on ${name}_events (originator_id, originator_version)`,
      )
      await em.execute(
        `create table ${name}_snapshots (originator_id uuid, originator_version bigint, topic text, state bytea, primary key (originator_id, originator_version))`,
      )
      await em.execute(
        `create table ${name}_tracking (application_name text primary key, notification_id bigint)`,
      )
      const dog = randomUUID()
      await em.execute(
        `insert into ${name}_events (originator_id, originator_version, topic, state) values (?, 1, 'dog', '\\x7b7d')`,
        [dog],
      )
      const store = await storeOn(engine, { name: name as string, ordering: 'watermark' })
      t.same(await store.application.insertEvents([event(dog, 2), event(dog, 3)]), [2, 3])
      t.match(await store.application.selectEvents(dog), [{ topic: 'dog' }, {}, {}])
      await t.rejects(store.application.insertEvents([event(dog, 1)]), { code: 'SQLA_ERR_VERSION_CONFLICT' })
      await store.snapshots.insertEvents([event(dog, 3)])
      await t.rejects(store.snapshots.insertEvents([event(dog, 3)]), { code: 'SQLA_ERR_VERSION_CONFLICT' })
      await store.process.insertEvents(events(1), { tracking: { applicationName: 'a', notificationId: 1 } })
      await t.rejects(assertOrdering(em as never, store.tables, 'strict'), {
        code: 'SQLA_ERR_EVENTS_STORAGE',
      })
    }
  })
})
