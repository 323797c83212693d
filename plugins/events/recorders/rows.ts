import { errors as coreErrors } from '../../../src/index.ts'
import type { Notification, StoredEvent } from '../stored-event.ts'

// What goes to the database and comes back, and what must not go there.

/** The columns that all tables of events have, in the order of {@link parametersOf}. */
export const COLUMNS = 'originator_id, originator_version, topic, state'

/** A row as drivers give it: some give a bigint as text. */
export interface EventRow {
  readonly id?: number | string
  readonly originator_id: string
  readonly originator_version: number | string
  readonly topic: string
  readonly state: Uint8Array
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Of one INSERT: more rows are hardly quicker, and more bytes may be more than a server takes. */
const MOST_ROWS = 500
const MOST_BYTES = 4 * 1024 ** 2

export function storedEventOf(row: EventRow): StoredEvent {
  return {
    originatorId: row.originator_id,
    originatorVersion: Number(row.originator_version),
    topic: row.topic,
    state: row.state,
  }
}

export function notificationOf(row: EventRow): Notification {
  return {
    id: Number(row.id),
    originatorId: row.originator_id,
    originatorVersion: Number(row.originator_version),
    topic: row.topic,
    state: row.state,
  }
}

/** The values of {@link COLUMNS}. */
export function parametersOf(event: StoredEvent): unknown[] {
  const { originatorId, originatorVersion, topic, state } = event
  // Where there is no type for UUIDs they are texts, and compare as texts.
  return [originatorId.toLowerCase(), originatorVersion, topic, bufferOf(state)]
}

/** MikroORM knows how to write a Buffer only. */
function bufferOf(state: Uint8Array): Buffer {
  return Buffer.isBuffer(state) ? state : Buffer.from(state.buffer, state.byteOffset, state.byteLength)
}

/** @returns the events in as many parts as there must be statements */
export function partsOf(events: readonly StoredEvent[]): readonly (readonly StoredEvent[])[] {
  const parts: (readonly StoredEvent[])[] = []
  let start = 0
  let bytes = 0
  for (const [place, { state }] of events.entries()) {
    if (place > start && (place - start === MOST_ROWS || bytes + state.byteLength > MOST_BYTES)) {
      parts.push(events.slice(start, place))
      start = place
      bytes = 0
    }
    bytes += state.byteLength
  }
  parts.push(start === 0 ? events : events.slice(start))
  return parts
}

export function isUuid(value: string): boolean {
  return UUID.test(value)
}

/** @throws SQLA_ERR_INVALID_OPTION */
export function assertStorable(events: readonly StoredEvent[]): void {
  for (const { originatorId, originatorVersion, topic, state } of events) {
    if (typeof originatorId !== 'string' || !isUuid(originatorId))
      throw invalid('originatorId', 'must be a UUID')
    assertInteger('originatorVersion', originatorVersion)
    if (typeof topic !== 'string' || topic === '' || topic.includes('\0')) {
      throw invalid('topic', 'must be a text, neither empty nor with a NUL character')
    }
    if (!(state instanceof Uint8Array)) throw invalid('state', 'must be a Uint8Array')
  }
}

/** @throws SQLA_ERR_INVALID_OPTION */
export function assertInteger(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value)) throw invalid(name, `must be an integer, not ${String(value)}`)
}

/** @throws SQLA_ERR_INVALID_OPTION */
export function assertPositiveInteger(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || Number(value) < 1) {
    throw invalid(name, `must be an integer above 0, not ${String(value)}`)
  }
}

export function invalid(name: string, problem: string): Error {
  return new coreErrors.SQLA_ERR_INVALID_OPTION(name, problem)
}
