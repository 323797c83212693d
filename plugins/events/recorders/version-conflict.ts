import { UniqueConstraintViolationException } from '@mikro-orm/core'
import { errors } from '../errors.ts'
import type { StoredEvent } from '../stored-event.ts'
import type { EventTable } from '../tables.ts'

/** What the drivers tell about it, each in its own way. */
interface Violation {
  readonly message: string
  /** PostgreSQL. */
  readonly table?: string
  readonly constraint?: string
  readonly detail?: string
}

/** `Key (originator_id, originator_version)=(…, 1)` of PostgreSQL, `Duplicate entry '…-1'` of MariaDB. */
const VALUES = /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:, |-)(\d+)/i

/**
 * The error to throw for what an INSERT of events failed with.
 *
 * @param events what was to be inserted, at least one
 * @param isNumbered whether the table's primary key is an id, and not originator and version
 * @returns SQLA_ERR_VERSION_CONFLICT with `error` as its cause when one of the versions is there already; else `error`
 */
export function conflictOf(
  error: unknown,
  table: EventTable,
  events: readonly StoredEvent[],
  isNumbered: boolean,
): unknown {
  if (!(error instanceof UniqueConstraintViolationException)) return error
  const violation = error as unknown as Violation
  if (!isOfVersion(violation, table, isNumbered)) return error
  const [, id, version] = VALUES.exec(violation.detail ?? violation.message) ?? []
  const first = events[0] as StoredEvent
  return new errors.SQLA_ERR_VERSION_CONFLICT(
    version ?? String(first.originatorVersion),
    id ?? first.originatorId,
    { cause: error },
  )
}

/** Whether it is the constraint on originator and version, and not the one on the id. */
function isOfVersion(
  { message, table, constraint, detail }: Violation,
  { name }: EventTable,
  isNumbered: boolean,
): boolean {
  // A trigger of somebody else may insert elsewhere.
  if (table !== undefined && table !== name) return false
  if ((detail ?? message).includes('originator_version')) return true
  // PostgreSQL gives no details where row-level security is on.
  if (constraint !== undefined) {
    return detail === undefined && !(isNumbered && constraint === `${name}_pkey`)
  }
  // MariaDB names a key, which may have any name, and says what is there already.
  return VALUES.test(message)
}
