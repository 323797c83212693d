import { errors, reasonOf } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import type { Direction } from './progress.ts'

/** Where a run of revisions stopped; the property `failure` of `SQLA_ERR_MIGRATION_FAILED`. */
export interface MigrationFailure {
  readonly engine: string
  readonly revision: string
  readonly direction: Direction
  /** Which of its statements failed, from 1; undefined when it was not one of them (its own code, or COMMIT). */
  readonly statement: number | undefined
  /** How many statements it has; undefined when its own code failed. */
  readonly statements: number | undefined
  /** Revisions of this run that are done and committed. */
  readonly done: readonly string[]
  /** Revisions of this run that had succeeded and were rolled back with the one that failed. */
  readonly rolledBack: readonly string[]
  /** Revisions of this run that were not begun. */
  readonly left: readonly string[]
  /**
   * How many statements of the failed revision took effect all the same, because the database cannot roll them back;
   * undefined when nobody knows, because its own code ran them.
   */
  readonly remaining: number | undefined
}

export function failed(engine: MigratedEngine, failure: MigrationFailure, cause: unknown): Error {
  const { revision, statement, statements } = failure
  const error = new errors.SQLA_ERR_MIGRATION_FAILED(
    engine.name,
    revision,
    statement === undefined
      ? statements === undefined
        ? `its ${failure.direction}()`
        : 'COMMIT'
      : `statement ${statement} of ${statements}`,
    reasonOf(cause),
    consequences(failure),
    { cause },
  )
  return Object.assign(error, { failure })
}

function consequences(failure: MigrationFailure): string {
  const { direction, done, rolledBack, left, remaining } = failure
  const list = (names: readonly string[]): string => names.join(', ') || 'none'
  return [
    remains(remaining),
    ...(rolledBack.length > 0 ? [`Rolled back with it: ${list(rolledBack)}.`] : []),
    `${direction === 'up' ? 'Applied' : 'Reverted'} by this run: ${list(done)}.`,
    `Not begun: ${list(left)}.`,
  ].join(' ')
}

function remains(statements: number | undefined): string {
  if (statements === 0) return 'It was rolled back.'
  const what =
    statements === undefined
      ? 'What its code ran itself may remain'
      : statements === 1
        ? 'Its first statement remains'
        : `Its first ${statements} statements remain`
  return `${what}, as this database commits DDL at once: undo that by hand before the next attempt.`
}

/** Statements that end a transaction in MySQL and MariaDB: what was before them is committed, and they are. */
const COMMITS =
  /^[\s(]*(alter|analyze|create|drop|grant|lock|optimize|rename|repair|revoke|truncate|unlock)\b/i

/**
 * How many statements of a revision MySQL cannot roll back.
 *
 * @param ran those that ran, the one that failed included
 */
export function committedByDdl(ran: readonly string[]): number {
  const last = ran.findLastIndex(sql => COMMITS.test(sql))
  return Math.max(0, last === ran.length - 1 ? last : last + 1)
}
