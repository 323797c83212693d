import type { SqlEm } from '../../../src/index.ts'
import type { Datastore } from '../datastore.ts'
import type { SelectEventsOptions, StoredEvent } from '../stored-event.ts'
import type { EventTable } from '../tables.ts'
import { allOrNone } from './all-or-none.ts'
import {
  assertInteger,
  assertPositiveInteger,
  assertStorable,
  COLUMNS,
  type EventRow,
  invalid,
  isUuid,
  parametersOf,
  partsOf,
  storedEventOf,
} from './rows.ts'
import { conflictOf } from './version-conflict.ts'

/** What an {@link AggregateRecorder} is made of. */
export interface AggregateRecorderOptions {
  readonly datastore: Datastore
  /** Events or snapshots. */
  readonly table: EventTable
}

/**
 * Events of aggregates, or snapshots of them, in a table: each version of each aggregate once.
 *
 * It stands on a {@link Datastore}: on an engine each call is a transaction of its own; in a session's transaction it never
 * begins, commits or closes anything.
 *
 * @example
 * ```ts
 * const snapshots = new AggregateRecorder({ datastore: new Datastore(engine), table: tables.snapshots })
 * const [last] = await snapshots.selectEvents(id, { desc: true, limit: 1 })
 * ```
 */
export class AggregateRecorder {
  readonly datastore: Datastore
  protected readonly table: EventTable

  constructor({ datastore, table }: AggregateRecorderOptions) {
    this.datastore = datastore
    this.table = table
  }

  /** The same recorder in the transaction of a session. */
  at(session: SqlEm): AggregateRecorder {
    return new AggregateRecorder({ datastore: this.datastore.at(session), table: this.table })
  }

  /**
   * Records all of the events, or none.
   *
   * Inside a transaction of PostgreSQL that a version conflict has hit nothing more can be done, as after any statement that
   * failed.
   *
   * @throws SQLA_ERR_VERSION_CONFLICT when one of the versions is there already
   * @throws SQLA_ERR_INVALID_OPTION when one is no event that could be stored
   */
  async insertEvents(events: readonly StoredEvent[]): Promise<unknown> {
    assertStorable(events)
    if (events.length === 0) return
    const parts = partsOf(events)
    if (parts.length === 1) return this.datastore.run(em => this.#insert(em, events))
    return allOrNone(this.datastore, async em => {
      for (const part of parts) await this.#insert(em, part)
    })
  }

  /**
   * The events of an aggregate, by version.
   *
   * @throws SQLA_ERR_INVALID_OPTION
   */
  async selectEvents(originatorId: string, options: SelectEventsOptions = {}): Promise<StoredEvent[]> {
    const { gt, lte, desc = false, limit } = options
    if (typeof originatorId !== 'string') throw invalid('originatorId', 'must be a UUID')
    let where = 'originator_id = ?'
    const parameters: unknown[] = [originatorId.toLowerCase()]
    if (gt !== undefined) {
      assertInteger('gt', gt)
      where += ' and originator_version > ?'
      parameters.push(gt)
    }
    if (lte !== undefined) {
      assertInteger('lte', lte)
      where += ' and originator_version <= ?'
      parameters.push(lte)
    }
    let end = `order by originator_version${desc ? ' desc' : ''}`
    if (limit !== undefined) {
      assertPositiveInteger('limit', limit)
      end += ' limit ?'
      parameters.push(limit)
    }
    // Nothing can have happened to it, and a transaction of PostgreSQL would not outlive the question.
    if (!isUuid(originatorId)) return []
    const rows: EventRow[] = await this.datastore.run(em =>
      em.execute(`select ${COLUMNS} from ${this.table.sql} where ${where} ${end}`, parameters),
    )
    return rows.map(storedEventOf)
  }

  async #insert(em: SqlEm, events: readonly StoredEvent[]): Promise<void> {
    try {
      const marks = Array(events.length).fill('(?, ?, ?, ?)').join(', ')
      await em.execute(
        `insert into ${this.table.sql} (${COLUMNS}) values ${marks}`,
        events.flatMap(parametersOf),
      )
    } catch (error) {
      throw conflictOf(error, this.table, events, false)
    }
  }
}
