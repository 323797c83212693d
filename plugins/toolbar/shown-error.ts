import { redact } from '../../src/index.ts'
import { cut } from './texts.ts'

const MOST = 1_000
/** What stands there for a text that may be anything. */
const HIDDEN = '(its message may have values: the log has it, and so has the toolbar with `parameters`)'

/**
 * SQLSTATEs (PostgreSQL) whose messages name only tables, columns, constraints and states. Others quote values.
 */
const NAMES_ONLY =
  /^(?:08|23|25|28|2[BDF]|3[BDF]|40|53|54|55|57|58)\w{3}$|^42(?:501|P0[1-9]|70[1-4]|803|804|883|846)$/
const SQLSTATE = /^(?!P0)[0-9A-Z]{5}$/
/** Codes of Node, of SQLite and of MySQL: there is no free text in their messages but what they quote. */
const OTHER_CODES = /^(?:E[A-Z]+|ER_[A-Z_]+|SQLITE_[A-Z_]+|ERR_SQLITE_ERROR|PROTOCOL_[A-Z_]+)$/
/** What pg says without a code. */
const PG_TEXTS = /^(?:Connection terminated|timeout exceeded when trying to connect|Query read timeout)/

/**
 * What may be kept of an error. Without `parameters` it has no values: not what PostgreSQL has as `detail` (`Key (email)=(…)`),
 * not what a message quotes.
 */
export function shownError(error: unknown, parameters: boolean): string | undefined {
  if (error === undefined || error === null) return undefined
  const { code, detail, name, routine } = error as Record<'code' | 'detail' | 'name' | 'routine', unknown>
  const message = redact(String((error as { message?: unknown }).message ?? error))
  if (parameters) return cut(typeof detail === 'string' ? `${message}: ${redact(detail)}` : message, MOST)
  // RAISE of PL/pgSQL says what it wants, with whatever code.
  const known = typeof code === 'string' && routine !== 'exec_stmt_raise' ? code : ''
  if (known.startsWith('SQLA_ERR_') || NAMES_ONLY.test(known)) return cut(message, MOST)
  if (SQLSTATE.test(known) || OTHER_CODES.test(known)) {
    // From the first quote on: nobody escapes the quotes that are in a value.
    return cut(`${message.replace(/["'`].*$/s, '…')} (${known})`, MOST)
  }
  if (PG_TEXTS.test(message)) return cut(message, MOST)
  return cut(`${typeof name === 'string' ? name : typeof error}${known && ` ${known}`} ${HIDDEN}`, MOST)
}

/** For a message of which nothing more is known. */
export function shownMessage(message: string, parameters: boolean): string {
  return parameters ? cut(redact(message), MOST) : HIDDEN
}
