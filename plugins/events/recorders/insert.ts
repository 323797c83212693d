import type { SqlEm } from '../../../src/index.ts'
import { counterOf, WRONG_ISOLATION } from '../create-tables.ts'
import { errors } from '../errors.ts'
import type { StoredEvent, Tracking } from '../stored-event.ts'
import type { EventTables, Ordering } from '../tables.ts'
import { dialectOf } from './dialect.ts'
import { COLUMNS, parametersOf } from './rows.ts'
import { type Track, trackIn, trackingConflict, trackStatement } from './track.ts'
import { conflictOf } from './version-conflict.ts'

/**
 * Records events, and how far the follower has come that they were made by.
 *
 * @param events at least one, few enough for a statement
 * @returns the ids in the order of the events; undefined where they are given at COMMIT
 * @throws SQLA_ERR_VERSION_CONFLICT, SQLA_ERR_TRACKING_CONFLICT
 */
export type Insert = (
  em: SqlEm,
  events: readonly StoredEvent[],
  tracking?: Tracking,
) => Promise<readonly number[] | undefined>

/** How events get into a log. */
export interface Inserting {
  readonly insert: Insert
  /** Whether that is one statement, and so needs no transaction. */
  readonly isOne: (tracking: Tracking | undefined) => boolean
}

/** @param em tells which database it is */
export function insertInto(em: SqlEm, tables: EventTables, ordering: Ordering): Inserting {
  const dialect = dialectOf(em)
  const insert =
    dialect === 'postgresql'
      ? insertOfPostgres(tables, ordering)
      : trackedBefore(
          trackIn(em, tables.tracking),
          dialect === 'mysql' ? counted(tables, counterOf(tables, em)) : returning(tables),
        )
  return {
    isOne: tracking => dialect === 'postgresql' || (dialect === 'sqlite' && tracking === undefined),
    async insert(session, events, tracking) {
      try {
        return await insert(session, events, tracking)
      } catch (error) {
        throw isWrongIsolation(error)
          ? wrongIsolation({ cause: error })
          : conflictOf(error, tables.events, events, true)
      }
    },
  }
}

/**
 * All in one statement, which commits by itself outside a transaction. When the follower does not move, there is nothing to
 * insert for each row of `tracked`.
 */
function insertOfPostgres({ events, tracking }: EventTables, ordering: Ordering): Insert {
  const isLate = ordering === 'strict'
  const plain = `insert into ${events.sql} (${COLUMNS}) values `
  const withTracking = `with tracked as (${trackStatement(tracking)}) insert into ${events.sql} (${COLUMNS}) select v.* from tracked, (values (?::uuid, ?::bigint, ?::text, ?::bytea)`
  const returned = ` returning ${isLate ? "current_setting('transaction_isolation') as isolation" : 'id'}`
  return async (em, batch, tracking) => {
    const parameters = batch.flatMap(parametersOf)
    const rows: { id?: number | string; isolation?: string }[] =
      tracking === undefined
        ? await em.execute(`${plain}${marks(batch.length)}${returned}`, parameters)
        : await em.execute(`${withTracking}${', (?, ?, ?, ?)'.repeat(batch.length - 1)}) v${returned}`, [
            tracking.applicationName,
            tracking.notificationId,
            ...parameters,
          ])
    if (tracking !== undefined && rows.length === 0) throw trackingConflict(tracking)
    if (!isLate) return rows.map(({ id }) => Number(id))
    // Not only when COMMIT refuses it, whose error the application can do less about.
    if (rows[0]?.isolation !== 'read committed') throw wrongIsolation()
    return undefined
  }
}

function trackedBefore(track: Track, insert: Insert): Insert {
  return async (em, events, tracking) => {
    if (tracking !== undefined && !(await track(em, tracking))) throw trackingConflict(tracking)
    return insert(em, events)
  }
}

/** SQLite has one writer at a time, so its ids are in the order of the commits. */
function returning({ events: { sql } }: EventTables): Insert {
  return async (em, events) => {
    const rows: { id: number | string }[] = await em.execute(
      `insert into ${sql} (${COLUMNS}) values ${marks(events.length)} returning id`,
      events.flatMap(parametersOf),
    )
    return rows.map(({ id }) => Number(id))
  }
}

/**
 * The counter's row is locked until the transaction ends. It moves on after the events are there, so that those which are
 * refused leave no gap.
 */
function counted({ events: { sql } }: EventTables, counter: string): Insert {
  return async (em, events) => {
    const count = events.length
    const rows = events.map((_, place) => `select ${place + 1} as n, ? as a, ? as b, ? as c, ? as d`)
    await em.execute(
      `insert into ${sql} (id, ${COLUMNS}) select k.last + v.n, v.a, v.b, v.c, v.d from ${counter} k, (${rows.join(' union all ')}) v for update`,
      events.flatMap(parametersOf),
    )
    const { insertId, affectedRows } = await em.execute<{ insertId?: number; affectedRows: number }>(
      `update ${counter} set last = last_insert_id(last + ?)`,
      [count],
      'run',
    )
    if (affectedRows !== 1) {
      throw new errors.SQLA_ERR_EVENTS_STORAGE(`${counter} has no row; createTables makes one`)
    }
    return events.map((_, place) => Number(insertId) - count + place + 1)
  }
}

function marks(count: number): string {
  return Array(count).fill('(?, ?, ?, ?)').join(', ')
}

function isWrongIsolation(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === WRONG_ISOLATION
}

function wrongIsolation(options?: { cause: unknown }): Error {
  const problem = 'strict ordering needs transactions that are READ COMMITTED'
  return options === undefined
    ? new errors.SQLA_ERR_EVENTS_STORAGE(problem)
    : new errors.SQLA_ERR_EVENTS_STORAGE(problem, options)
}
