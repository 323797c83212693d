import type { DomainEvent } from './domain-event.ts'
import type { Mapper } from './mapper.ts'
import type { SelectEventsOptions, StoredEvent } from './stored-event.ts'

/** The recorder of an event store. */
export interface EventRows {
  /** @returns the places of the events in the log, if it is known */
  insertEvents(events: readonly StoredEvent[]): Promise<readonly number[] | undefined>
  selectEvents(originatorId: string, options?: SelectEventsOptions): Promise<StoredEvent[]>
}

/** An event that the database has been given, and its place in the log. */
export interface Recording {
  readonly event: DomainEvent
  /** Undefined where places are given at COMMIT: with `ordering: 'strict'` on PostgreSQL. */
  readonly id: number | undefined
}

/** Events in a table: the mapper writes and reads what is in them, the recorder the rows. */
export class EventStore {
  readonly #mapper: Mapper
  readonly #recorder: EventRows

  constructor(parts: { readonly mapper: Mapper; readonly recorder: EventRows }) {
    this.#mapper = parts.mapper
    this.#recorder = parts.recorder
  }

  /**
   * Records events, all of them or none.
   *
   * @returns them, in the same order
   * @throws SQLA_ERR_VERSION_CONFLICT when one of the versions has been recorded already
   * @throws SQLA_ERR_EVENT_NOT_STORABLE
   */
  async put(events: readonly DomainEvent[]): Promise<Recording[]> {
    if (events.length === 0) return []
    const ids = await this.#recorder.insertEvents(events.map(event => this.#mapper.toStored(event)))
    return events.map((event, place) => ({ event, id: ids?.[place] }))
  }

  /**
   * The events of one aggregate, in the order of their versions.
   *
   * @throws SQLA_ERR_EVENT_UNREADABLE
   */
  async get(originatorId: string, options?: SelectEventsOptions): Promise<DomainEvent[]> {
    const stored = await this.#recorder.selectEvents(originatorId, options)
    return stored.map(event => this.#mapper.toDomain(event))
  }
}
