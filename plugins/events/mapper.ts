import type { Cipher } from './cipher.ts'
import type { Compressor } from './compressor.ts'
import type { DomainEvent } from './domain-event.ts'
import { errors } from './errors.ts'
import type { StoredEvent } from './stored-event.ts'
import type { EventTopics } from './topics.ts'
import { type RefuseText, Transcoder } from './transcoder.ts'
import type { Transcoding } from './transcodings.ts'

/** How events are written. */
export interface MapperOptions {
  /** For types that JSON does not know, beside those that are built in. */
  readonly transcodings?: readonly Transcoding[]
  /** Default: states are not compressed. */
  readonly compressor?: Compressor
  /** Default: states are not encrypted. */
  readonly cipher?: Cipher
}

/** What a state is made of. */
interface State {
  readonly data: unknown
  readonly timestamp: Date
  readonly version: number
}

/**
 * Makes stored events of events, and events of stored events. A state is the JSON text
 * `{ "data": …, "timestamp": "2026-01-31T12:00:00.000Z", "version": 1 }`, where `version` is that of the data; then it
 * is compressed and encrypted, where options say so.
 *
 * Built in are Date, bigint, Uint8Array, Buffer, Map, Set, NaN, ±Infinity and -0. As in JSON, fields that are undefined
 * and those whose key is a symbol are left out, and what is there twice is two things afterwards.
 *
 * @example
 * ```ts
 * const mapper = new Mapper(new EventTopics([Dog]), {
 *   transcodings: [decimal(Decimal)],
 *   compressor: deflate(),
 *   cipher: aesGcm({ keys: { '2026-01': process.env.EVENTS_KEY }, current: '2026-01' }),
 * })
 * mapper.toDomain(mapper.toStored(event))
 * ```
 */
export class Mapper {
  readonly transcoder: Transcoder
  readonly #topics: EventTopics
  readonly #compressor: Compressor | undefined
  readonly #cipher: Cipher | undefined

  /** @throws SQLA_ERR_INVALID_OPTION when two transcodings have the same name */
  constructor(topics: EventTopics, options: MapperOptions = {}) {
    this.#topics = topics
    this.transcoder = new Transcoder(options.transcodings)
    this.#compressor = options.compressor
    this.#cipher = options.cipher
  }

  /**
   * @throws SQLA_ERR_EVENT_NOT_STORABLE when something in its data contains itself, or is of a type that no transcoding
   * knows: a function, a symbol, an instance of a class
   */
  toStored(event: DomainEvent): StoredEvent {
    const { originatorId, originatorVersion, topic } = event
    let state: Uint8Array = Buffer.from(this.#write(event))
    if (this.#compressor !== undefined) state = this.#compressor.compress(state)
    if (this.#cipher !== undefined) state = this.#cipher.encrypt(state, placeOf(event))
    return { originatorId, originatorVersion, topic, state }
  }

  /**
   * Data of a former version is brought to that of today. Events of a topic that nobody knows are read as they are.
   *
   * @throws SQLA_ERR_EVENT_UNREADABLE when the state cannot be decrypted, was moved here from another event, is
   * damaged, or was written by a later version of the application
   */
  toDomain(stored: StoredEvent): DomainEvent {
    const { originatorId, originatorVersion, topic } = stored
    const refuse: RefuseText = (reason, cause) => {
      throw new errors.SQLA_ERR_EVENT_UNREADABLE(
        originatorVersion,
        originatorId,
        reason,
        ...(cause === undefined ? [] : [{ cause }]),
      )
    }
    const state = this.#read(this.#textOf(stored, refuse), refuse)
    return {
      originatorId,
      originatorVersion,
      topic,
      timestamp: state.timestamp,
      data: this.#upcast(topic, state, refuse),
    }
  }

  #write({ topic, data, timestamp }: DomainEvent): string {
    const json = this.transcoder.stringify(data, (path, reason, cause) => {
      throw new errors.SQLA_ERR_EVENT_NOT_STORABLE(
        topic,
        path,
        reason,
        ...(cause === undefined ? [] : [{ cause }]),
      )
    })
    if (Number.isNaN(timestamp.getTime())) {
      throw new errors.SQLA_ERR_EVENT_NOT_STORABLE(topic, 'timestamp', 'is no date')
    }
    const version = this.#topics.find(topic)?.version ?? 1
    const rest = `"timestamp":"${timestamp.toISOString()}","version":${version}}`
    return json === undefined ? `{${rest}` : `{"data":${json},${rest}`
  }

  #textOf(stored: StoredEvent, refuse: RefuseText): string {
    let bytes = stored.state
    try {
      if (this.#cipher !== undefined) bytes = this.#cipher.decrypt(bytes, placeOf(stored))
    } catch (cause) {
      return refuse('it cannot be decrypted', cause)
    }
    try {
      if (this.#compressor !== undefined) bytes = this.#compressor.decompress(bytes)
    } catch (cause) {
      return refuse('it cannot be decompressed', cause)
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  }

  #read(text: string, refuse: RefuseText): State {
    let state: { data?: unknown; timestamp?: unknown; version?: unknown } | null
    try {
      state = JSON.parse(text)
    } catch {
      // Its message quotes the text, which must not come into a log.
      return refuse('its state is not JSON')
    }
    const timestamp = new Date(typeof state?.timestamp === 'string' ? state.timestamp : Number.NaN)
    const version = state?.version
    if (Number.isNaN(timestamp.getTime()) || !Number.isSafeInteger(version) || (version as number) < 1) {
      return refuse('its state has no timestamp or no version')
    }
    const data = Transcoder.isMarked(text) ? this.transcoder.revive(state?.data, refuse) : state?.data
    return { data, timestamp, version: version as number }
  }

  #upcast(topic: string, { data, version }: State, refuse: RefuseText): unknown {
    const known = this.#topics.find(topic)
    if (known === undefined || known.version === version) return data
    if (version > known.version) {
      refuse(`its data is of version ${version}, and only versions up to ${known.version} are known here`)
    }
    let current = data
    for (let former = version; former < known.version; former++) {
      try {
        current = known.upcast[former]?.(current)
      } catch (cause) {
        refuse(`its data could not be brought from version ${former} to ${former + 1}`, cause)
      }
    }
    return current
  }
}

/** Which event a state belongs to: an id has no slash in it, nor has a number. */
function placeOf({ originatorId, originatorVersion, topic }: StoredEvent | DomainEvent): Uint8Array {
  // PostgreSQL gives UUIDs in lower case, however they were written.
  return Buffer.from(`${originatorId.toLowerCase()}/${originatorVersion}/${topic}`)
}
