import { errors as coreErrors, type Engine } from '../../src/index.ts'
import { Datastore } from './datastore.ts'
import type { RecordedEvent } from './domain-event.ts'
import { errors } from './errors.ts'
import { Runner, type RunnerOptions } from './runner.ts'
import { type AnyApplication, engineOf } from './source.ts'
import { type EventTablesOptions, eventTables } from './tables.ts'

/** An event on its way out. */
export interface OutboxMessage<Data = unknown> {
  /** The same whenever this event is published: `<originatorId>/<originatorVersion>`. For receivers to know it again. */
  readonly id: string
  /** Its place in the log. */
  readonly position: number
  readonly topic: string
  readonly originatorId: string
  readonly originatorVersion: number
  readonly timestamp: Date
  readonly data: Data
}

/** What an {@link Outbox} needs. */
export interface OutboxOptions extends RunnerOptions {
  /** Whose events are published. */
  readonly application: AnyApplication
  /** Under which name it is tracked how far it has come. */
  readonly name: string
  /** Only events of these topics are published. Default: all. */
  readonly topics?: readonly string[]
  /**
   * Publishes a message, and returns when that is certain. When it throws, the same message is published again after a pause;
   * no other one overtakes it.
   */
  publish(message: OutboxMessage): Promise<unknown> | unknown
  /** Where the tracking is. Default: where the events are. */
  readonly on?: Engine
  /** What the tracking table is called. Default: as the application's. */
  readonly storage?: EventTablesOptions
}

/**
 * Publishes events to somewhere else: a broker, a webhook. Each at least once, in their order: a message that was published and
 * could not be tracked any more is published again, with the same id. Several of one name elect one of them.
 *
 * @example
 * ```ts
 * const outbox = new Outbox({
 *   application: school,
 *   name: 'broker',
 *   publish: ({ id, topic, data }) => broker.send(topic, JSON.stringify(data), { deduplicationId: id }),
 * })
 * await outbox.start()
 * ```
 */
export class Outbox extends Runner {
  readonly #publish: OutboxOptions['publish']

  /** @throws SQLA_ERR_EVENTS_STORAGE, SQLA_ERR_INVALID_OPTION */
  constructor(options: OutboxOptions) {
    const { application, name, topics, publish, storage = application.options } = options
    if (typeof publish !== 'function') {
      throw new coreErrors.SQLA_ERR_INVALID_OPTION('publish', 'must be a function')
    }
    const engine = options.on ?? engineOf(application)
    if (engine.readOnly) throw new errors.SQLA_ERR_EVENTS_STORAGE(`engine '${engine.name}' is read-only`)
    const datastore = new Datastore(engine)
    const { tracking } = eventTables(datastore.em, storage)
    super({ name, upstream: application, topics, engine, datastore, table: tracking }, options)
    this.#publish = publish
  }

  protected override async process(
    events: readonly RecordedEvent[],
    position: number,
    signal: AbortSignal,
  ): Promise<number> {
    let reached = position
    for (const event of events) {
      if (!(await this.#isPublished(messageOf(event), signal))) break
      await this.checkpoint.move(reached, event.id)
      reached = event.id
      this.arrived(reached)
    }
    return reached
  }

  /** @returns false when it was stopped before */
  async #isPublished(message: OutboxMessage, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      try {
        await this.#publish(message)
        return true
      } catch (error) {
        await this.retrying(error, signal)
      }
    }
    return false
  }
}

function messageOf({
  id,
  originatorId,
  originatorVersion,
  topic,
  timestamp,
  data,
}: RecordedEvent): OutboxMessage {
  return {
    id: `${originatorId}/${originatorVersion}`,
    position: id,
    topic,
    originatorId,
    originatorVersion,
    timestamp,
    data,
  }
}
