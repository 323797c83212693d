import type { SqlEm } from '../../../src/index.ts'
import type { Datastore } from '../datastore.ts'
import { tellRecorded } from '../diagnostics.ts'
import type { Notification, SelectNotificationsOptions, StoredEvent, Tracking } from '../stored-event.ts'
import type { EventTables, Ordering } from '../tables.ts'
import { AggregateRecorder } from './aggregate-recorder.ts'
import { allOrNone } from './all-or-none.ts'
import { dialectOf } from './dialect.ts'
import { type Inserting, insertInto } from './insert.ts'
import {
  assertInteger,
  assertPositiveInteger,
  assertStorable,
  COLUMNS,
  type EventRow,
  invalid,
  isUuid,
  notificationOf,
  partsOf,
} from './rows.ts'

/** What an {@link ApplicationRecorder} is made of. */
export interface ApplicationRecorderOptions {
  readonly datastore: Datastore
  readonly tables: EventTables
  readonly ordering: Ordering
  /** Called after events have been inserted, which may be long before they are committed. */
  readonly onRecorded?: ((datastore: Datastore) => void) | undefined
}

/**
 * The events of an application, which together are its log: each has a number, its notification id.
 *
 * @example
 * ```ts
 * const recorder = new ApplicationRecorder({ datastore: new Datastore(engine), tables, ordering: 'watermark' })
 * const [id] = await recorder.insertEvents([event])
 * const notifications = await recorder.selectNotifications({ start: 1, limit: 10 })
 * ```
 */
export class ApplicationRecorder extends AggregateRecorder {
  readonly tables: EventTables
  readonly ordering: Ordering
  protected readonly onRecorded: ((datastore: Datastore) => void) | undefined
  readonly #inserting: Inserting
  /** MariaDB does not see spaces at the end of a text. */
  readonly #topic: string

  constructor({ datastore, tables, ordering, onRecorded }: ApplicationRecorderOptions) {
    super({ datastore, table: tables.events })
    this.tables = tables
    this.ordering = ordering
    this.onRecorded = onRecorded
    this.#topic = dialectOf(datastore.em) === 'mysql' ? 'cast(topic as binary)' : 'topic'
    this.#inserting = insertInto(datastore.em, tables, ordering)
  }

  override at(session: SqlEm): ApplicationRecorder {
    const { tables, ordering, onRecorded } = this
    return new ApplicationRecorder({ datastore: this.datastore.at(session), tables, ordering, onRecorded })
  }

  /**
   * Records all of the events, or none.
   *
   * @returns the notification ids in the order of the events; undefined where they are given at COMMIT, which is `'strict'`
   *   ordering on PostgreSQL
   * @throws SQLA_ERR_VERSION_CONFLICT when one of the versions is there already
   * @throws SQLA_ERR_EVENTS_STORAGE with strict ordering on PostgreSQL in a transaction that is not READ COMMITTED
   * @throws SQLA_ERR_INVALID_OPTION when one is no event that could be stored
   */
  override async insertEvents(events: readonly StoredEvent[]): Promise<readonly number[] | undefined> {
    assertStorable(events)
    if (events.length === 0) return []
    const ids = await this.insertParts(events)
    this.noteRecorded(events)
    return ids
  }

  protected noteRecorded(events: readonly StoredEvent[]): void {
    this.onRecorded?.(this.datastore)
    tellRecorded(this.datastore, events)
  }

  protected async insertParts(
    events: readonly StoredEvent[],
    tracking?: Tracking,
  ): Promise<readonly number[] | undefined> {
    const { insert, isOne } = this.#inserting
    const [first = [], ...others] = partsOf(events)
    if (others.length === 0 && isOne(tracking)) {
      return this.datastore.run(em => insert(em, first, tracking))
    }
    if (others.length === 0 && tracking === undefined) {
      // It counts what is there already.
      return this.datastore.together(em => insert(em, first))
    }
    return allOrNone(this.datastore, async em => {
      const ids = await insert(em, first, tracking)
      const later: number[] = []
      for (const part of others) later.push(...((await insert(em, part)) ?? []))
      return ids === undefined ? undefined : [...ids, ...later]
    })
  }

  /**
   * What is committed, by id: later there may be more between two of them. Whoever must not miss any reads no further than
   * what is settled, as a subscription does.
   *
   * @throws SQLA_ERR_INVALID_OPTION
   */
  async selectNotifications(options: SelectNotificationsOptions): Promise<Notification[]> {
    const { start, limit, stop, topics, inclusiveOfStart = true } = options
    // What has no number yet is not in the log.
    let where = 'id > 0'
    const parameters: unknown[] = []
    if (start !== undefined) {
      assertInteger('start', start)
      where += ` and id ${inclusiveOfStart ? '>=' : '>'} ?`
      parameters.push(start)
    }
    if (stop !== undefined) {
      assertInteger('stop', stop)
      where += ' and id <= ?'
      parameters.push(stop)
    }
    assertPositiveInteger('limit', limit)
    if (topics !== undefined) {
      if (!Array.isArray(topics) || !topics.every(topic => typeof topic === 'string')) {
        throw invalid('topics', 'must be a list of texts')
      }
      if (topics.length === 0) return []
      where += ` and ${this.#topic} in (${topics.map(() => '?').join(', ')})`
      parameters.push(...topics)
    }
    const rows: EventRow[] = await this.datastore.run(em =>
      em.execute(`select id, ${COLUMNS} from ${this.table.sql} where ${where} order by id limit ?`, [
        ...parameters,
        limit,
      ]),
    )
    return rows.map(notificationOf)
  }

  /** @returns null when the log is empty */
  async maxNotificationId(): Promise<number | null> {
    const [row]: { id: number | string | null }[] = await this.datastore.run(em =>
      em.execute(`select max(id) as id from ${this.table.sql} where id > 0`),
    )
    return row?.id == null ? null : Number(row.id)
  }

  /** @returns undefined when there is no such event, or it has no number yet */
  async notificationIdOf(originatorId: string, originatorVersion: number): Promise<number | undefined> {
    assertInteger('originatorVersion', originatorVersion)
    if (typeof originatorId !== 'string') throw invalid('originatorId', 'must be a UUID')
    if (!isUuid(originatorId)) return undefined
    const [row]: { id: number | string }[] = await this.datastore.run(em =>
      em.execute(
        `select id from ${this.table.sql} where originator_id = ? and originator_version = ? and id > 0`,
        [originatorId.toLowerCase(), originatorVersion],
      ),
    )
    return row === undefined ? undefined : Number(row.id)
  }
}
