import type { CommonReadEventMetadata, Event, ReadEvent } from '@event-driven-io/emmett'
import type { DomainEvent, RecordedEvent } from './domain-event.ts'
import { uuid5 } from './uuid5.ts'

// An event of Emmett as an event of the log: its type is the topic, its position in the stream the version. The rest,
// and the name of the stream, which cannot be read out of a UUID, are its data.

/** What is known of an event of Emmett that was read. */
export type EmmettEventMetadata = CommonReadEventMetadata & {
  /** Its place in the log. Undefined before COMMIT where places are given there: `ordering: 'strict'` on PostgreSQL. */
  readonly globalPosition: bigint | undefined
}

/** The data of an event of the log that Emmett has appended. */
interface Envelope {
  readonly stream: string
  readonly data: unknown
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** A random one: names of streams meet no other names. */
const NAMESPACE = 'd0ad1c2a-2a4c-4a5b-9c0e-8b1f6a3c5d77'

/** The aggregate that a stream is: a UUID of version 5. */
export function originatorOf(streamName: string): string {
  return uuid5(NAMESPACE, streamName)
}

/** @param version the position in its stream, from 1 on */
export function domainEventOf(
  streamName: string,
  originatorId: string,
  event: Event,
  version: number,
  timestamp: Date,
): DomainEvent {
  const { type, data, metadata } = event as Event & Pick<Envelope, 'metadata'>
  const envelope: Envelope = { stream: streamName, data, ...(metadata == null ? {} : { metadata }) }
  return { originatorId, originatorVersion: version, topic: type, timestamp, data: envelope }
}

/** @param id its place in the log; not above 0 while it has none */
export function readEventOf(event: DomainEvent, id: number): ReadEvent<Event, EmmettEventMetadata> {
  const { originatorId, originatorVersion, topic, data: envelope } = event
  const { stream, data, metadata } = envelope as Envelope
  return {
    type: topic,
    data: data as Event['data'],
    kind: 'Event',
    metadata: {
      // Nobody else's: of an event that happens instead, after a rollback, at most one is ever committed.
      messageId: uuid5(originatorId, String(originatorVersion)),
      ...metadata,
      streamName: stream,
      streamPosition: BigInt(originatorVersion),
      globalPosition: id > 0 ? BigInt(id) : undefined,
    },
  }
}

/**
 * An event of a subscription or a projection as Emmett's handlers take it.
 *
 * @returns undefined for events that were not appended by {@link emmettEventStore}: those of aggregates
 *
 * @example
 * ```ts
 * for await (const event of app.events.subscribe()) {
 *   const message = emmettEventOf(event)
 *   if (message !== undefined) await shipping.handle([message], {})
 * }
 * ```
 */
export function emmettEventOf(event: RecordedEvent): ReadEvent<Event, EmmettEventMetadata> | undefined {
  const stream = (event.data as Partial<Envelope> | null | undefined)?.stream
  const isOurs = typeof stream === 'string' && originatorOf(stream) === event.originatorId
  return isOurs ? readEventOf(event, event.id) : undefined
}
