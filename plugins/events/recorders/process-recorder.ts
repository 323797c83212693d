import type { SqlEm } from '../../../src/index.ts'
import type { StoredEvent, Tracking } from '../stored-event.ts'
import { ApplicationRecorder, type ApplicationRecorderOptions } from './application-recorder.ts'
import { assertStorable } from './rows.ts'
import { assertTracking, TrackingRecorder } from './tracking-recorder.ts'

/** What else is recorded with events. */
export interface InsertOptions {
  /** What they were made from: both are recorded, or neither. */
  readonly tracking?: Tracking
}

/**
 * The events of an application that follows a log, and how far it has come.
 *
 * @example
 * ```ts
 * await recorder.insertEvents(events, { tracking: { applicationName: 'counters', notificationId: 7 } })
 * ```
 */
export class ProcessRecorder extends ApplicationRecorder {
  readonly tracking: TrackingRecorder

  constructor(options: ApplicationRecorderOptions) {
    super(options)
    this.tracking = new TrackingRecorder({ datastore: options.datastore, table: options.tables.tracking })
  }

  override at(session: SqlEm): ProcessRecorder {
    const { tables, ordering, onRecorded } = this
    return new ProcessRecorder({ datastore: this.datastore.at(session), tables, ordering, onRecorded })
  }

  /**
   * Records all of the events and the tracking, or nothing.
   *
   * @returns as {@link ApplicationRecorder.insertEvents}
   * @throws SQLA_ERR_VERSION_CONFLICT when one of the versions is there already
   * @throws SQLA_ERR_TRACKING_CONFLICT when the follower is at that notification already, or further
   * @throws SQLA_ERR_EVENTS_STORAGE with strict ordering on PostgreSQL in a transaction that is not READ COMMITTED
   * @throws SQLA_ERR_INVALID_OPTION
   */
  override async insertEvents(
    events: readonly StoredEvent[],
    { tracking }: InsertOptions = {},
  ): Promise<readonly number[] | undefined> {
    if (tracking === undefined) return super.insertEvents(events)
    assertTracking(tracking)
    assertStorable(events)
    if (events.length === 0) {
      await this.tracking.insertTracking(tracking)
      return []
    }
    const ids = await this.insertParts(events, tracking)
    this.tracking.announce(tracking.applicationName)
    this.noteRecorded(events)
    return ids
  }
}
