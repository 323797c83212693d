// What an error of `pg` says about the server rather than about the statement.

const SERVER_CODES = new Set([
  '57P01', // admin_shutdown: also a backend that was terminated, and a standby's recovery conflict that cannot wait
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now: starting up, shutting down
  '53300', // too_many_connections: others may have room
  '57P05', // idle_session_timeout
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/** pg has no code for a connection that ended, or did not come up in time (`timeout expired`). */
const CONNECTION_ENDED =
  /^timeout expired$|connection terminated|connection error and is not queryable|client was closed/i

/**
 * Whether an error says that the server has gone, is going, or cannot be reached: then another one may answer, or the same
 * one later.
 *
 * @example
 * ```ts
 * await readPrices().catch(error => (isServerFailure(error) ? lastPrices : Promise.reject(error)))
 * ```
 */
export function isServerFailure(error: unknown): boolean {
  const { code, message } = fieldsOf(error)
  if (typeof code === 'string' && code !== '') return SERVER_CODES.has(code) || code.startsWith('08')
  return typeof message === 'string' && CONNECTION_ENDED.test(message)
}

/**
 * Whether a standby cancelled a statement because replay had to go on (PostgreSQL, Hot Standby, "Handling Query
 * Conflicts"): the statement itself is in order.
 */
export function isRecoveryConflict(error: unknown): boolean {
  const { code, message, routine } = fieldsOf(error)
  if (code !== '40001') return false
  // The message is in the server's language; the function that wrote it is not, but its name may change.
  return /recovery.?conflict/i.test(String(routine)) || /conflict with recovery/.test(String(message))
}

/** Whether a server that should accept writes has said that it does not. */
export function isReadOnlyServer(error: unknown): boolean {
  return fieldsOf(error).code === '25006'
}

/** A `password` function of the application may reject with anything. */
function fieldsOf(error: unknown): { code?: unknown; message?: unknown; routine?: unknown } {
  return error ?? {}
}
