import type { CompiledQuery, QueryResult } from 'kysely'
import type { Lease } from '../engines/connection-pool.ts'

/** What is known of a transaction, should its COMMIT get no answer. */
export interface Witness {
  /** Its id, with the epoch. */
  readonly xid: string
  /**
   * Who has given the id: one server, from one start or crash to the next. After a failover another server may have given it to
   * somebody else; after a crash the same server may, as an id that was never written to the disk is given again.
   */
  readonly origin: string
}

/** Of each connection. None outlives a start, a crash or a promotion, unless a pooler stands before the server. */
let origins = new WeakMap<object, string>()

/** A server has been found that is not the one that was known: all are asked again who they are. */
export function forgetOrigins(): void {
  origins = new WeakMap()
}

/**
 * The timeline, and two moments: a restart changes the first, a crash the second, as a server that crashes loses its
 * statistics, even when its main process goes on.
 */
export const ORIGIN = `concat_ws('/', substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
  extract(epoch from pg_postmaster_start_time()), extract(epoch from pg_stat_get_bgwriter_stat_reset_time()))`

const XID = 'pg_current_xact_id_if_assigned()'
const FIRST_QUESTION = `select ${XID} as xid, ${ORIGIN} as origin`
const QUESTION = `select ${XID} as xid`

/** What an INSERT brings the id along in, as one more column: a statement of its own costs the server three times as much. */
const COLUMN = 'pg_current_xact_id_if_assigned'
const RETURNING = ' returning "'
/** As MikroORM writes it. A text or comment before it cannot end so. */
const RETURNED_COLUMNS = /^ returning "[^"]+"(?:, "[^"]+")*$/
/** Characters. The rows of a longer INSERT are many, and each would bring the id along. */
const LONGEST_INSERT = 10_000

/** Whether a statement may write. A plain SELECT of columns does not; one that calls a function may. */
export function mayWrite(sql: string): boolean {
  return !sql.startsWith('select ') || sql.includes('(')
}

/**
 * Sends a statement that may write, and learns its transaction's id in the same round trip (with bound parameters that return
 * nothing, in one more). The id is given with the first row that is written.
 *
 * @param send sends the statement that it is given
 */
export function sendWithWitness<R>(
  lease: Lease,
  query: CompiledQuery,
  send: (query: CompiledQuery) => Promise<QueryResult<R>>,
  receive: (witness: Witness) => void,
): Promise<QueryResult<R>> {
  const origin = origins.get(lease.connection)
  if (origin !== undefined && returnsColumns(query.sql)) {
    return send({ ...query, sql: `${query.sql}, ${XID}` }).then(result => {
      const xid = takeColumn(result.rows as Record<string, unknown>[])
      if (typeof xid === 'string') receive({ xid, origin })
      return result
    })
  }
  lease.trailer = {
    sql: origin === undefined ? FIRST_QUESTION : QUESTION,
    receive(row) {
      const { xid, origin: now = origin } = row as { xid: string | null; origin?: string }
      if (now === undefined) return
      origins.set(lease.connection, now)
      if (xid !== null) receive({ xid, origin: now })
    },
  }
  return send(query).finally(() => {
    lease.trailer = undefined
  })
}

function returnsColumns(sql: string): boolean {
  if (!sql.startsWith('insert into "') || sql.length > LONGEST_INSERT) return false
  const at = sql.lastIndexOf(RETURNING)
  return at !== -1 && RETURNED_COLUMNS.test(sql.slice(at))
}

/**
 * The rows are the caller's: they get what they have asked for. Copies, as an object that a property was deleted from is a slow one,
 * and all that reads it becomes slower.
 */
function takeColumn(rows: Record<string, unknown>[]): unknown {
  const value = rows[0]?.[COLUMN]
  for (const [place, row] of rows.entries()) {
    const { [COLUMN]: _, ...own } = row
    rows[place] = own
  }
  return value
}
