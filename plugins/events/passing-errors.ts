// Which errors go away by themselves. Whoever follows a log tries again after those, and stops at all others.

import { isServerFailure } from '../../src/index.ts'

/** Besides those of a server that has gone or cannot be reached: of PostgreSQL (SQLSTATE), MySQL and MariaDB, SQLite and this package. */
const PASSING_CODES = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '25P03', // idle_in_transaction_session_timeout
  '25006', // read_only_sql_transaction: the primary is elsewhere now, or a standby is about to be promoted
  'ER_LOCK_DEADLOCK',
  'ER_LOCK_WAIT_TIMEOUT',
  'ER_CHECKREAD', // "Record has changed since last read": MariaDB's serialization failure
  'ER_SERVER_SHUTDOWN',
  'ER_CON_COUNT_ERROR',
  'ER_CONNECTION_KILLED',
  'ER_SOCKET_UNEXPECTED_CLOSE',
  'ER_CONNECTION_TIMEOUT',
  'ER_GET_CONNECTION_TIMEOUT',
  'ER_CMD_CONNECTION_CLOSED',
  'PROTOCOL_CONNECTION_LOST',
  'SQLITE_BUSY',
  'SQLITE_BUSY_SNAPSHOT',
  'SQLITE_LOCKED',
  'SQLA_ERR_POOL_TIMEOUT',
  'SQLA_ERR_PRIMARY_UNAVAILABLE',
])

/** Classes of SQLSTATE: connection exceptions, and a server without connections, memory or disk left. */
const PASSING_CLASS = /^(?:08|53)[0-9A-Z]{3}$/

/** How many errors deep a cause is looked for. */
const DEPTH = 5

/**
 * Whether an error of a database says that the same thing may well succeed later: the connection was lost, the server cannot
 * be reached or is busy, the transaction was the victim of a deadlock or of a serialization failure. An error that has
 * such a cause passes too.
 */
export function isPassing(error: unknown): boolean {
  let one = error
  for (let depth = 0; depth < DEPTH && typeof one === 'object' && one !== null; depth++) {
    const { code, sqlState, message, cause } = one as Record<string, unknown>
    if (isServerFailure(one) || hasPassingCode(code) || hasPassingCode(sqlState)) return true
    // SQLite's, where the driver gives no code.
    if (code === undefined && typeof message === 'string' && /database is locked/i.test(message)) return true
    one = cause
  }
  return false
}

function hasPassingCode(code: unknown): boolean {
  return typeof code === 'string' && (PASSING_CODES.has(code) || PASSING_CLASS.test(code))
}
