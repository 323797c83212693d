import { DriverException, type EntityMetadata, LockMode } from '@mikro-orm/core'
import { errors } from './errors.ts'

/** How `forUpdate` waits for rows that somebody else has locked. */
export interface LockOptions {
  /** `'wait'` (default), `'fail'` at once, or `'skip'` those rows. */
  readonly locked?: 'wait' | 'fail' | 'skip'
  /** Whether others may lock the rows the same way, so that nobody changes them. Default false. */
  readonly share?: boolean
}

export function lockMode({ locked = 'wait', share = false }: LockOptions): LockMode {
  if (locked === 'skip') return share ? LockMode.PESSIMISTIC_PARTIAL_READ : LockMode.PESSIMISTIC_PARTIAL_WRITE
  if (locked === 'fail') return share ? LockMode.PESSIMISTIC_READ_OR_FAIL : LockMode.PESSIMISTIC_WRITE_OR_FAIL
  return share ? LockMode.PESSIMISTIC_READ : LockMode.PESSIMISTIC_WRITE
}

/** What the databases say when they are not to wait: PostgreSQL, MySQL, MariaDB. */
const REFUSALS: readonly unknown[] = ['55P03', 'ER_LOCK_NOWAIT', 'ER_LOCK_WAIT_TIMEOUT']

/** The error of a read that was not to wait for a lock, for clients. @returns undefined when it is another one */
export function lockRefusal(
  error: unknown,
  lock: LockMode | undefined,
  meta: EntityMetadata,
): Error | undefined {
  const isImpatient =
    lock === LockMode.PESSIMISTIC_WRITE_OR_FAIL || lock === LockMode.PESSIMISTIC_READ_OR_FAIL
  if (!isImpatient || !(error instanceof DriverException) || !REFUSALS.includes(error.code)) return undefined
  return new errors.SQLA_ERR_ROW_LOCKED(meta.className, { cause: error })
}
