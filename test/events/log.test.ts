import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import t from 'tap'
import { errors } from '../../plugins/events/errors.ts'
import { Log } from '../../plugins/events/log.ts'
import { LOCK_SPACE } from '../../plugins/events/log-lock.ts'
import { eventTables } from '../../plugins/events/tables.ts'
import type { SqlEm } from '../../src/index.ts'
import { eventually } from '../support/app.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { elsewhere, logOn, type TestLog, within } from './logs.ts'
import { engineOn, events } from './recorders/stores.ts'

// Up to where a log may be read by somebody who must not skip an event.

const PATIENT = { patience: 10_000 }
/** Milliseconds in which nothing is to happen. */
const A_WHILE = 60

/** Statements of the pollers of an application that have been run so far. */
function looksAt({ engine }: TestLog): () => number {
  let looks = 0
  const { pool } = engine
  const acquire = pool.acquire.bind(pool)
  pool.acquire = () => {
    looks++
    return acquire()
  }
  return () => looks
}

async function connectionsOf({ engine }: TestLog, like: string): Promise<number> {
  const [row]: { count: number }[] = await engine.orm.em
    .fork()
    .execute(
      'select count(*)::int as count from pg_stat_activity where datname = current_database() and query ilike ?',
      [like],
    )
  return row?.count ?? -1
}

const listeners = (log: TestLog): Promise<number> => connectionsOf(log, 'listen %')

/**
 * The server says something else of itself to those who look at the log: as when it has crashed, though it goes on.
 *
 * @param value the SQL of what a function of pg_catalog returns. @returns changes that
 */
async function answering(
  { engine }: TestLog,
  name: string,
  value: string,
): Promise<(value: string) => Promise<void>> {
  const sql = (text: string): Promise<{ type: string }[]> => engine.orm.em.fork().execute(text)
  const [{ type } = { type: '' }] = await sql(
    `select prorettype::regtype::text as type from pg_proc where oid = 'pg_catalog.${name}'::regproc`,
  )
  const answer = async (value: string): Promise<void> =>
    void (await sql(
      `create or replace function answers.${name}() returns ${type} language sql as $$ select ${value} $$`,
    ))
  await sql('create schema if not exists answers')
  await answer(value)
  const { pool } = engine
  const acquire = pool.acquire.bind(pool)
  pool.acquire = async () => {
    const lease = await acquire()
    await lease.execute({ sql: 'set search_path = answers, public, pg_catalog', parameters: [] } as never)
    return lease
  }
  return answer
}

/** What is asked next on a connection of the pool has its answer when it is released. */
function holdingBack({ engine }: TestLog): { asked: Promise<void>; release(): void } {
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { pool } = engine
  const { acquire } = pool
  pool.acquire = async () => {
    pool.acquire = acquire
    const lease = await pool.acquire()
    const execute = lease.execute.bind(lease)
    lease.execute = (async (query: never) => {
      const answer = await execute(query)
      onAsked()
      await released
      return answer
    }) as never
    return lease
  }
  return { asked, release }
}

const byWatermark = async (t: Test, backend: TestBackend): Promise<void> => {
  t.test('nothing is settled in an empty log', async t => {
    const { log } = await logOn(t, backend)
    t.equal(await log.settled(PATIENT), 0)
  })

  t.test('everything is settled that nobody is writing behind', async t => {
    const { log, application } = await logOn(t, backend)
    await application.insertEvents(events(3))
    t.equal(await log.settled(PATIENT), 3)
    await application.insertEvents(events(2))
    t.equal(await log.settled(PATIENT), 5)
  })

  t.test('an open transaction holds back what is behind it, and only until it ends', async t => {
    const { log, open, insert } = await logOn(t, backend, { pollInterval: 60_000 })
    await insert()
    t.equal(await log.settled(PATIENT), 1)
    const slow = await open()
    t.same(await slow.insert(events(1)), [2])
    await insert()
    t.equal(await log.settled({ patience: A_WHILE }), 1, '3 is committed, but 2 may come')
    const settled = log.settled(PATIENT)
    t.equal(await within(settled, A_WHILE), 'nothing yet')
    await slow.commit()
    t.equal(await within(settled, 5_000), 3, 'though nobody tells')
  })

  t.test('one that has only begun, or only read, holds nothing back', async t => {
    const { log, open, insert, application } = await logOn(t, backend)
    const idle = await open()
    await idle.em.execute('select 1')
    const reader = await open()
    await application.at(reader.em).selectNotifications({ limit: 1 })
    await insert()
    t.equal(await log.settled(PATIENT), 1)
    await idle.rollback()
    await reader.rollback()
  })

  t.test('one of another log holds nothing back', async t => {
    const one = await logOn(t, backend)
    const other = await logOn(t, backend)
    const slow = await other.open()
    await slow.insert(events(1))
    await one.insert()
    t.equal(await one.log.settled(PATIENT), 1)
    await slow.rollback()
  })

  t.test('a rollback leaves a gap, which is passed', async t => {
    const { log, open, insert } = await logOn(t, backend)
    const failing = await open()
    await failing.insert(events(2))
    await insert()
    const settled = log.settled(PATIENT)
    await failing.rollback()
    t.equal(await settled, 3)
  })

  t.test('a savepoint that was rolled back holds back until its transaction ends', async t => {
    const { log, open, insert } = await logOn(t, backend)
    const slow = await open()
    await slow.insert(events(1))
    await slow.em.execute('savepoint one')
    await slow.insert(events(1))
    await slow.em.execute('rollback to savepoint one')
    await insert()
    t.equal(await log.settled({ patience: A_WHILE }), 0)
    await slow.insert(events(1))
    await slow.commit()
    t.equal(await log.settled(PATIENT), 4)
  })

  t.test('those who come later do not hold back what was there before', async t => {
    const { log, open, insert } = await logOn(t, backend)
    const first = await open()
    await first.insert(events(1))
    const settled = log.settled(PATIENT)
    t.equal(await within(settled, A_WHILE), 'nothing yet')
    const second = await open()
    await second.insert(events(1))
    await insert()
    await first.commit()
    t.equal(await settled, 1)
    t.equal(await log.settled({ patience: A_WHILE }), 1)
    await second.commit()
    t.equal(await log.settled(PATIENT), 3)
  })

  t.test('a prepared transaction holds back until it is resolved', async t => {
    const { log, open, insert, engine } = await logOn(t, backend)
    const [allowed] = await engine.orm.em.fork().execute('show max_prepared_transactions')
    if (allowed?.max_prepared_transactions === '0') {
      t.comment('SKIPPED: max_prepared_transactions is 0 there')
      return t.end()
    }
    const name = `sqlassist_${randomBytes(6).toString('hex')}`
    const ends = ['commit prepared', 'rollback prepared'] as const
    for (const [round, end] of ends.entries()) {
      const settledBefore = await log.settled(PATIENT)
      const { em, insert: insertInto } = await open()
      const [id] = (await insertInto(events(1))) as [number]
      const settled = log.settled(PATIENT)
      t.equal(await within(settled, A_WHILE), 'nothing yet')
      await em.execute(`prepare transaction '${name}'`)
      await em.rollback()
      await insert()
      t.equal(await within(settled, A_WHILE), 'nothing yet', 'it has no session any more')
      t.equal(await log.settled({ patience: A_WHILE }), settledBefore)
      await engine.orm.em.fork().execute(`${end} '${name}'`)
      t.ok(((await settled) as number) >= id)
      t.equal(await log.settled(PATIENT), 2 * (round + 1))
    }
  })

  t.test('a new one asks for what is settled, and does not believe what is committed', async t => {
    const first = await logOn(t, backend)
    const slow = await first.open()
    await slow.insert(events(1))
    await first.insert()
    const second = await elsewhere(t, backend, first)
    t.equal(await second.log.settled({ patience: A_WHILE }), 0)
    await slow.commit()
    t.equal(await second.log.settled(PATIENT), 2)
  })

  t.test('whoever waits for a change hears of it when it is settled', async t => {
    const { log, open, insert } = await logOn(t, backend, { pollInterval: 10, notify: false })
    await insert()
    t.equal(await log.changes(0), 1)
    const change = log.changes(1)
    const slow = await open()
    await slow.insert(events(1))
    await insert()
    t.equal(await within(change, A_WHILE), 'nothing yet')
    await slow.rollback()
    t.equal(await change, 3)
  })

  t.test('however many follow, one looks', async t => {
    const made = await logOn(t, backend, { pollInterval: 50 })
    const { insert, again } = made
    const logs = [made.log, again(), again({ pollInterval: 500 })]
    const looks = looksAt(made)
    const waiting = Array.from({ length: 30 }, (_, n) => (logs[n % 3] as Log).changes(0))
    const from = performance.now()
    await within(Promise.race(waiting), 400)
    const ms = performance.now() - from
    t.ok(looks() <= ms / 50 + 6, `${looks()} looks in ${ms} ms, of 30 who ask every 50 or 500 ms`)
    t.ok(looks() >= 4)
    t.equal(await listeners(made), 1, 'and one listens')
    await insert()
    t.same(new Set(await Promise.all(waiting)), new Set([1]))
    const before = looks()
    await within(new Promise(() => {}), 200)
    t.equal(looks(), before, 'and when nobody follows, nobody looks')
    t.ok(await eventually(async () => (await listeners(made)) === 0), 'or listens')
  })

  t.test('a commit elsewhere is told by NOTIFY', async t => {
    const here = await logOn(t, backend, { pollInterval: 60_000 })
    const there = await elsewhere(t, backend, here, { pollInterval: 60_000 })
    const hold = here.log.hold()
    const listens = () => eventually(async () => (await listeners(here)) === 1)
    t.ok(await listens())
    let last = 0
    for (let n = 0; n < 5; n++) {
      const change = here.log.changes(last)
      await there.insert()
      const at = performance.now()
      there.log.announce(there.datastore)
      last = await change
      const ms = performance.now() - at
      t.ok(ms < 2_000, `${ms.toFixed(1)} ms later`)
    }
    hold()
  })

  t.test('without NOTIFY, polling finds it', async t => {
    const here = await logOn(t, backend, { pollInterval: 100, notify: false })
    const there = await elsewhere(t, backend, here, { notify: false })
    const hold = here.log.hold()
    const change = here.log.changes(0)
    await there.insert()
    there.log.announce(there.datastore)
    t.equal(await change, 1)
    t.equal(await listeners(here), 0, 'nobody listens')
    hold()
  })

  t.test('it goes on when its connections are cut, and says so once', async t => {
    const here = await logOn(t, backend, { pollInterval: 20 })
    const there = await elsewhere(t, backend, here)
    const { log, warnings } = here
    await there.insert()
    t.equal(await log.changes(0), 1)
    const change = log.changes(1)
    const sql = (text: string): Promise<{ name: string }[]> => there.engine.orm.em.fork().execute(text)
    // What cannot be read is the same to it as a database that is not there, and lasts.
    const table = here.tables.events.sql
    const [sequence] = await sql(`select pg_get_serial_sequence('${table}', 'id') as name`)
    await sql(`alter sequence ${sequence?.name} rename to hidden_sequence`)
    await sql(`alter table ${table} rename to hidden`)
    t.ok(await eventually(() => warnings.length > 0))
    await sql(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    )
    t.equal(await within(change, 200), 'nothing yet')
    await sql(`alter table hidden rename to ${table}`)
    await there.insert()
    t.equal(await change, 2)
    t.equal(warnings.length, 1, String(warnings))
  })

  t.test('it follows an engine that gets a fresh pool', async t => {
    const { log, engine, insert, warnings } = await logOn(t, backend, { pollInterval: 20 })
    await insert()
    t.equal(await log.changes(0), 1)
    const change = log.changes(1)
    await engine.reinit()
    await insert()
    t.equal(await change, 2)
    t.same(warnings, [])
  })

  t.test('a log that cannot be read is an error for whoever asks for it', async t => {
    const { engine } = await engineOn(t, backend)
    const em = engine.orm.em as SqlEm
    const log = Log.of(engine, eventTables(em, { name: 'nowhere' }), { ordering: 'watermark' })
    await t.rejects(log.settled(), { message: /does not exist/ })
    await engine.orm.em.fork().execute('create table keyless_events (id bigint)')
    const keyless = Log.of(engine, eventTables(em, { name: 'keyless' }), { ordering: 'watermark' })
    await t.rejects(
      keyless.settled(),
      new errors.SQLA_ERR_EVENTS_STORAGE('the column id of "keyless_events" has no sequence'),
    )
    await log.close()
    await keyless.close()
  })

  t.test('a sequence of which sessions keep numbers in store is refused', async t => {
    const { log, engine, tables } = await logOn(t, backend)
    await engine.orm.em.fork().execute(`alter table ${tables.events.sql} alter id set cache 10`)
    await t.rejects(log.settled(), { code: 'SQLA_ERR_EVENTS_STORAGE', message: /CACHE 1/ })
  })

  t.test('a sequence that counts downwards is refused', async t => {
    const { log, engine, tables } = await logOn(t, backend)
    await engine.orm.em
      .fork()
      .execute(`alter table ${tables.events.sql} alter id set increment by -1 set minvalue -9`)
    await t.rejects(log.settled(), { code: 'SQLA_ERR_EVENTS_STORAGE', message: /count upwards/ })
  })

  t.test('who writes to another database, whose table has the same oid, holds nothing back', async t => {
    const { log, insert, engine, tables } = await logOn(t, backend)
    const [table]: { oid: number }[] = await engine.orm.em
      .fork()
      .execute('select ?::regclass::oid::int4 as oid', [tables.events.sql])
    const orm = await backend.orm(t, {
      dbName: 'postgres',
      entities: [],
      discovery: { warnWhenNoEntities: false },
    })
    const elsewhere = orm.em.fork()
    await elsewhere.begin()
    t.teardown(() => elsewhere.rollback())
    await elsewhere.execute('select pg_advisory_xact_lock_shared(?, ?)', [LOCK_SPACE, table?.oid])
    await insert()
    t.equal(await log.settled(PATIENT), 1)
  })

  for (const moment of ['pg_postmaster_start_time', 'pg_stat_get_bgwriter_stat_reset_time']) {
    t.test(`another ${moment} is another epoch: what was settled is asked for anew`, async t => {
      const made = await logOn(t, backend, { pollInterval: 60_000 })
      const { log, insert } = made
      const answer = await answering(made, moment, "timestamptz '2026-01-01'")
      t.teardown(log.hold())
      await insert()
      t.equal(await log.settled(PATIENT), 1)
      const { signal } = new AbortController()
      const seen = await log.advance({ epoch: 0, settled: 0 }, signal)
      t.equal(await log.confirm(seen.epoch), true)
      await answer("timestamptz '2026-01-02'")
      const lost = log.lost(seen.epoch, signal)
      t.equal(await log.confirm(seen.epoch), false)
      await lost
      const now = await log.advance(seen, signal)
      t.equal(now.settled, 1)
      t.not(now.epoch, seen.epoch)
      t.equal(await log.confirm(seen.epoch), false)
      t.equal(await log.confirm(now.epoch), true)
    })
  }

  t.test('what cannot be asked does not go on', async t => {
    const { log, insert, engine } = await logOn(t, backend)
    t.teardown(log.hold())
    await insert()
    t.equal(await log.settled(PATIENT), 1)
    const { epoch } = await log.advance({ epoch: 0, settled: 0 }, new AbortController().signal)
    const { pool } = engine
    const { acquire } = pool
    pool.acquire = async () => {
      pool.acquire = acquire
      throw new RangeError('away')
    }
    t.equal(await log.confirm(epoch), false)
  })

  t.test('an answer that is under way is not that of whoever asks later', async t => {
    const made = await logOn(t, backend, { pollInterval: 60_000 })
    const { log } = made
    const answer = await answering(made, 'pg_postmaster_start_time', "timestamptz '2026-01-01'")
    t.teardown(log.hold())
    await made.insert()
    t.equal(await log.settled(PATIENT), 1)
    const { epoch } = await log.advance({ epoch: 0, settled: 0 }, new AbortController().signal)
    const held = holdingBack(made)
    const early = log.confirm(epoch)
    await held.asked
    await answer("timestamptz '2026-01-02'")
    const late = log.confirm(epoch)
    held.release()
    t.equal(await early, true)
    t.equal(await late, false)
  })

  t.test('what a look has found that is under way is not the answer for whoever asks later', async t => {
    const made = await logOn(t, backend, { pollInterval: 60_000, notify: false })
    const looks = looksAt(made)
    const held = holdingBack(made)
    t.teardown(made.log.hold())
    await held.asked
    await made.insert()
    const before = looks()
    const settled = made.log.settled(PATIENT)
    t.equal(await within(settled, A_WHILE), 'nothing yet')
    t.equal(looks(), before, 'there are not two at once')
    held.release()
    t.equal(await settled, 1)
  })

  t.test('what has failed during a look that goes well, has failed', async t => {
    const made = await logOn(t, backend, { pollInterval: 60_000, notify: false })
    const { log, warnings } = made
    await made.insert()
    const held = holdingBack(made)
    t.teardown(log.hold())
    await held.asked
    log.distrust(new RangeError('away'))
    t.equal(warnings.length, 1)
    const looked = log.advance({ epoch: 0, settled: 0 }, new AbortController().signal)
    held.release()
    await looked
    log.distrust(new RangeError('still away'))
    t.equal(warnings.length, 1, 'it is the same outage')
    t.equal(await log.settled(PATIENT), 1)
  })

  t.test('a sequence that goes back meanwhile makes nobody wait for what it had given', async t => {
    const { log, open, insert, engine, tables } = await logOn(t, backend)
    const slow = await open()
    await slow.insert(events(1))
    await insert()
    await insert()
    const settled = log.settled(PATIENT)
    t.equal(await within(settled, A_WHILE), 'nothing yet')
    await engine.orm.em
      .fork()
      .execute("select setval(pg_get_serial_sequence(?, 'id'), 2)", [tables.events.sql])
    await slow.commit()
    t.equal(await within(settled, 5_000), 2)
  })

  t.test('when the last one is closed it waits for what is under way, and then nobody listens', async t => {
    const made = await logOn(t, backend, { pollInterval: 60_000 })
    const other = made.again()
    t.teardown(other.hold())
    made.log.hold()
    t.ok(await eventually(async () => (await listeners(made)) === 1))
    const held = holdingBack(made)
    const settled = other.settled()
    settled.catch(() => {})
    await held.asked
    await made.log.close()
    t.pass('others go on: it does not wait for them')
    const closed = other.close()
    t.equal(await within(closed, A_WHILE), 'nothing yet')
    held.release()
    await closed
    t.equal(made.engine.figures.used, 0)
    t.equal(await listeners(made), 0)
  })

  t.test('whoever looks, and asks, knows nothing of the request that wants to know', async t => {
    const { log, insert, datastore, engine } = await logOn(t, backend)
    await insert()
    const storage = new AsyncLocalStorage<string>()
    const requests: (string | undefined)[] = []
    const { pool } = engine
    const acquire = pool.acquire.bind(pool)
    pool.acquire = () => {
      requests.push(storage.getStore())
      return acquire()
    }
    await storage.run('a request', async () => {
      t.teardown(log.hold())
      t.equal(await log.settled(PATIENT), 1)
      const { epoch } = await log.advance({ epoch: 0, settled: 0 }, new AbortController().signal)
      t.equal(await log.confirm(epoch), true)
      log.announce(datastore)
      t.equal(await log.settled(PATIENT), 1)
    })
    t.ok(requests.length >= 4)
    t.same([...new Set(requests)], [undefined])
  })

  t.test('whoever asks once keeps nobody looking, or listening', async t => {
    const made = await logOn(t, backend, { pollInterval: 5 })
    const held = holdingBack(made)
    const settled = made.log.settled(PATIENT)
    await held.asked
    t.equal(await within(settled, A_WHILE), 'nothing yet')
    t.equal(await listeners(made), 0)
    held.release()
    t.equal(await settled, 0)
    const looks = looksAt(made)
    await sleep(A_WHILE)
    t.equal(looks(), 0)
  })

  t.test('a database that does not answer keeps nobody who waits, or closes', async t => {
    const made = await logOn(t, backend, { notify: false })
    const held = holdingBack(made)
    const settled = made.log.settled({ patience: 60_000 })
    const closed = t.rejects(settled, { code: 'SQLA_ERR_CLOSED' })
    await held.asked
    t.equal(await within(made.log.close(), 5_000), undefined)
    t.not(await within(closed, 5_000), 'nothing yet')
    held.release()
  })

  t.test('who waits leaves nothing in a signal that lives longer', async t => {
    const { log, insert } = await logOn(t, backend, { pollInterval: 5, notify: false })
    t.teardown(log.hold())
    const { signal } = new AbortController()
    const [advanced, changed] = [log.advance({ epoch: 0, settled: 0 }, signal), log.changes(0, signal)]
    t.equal(await within(advanced, A_WHILE), 'nothing yet')
    t.ok(getEventListeners(signal, 'abort').length <= 2)
    await insert()
    await Promise.all([advanced, changed, log.settled()])
    t.equal(getEventListeners(signal, 'abort').length, 0)
    t.equal(getEventListeners(log.closing, 'abort').length, 0)
  })

  t.test('on a standby nobody can see who is writing', async t => {
    const made = await logOn(t, backend, { pollInterval: 10 })
    await made.insert()
    const answer = await answering(made, 'pg_is_in_recovery', 'true')
    await t.rejects(made.log.settled(), { code: 'SQLA_ERR_EVENTS_STORAGE', message: /standby/ })
    await answer('false')
    t.ok(await eventually(async () => (await made.log.settled().catch(() => 0)) === 1), 'it was promoted')
  })

  t.test('a role that may not read the sequence is told what it needs', async t => {
    const { log, engine, tables } = await logOn(t, backend, { pollInterval: 10 })
    const sql = (text: string) => engine.orm.em.fork().execute(text)
    const role = `r_${randomBytes(6).toString('hex')}`
    await sql(`create role ${role}`)
    t.teardown(async () => {
      const { engine: again } = await engineOn(t, backend)
      await again.orm.em.fork().execute(`drop owned by ${role}; drop role ${role}`)
    })
    await sql(
      `grant select, insert on ${tables.events.sql} to ${role}; grant usage on schema public to ${role}`,
    )
    const { pool } = engine
    const acquire = pool.acquire.bind(pool)
    pool.acquire = async () => {
      const lease = await acquire()
      await lease.execute({ sql: `set role ${role}`, parameters: [] } as never)
      return lease
    }
    await t.rejects(log.settled(), {
      code: 'SQLA_ERR_EVENTS_STORAGE',
      message: /may not read the sequence .*: grant SELECT on it/,
      cause: { code: '42501' },
    })
    await sql(`reset role`)
  })
}

/** Where numbers are given at COMMIT, or nobody else writes meanwhile. */
const strict = async (t: Test, backend: TestBackend): Promise<void> => {
  const options = { ordering: 'strict', pollInterval: 20 } as const

  t.test('what is committed is settled', async t => {
    const { log, application, insert } = await logOn(t, backend, options)
    t.equal(await log.settled(), 0)
    await application.insertEvents(events(3))
    t.equal(await log.settled(), 3)
    await insert()
    t.equal(await log.settled(), 4)
  })

  t.test('what is there no more is settled no more', async t => {
    const { log, application, engine, tables } = await logOn(t, backend, options)
    await application.insertEvents(events(3))
    t.teardown(log.hold())
    const { signal } = new AbortController()
    const seen = await log.advance({ epoch: 0, settled: 0 }, signal)
    t.equal(seen.settled, 3)
    await engine.orm.em.fork().execute(`delete from ${tables.events.sql} where id = 3`)
    const now = log.advance(seen, signal)
    t.match(await within(now, 5_000), { settled: 2 })
    t.not((await now).epoch, seen.epoch)
  })

  t.test('whoever waits hears of what is committed', async t => {
    const { log, insert, open } = await logOn(t, backend, options)
    await insert()
    t.equal(await log.changes(0), 1)
    const change = log.changes(1)
    const failing = await open()
    await failing.insert(events(1))
    t.equal(await within(change, A_WHILE), 'nothing yet')
    await failing.rollback()
    await insert()
    t.match(await within(change, 5_000), Number)
  })

  t.test('who is told too early looks again', async t => {
    const here = await logOn(t, backend, { ...options, pollInterval: 60_000 })
    await here.insert()
    const hold = here.log.hold()
    t.equal(await here.log.changes(0), 1)
    const change = here.log.changes(1)
    const slow = await here.open()
    await slow.insert(events(1))
    // Nobody tells when a session of the application's own commits.
    here.log.announce(here.datastore.at(slow.em))
    await within(new Promise(() => {}), A_WHILE)
    await slow.commit()
    t.equal(await within(change, 5_000), 2)
    hold()
  })
}

const anyhow = async (t: Test, backend: TestBackend): Promise<void> => {
  t.test('a commit in the same process is known at once', async t => {
    const { log, insert, datastore } = await logOn(t, backend, { pollInterval: 60_000, notify: false })
    const hold = log.hold()
    t.equal(await log.settled(), 0)
    const change = log.changes(0)
    await insert()
    log.announce(datastore)
    t.equal(await within(change, 5_000), 1)
    hold()
  })

  t.test('waiting ends with its signal, or when the log is closed', async t => {
    const { log, again } = await logOn(t, backend)
    const other = again()
    const [early, late] = [new AbortController(), new AbortController()]
    early.abort(new RangeError('too early'))
    await t.rejects(log.changes(-1, early.signal), new RangeError('too early'))
    const aborted = t.rejects(log.changes(0, late.signal), new RangeError('late'))
    const closed = t.rejects(log.changes(0), { code: 'SQLA_ERR_CLOSED' })
    const settled = log.settled(PATIENT)
    settled.catch(() => {})
    const goesOn = other.changes(0)
    late.abort(new RangeError('late'))
    await aborted
    await log.close()
    await closed
    await t.rejects(log.changes(0), { code: 'SQLA_ERR_CLOSED' })
    await t.rejects(log.settled(), { code: 'SQLA_ERR_CLOSED' })
    t.throws(() => log.hold(), { code: 'SQLA_ERR_CLOSED' })
    t.equal(await within(goesOn, 20), 'nothing yet', 'another application goes on')
    t.equal(await other.settled(), 0)
    const ended = t.rejects(goesOn, { code: 'SQLA_ERR_CLOSED' })
    await other.close()
    await ended
  })

  t.test('for the same application it is the same log, until that is closed', async t => {
    const { log, engine, options, application } = await logOn(t, backend)
    const tables = eventTables(engine.orm.em as SqlEm, options)
    const { ordering } = application
    const first = Log.of(engine, tables, { ordering })
    t.equal(Log.of(engine, tables, { ordering }), first)
    t.not(first, log)
    const { engine: otherEngine } = await engineOn(t, backend)
    const onOther = Log.of(otherEngine, tables, { ordering })
    t.not(onOther, first, 'but not on another engine')
    await onOther.close()
    t.equal(Log.of(engine, tables, { ordering }).closing.aborted, false)
    await first.close()
    const second = Log.of(engine, tables, { ordering })
    t.not(second, first)
    t.equal(await second.settled(), 0)
    await second.close()
  })

  t.test('who tells all the time does not make it look all the time', async t => {
    const made = await logOn(t, backend, { pollInterval: 60_000, notify: false })
    const { log, datastore } = made
    t.teardown(log.hold())
    t.equal(await log.settled(), 0)
    const looks = looksAt(made)
    const from = performance.now()
    while (performance.now() - from < 60) {
      log.announce(datastore)
      await sleep(0)
    }
    const ms = performance.now() - from
    t.ok(looks() >= 2 && looks() <= ms / 5 + 1, `${looks()} looks in ${ms} ms`)
  })

  t.test('what fails is tried again after a pause, and then after a longer one', async t => {
    const { log, engine, insert, warnings } = await logOn(t, backend, { pollInterval: 5, notify: false })
    await insert()
    const { pool } = engine
    const { acquire } = pool
    const attempts: number[] = []
    pool.acquire = async () => {
      attempts.push(performance.now())
      throw new RangeError('away')
    }
    t.teardown(log.hold())
    t.ok(await eventually(() => attempts.length >= 3))
    pool.acquire = acquire
    const [first = 0, second = 0, third = 0] = attempts
    // A timer may be a little early.
    t.ok(second - first >= 45, `${second - first} ms`)
    t.ok(third - second >= 90, `${third - second} ms`)
    t.equal(await within(log.changes(0), 5_000), 1)
    t.equal(warnings.length, 1, String(warnings))
  })

  t.test('how often it looks must be a time', async t => {
    const { again } = await logOn(t, backend)
    for (const pollInterval of [0, -1, Number.NaN, 2 ** 31, '1' as never]) {
      t.throws(() => again({ pollInterval }), { code: 'SQLA_ERR_INVALID_OPTION' })
    }
  })
}

await onEveryBackend(t, async (t, backend) => {
  if (backend.dialect === 'postgresql') await t.test('by watermark', t => byWatermark(t, backend))
  await t.test('strict', t => strict(t, backend))
  await t.test('anyhow', t => anyhow(t, backend))
})
