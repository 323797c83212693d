import { CompiledQuery } from 'kysely'
import type { RawConnection } from './raw-connection.ts'

/** A savepoint on the shared connection: where a transaction began, or one that it made itself. */
export interface Savepoint {
  /** As the session calls it; undefined where the transaction began. */
  readonly name: string | undefined
  /** As the server calls it. */
  id: string
  /** The journal's length before it. */
  from: number
}

/** What statements call settings that are called something else: `set local time zone`, `set local schema`. */
const OTHER_NAMES = new Map([
  ['time', 'timezone'],
  ['schema', 'search_path'],
])

/** What a session takes for its transaction while it is really a part of the one that the whole test shares. */
export class SharedTransaction {
  /** The engine's name. */
  readonly engine: string
  /** There is nothing to roll back, so that it needs no savepoint. */
  readonly readOnly: boolean
  /** The first is where it began. */
  savepoints: Savepoint[] = []
  /** A statement has failed: until a savepoint is rolled back to, the server would refuse everything. */
  hasFailed = false
  /** Why it cannot go on; see `SQLA_ERR_TEST_OVERLAP`. */
  lost: Error | undefined
  isOver = false
  /** What its `set local` has changed, and what it was before; null where there was nothing. */
  readonly #settings = new Map<string, string | null>()

  constructor(engine: string, readOnly: boolean) {
    this.engine = engine
    this.readOnly = readOnly
  }

  find(name: string): Savepoint | undefined {
    return this.savepoints.findLast(savepoint => savepoint.name === name)
  }

  /** Forgets the savepoints behind `last`. */
  cutBehind(last: Savepoint): void {
    this.savepoints = this.savepoints.slice(0, this.savepoints.indexOf(last) + 1)
  }

  /** Remembers what settings are before a statement changes them. */
  async noteSettings(connection: RawConnection, names: readonly string[]): Promise<void> {
    for (const name of names) {
      const setting = OTHER_NAMES.get(name) ?? name
      if (this.#settings.has(setting)) continue
      const { rows } = await connection.lease.execute<{ value: string | null }>(
        CompiledQuery.raw('select current_setting($1, true) as value', [setting]),
      )
      this.#settings.set(setting, rows[0]?.value ?? null)
    }
  }

  /** Puts them back, as COMMIT would. */
  async restoreSettings(connection: RawConnection): Promise<void> {
    for (const [name, value] of this.#settings) {
      // What is not there cannot be taken away again: the setting of an application is empty then.
      if (value === null && !name.includes('.')) continue
      await connection.lease.execute(
        CompiledQuery.raw('select set_config($1, $2, true)', [name, value ?? '']),
      )
    }
  }
}

/** What the server answers in a transaction in which a statement has failed. */
export function abortedError(): Error {
  return Object.assign(
    new RangeError('current transaction is aborted, commands ignored until end of transaction block'),
    { code: '25P02', severity: 'ERROR' },
  )
}

/** What the server answers when there is no savepoint of that name. */
export function noSavepointError(name: string): Error {
  return Object.assign(new RangeError(`savepoint ${name} does not exist`), {
    code: '3B001',
    severity: 'ERROR',
  })
}
