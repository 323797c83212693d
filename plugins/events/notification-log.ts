import { errors as coreErrors } from '../../src/index.ts'
import type { Datastore } from './datastore.ts'
import type { RecordedEvent } from './domain-event.ts'
import type { Log } from './log.ts'
import type { Mapper } from './mapper.ts'
import type { ApplicationRecorder } from './recorders/application-recorder.ts'

/** Which events of the log. */
export interface SelectLogOptions {
  /** The first place. Default 1. */
  readonly start?: number
  /** At most so many. Default 10. */
  readonly limit?: number
  /** The last place, inclusive. Default: all that is settled. */
  readonly stop?: number
  /** Only those of these topics. */
  readonly topics?: readonly string[]
}

/** A part of the log. */
export interface Section {
  /** From its first to its last place: `'1,10'`. Undefined when there is nothing in it. */
  readonly id: string | undefined
  readonly items: readonly RecordedEvent[]
  /** The section behind it; undefined when this one is not full, as there may be nothing yet. */
  readonly next: string | undefined
}

/** How many events a section has at most. */
const SECTION_SIZE = 10

/**
 * The events of all aggregates in the order of their places: `application.notificationLog`. It shows what is settled, so
 * that nothing can appear any more before what it has shown, and whoever reads on from the last place he has seen misses
 * nothing. While a transaction is open that has recorded something, it may show less than is committed; in that very
 * transaction, nothing of its own.
 *
 * @example
 * ```ts
 * app.get('/log/:section', request => app.events.notificationLog.section(request.params.section))
 * ```
 */
export class NotificationLog {
  readonly #parts: {
    readonly datastore: Datastore
    readonly recorder: ApplicationRecorder
    readonly mapper: Mapper
    readonly log: () => Log
  }

  constructor(parts: {
    readonly datastore: Datastore
    readonly recorder: ApplicationRecorder
    readonly mapper: Mapper
    readonly log: () => Log
  }) {
    this.#parts = parts
  }

  /**
   * @returns in the order of their places; fewer than there are when not all of them are settled
   * @throws SQLA_ERR_INVALID_OPTION
   * @throws SQLA_ERR_EVENTS_STORAGE where only a session is known
   */
  async select(options: SelectLogOptions = {}): Promise<RecordedEvent[]> {
    const { start = 1, limit = SECTION_SIZE, stop = Number.MAX_SAFE_INTEGER, topics } = options
    const { recorder, mapper, log } = this.#parts
    const settled = await log().settled()
    const found = await recorder.selectNotifications({
      start,
      limit,
      stop: Math.min(stop, settled),
      ...(topics === undefined ? {} : { topics }),
    })
    return found.map(notification => ({ ...mapper.toDomain(notification), id: notification.id }))
  }

  /**
   * A section, as the Python package eventsourcing has them: other systems can follow the links.
   *
   * @param id its first and last place: `'1,10'`. At most ten events, whatever it says.
   * @throws SQLA_ERR_INVALID_OPTION when it is something else
   */
  async section(id: string): Promise<Section> {
    const [, first = '', last = ''] = /^(\d{1,15}),(\d{1,15})$/.exec(id) ?? []
    if (last === '') {
      throw new coreErrors.SQLA_ERR_INVALID_OPTION('section', "must be two places: '1,10'")
    }
    const start = Math.max(1, Number(first))
    const limit = Math.min(Math.max(0, Number(last) - start + 1), SECTION_SIZE)
    const items = limit === 0 ? [] : await this.select({ start, limit })
    const end = items.at(-1)?.id
    if (end === undefined) return { id: undefined, items, next: undefined }
    return {
      id: `${items[0]?.id},${end}`,
      items,
      next: items.length === limit ? `${end + 1},${end + limit}` : undefined,
    }
  }
}
