import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Databases } from './server-process.ts'

/** Settings of the server: nothing of its housekeeping shall fall into one slice and not into the next. */
export const SETTINGS = {
  autovacuum: 'off',
  checkpoint_timeout: '1h',
  max_wal_size: '8GB',
  log_min_messages: 'warning',
  // For two-phase commit; without prepared transactions it costs nothing.
  max_prepared_transactions: 100,
}

/** How many notes there are to read. */
export const NOTES = 1000

export async function resetNotes({ primary, standbys }: Databases): Promise<void> {
  await query(
    primary,
    `drop table if exists notes;
     create table notes (id serial primary key, title varchar(255) not null, body text not null);
     insert into notes (title, body) select 'Note ' || n, repeat('text ', 20) from generate_series(1, ${NOTES}) n;
     vacuum analyze notes`.split(';'),
  )
  await Promise.all(standbys.map(standby => caughtUp(primary, standby)))
}

/** The database beside that of the notes, on the same server. */
export const SECOND_DATABASE = 'bench_second'

/** The same table in both databases. */
export async function resetNotesTwice({ primary }: Databases): Promise<void> {
  await query(primary, [
    `drop database if exists ${SECOND_DATABASE} with (force)`,
    `create database ${SECOND_DATABASE}`,
  ])
  const second = new URL(primary)
  second.pathname = `/${SECOND_DATABASE}`
  for (const url of [primary, second.href]) await resetNotes({ primary: url, standbys: [] })
}

/** Waits until a standby has replayed what the primary has written by now. */
async function caughtUp(primary: string, standby: string): Promise<void> {
  const [written] = await query(primary, ['select pg_current_wal_flush_lsn()::text as lsn'])
  for (;;) {
    const [row] = await query(standby, [
      `select pg_last_wal_replay_lsn() >= '${written?.lsn}'::pg_lsn as done`,
    ])
    if (row?.done === true) return
    await sleep(20)
  }
}

/** The median of some round trips, in milliseconds. */
export async function roundTrip(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const times: number[] = []
  for (let i = 0; i < 100; i++) {
    const begin = performance.now()
    await client.query('select 1')
    times.push(performance.now() - begin)
  }
  await client.end()
  return times.sort((a, b) => a - b)[50] as number
}

export async function serverVersion(url: string): Promise<string> {
  const [row] = await query(url, ['show server_version'])
  return String(row?.server_version)
}

export async function query(url: string, statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}
