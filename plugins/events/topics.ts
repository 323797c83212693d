import type { AggregateClass } from './aggregate.ts'
import type { VersionedApplier } from './appliers.ts'
import { errors } from './errors.ts'

/** What is known of the events of a topic. */
export interface EventTopic {
  readonly topic: string
  readonly aggregate: AggregateClass
  /** Within the aggregate: `Registered`. */
  readonly name: string
  /** Of its data, as the applier takes it. */
  readonly version: number
  readonly upcast: Readonly<Record<number, (data: unknown) => unknown>>
  apply(aggregate: unknown, data: unknown): unknown
}

/** The topic of an aggregate class: its own `static topic`, else its name. */
export function aggregateTopic(aggregate: AggregateClass): string {
  // Not that of the class it extends, whose events are others.
  return (Object.hasOwn(aggregate, 'topic') ? aggregate.topic : undefined) ?? aggregate.name
}

/** Which topics there are, and what belongs to each. */
export class EventTopics {
  readonly #events = new Map<string, EventTopic>()
  readonly #aggregates = new Map<string, AggregateClass>()

  /**
   * @param aggregates all that are stored in one log
   * @throws SQLA_ERR_AGGREGATE_INVALID when one is not declared right, or two have the same topic
   */
  constructor(aggregates: readonly AggregateClass[]) {
    for (const aggregate of aggregates) {
      const topic = checkedTopic(aggregate)
      if (this.#aggregates.has(topic)) {
        throw new errors.SQLA_ERR_AGGREGATE_INVALID(topic, 'there are two of this topic')
      }
      this.#aggregates.set(topic, aggregate)
      for (const event of eventsOf(aggregate, topic)) {
        const other = this.#events.get(event.topic)
        if (other !== undefined) {
          throw new errors.SQLA_ERR_AGGREGATE_INVALID(
            topic,
            `'${event.topic}' is an event of '${aggregateTopic(other.aggregate)}' too`,
          )
        }
        this.#events.set(event.topic, event)
      }
    }
    for (const topic of this.#aggregates.keys()) {
      if (this.#events.has(topic)) {
        throw new errors.SQLA_ERR_AGGREGATE_INVALID(topic, 'an event has the same topic')
      }
    }
  }

  /** What is known of an event's topic; undefined when nothing is. */
  find(topic: string): EventTopic | undefined {
    return this.#events.get(topic)
  }

  /** The class that an event's topic, or that of a snapshot, belongs to. */
  aggregateOf(topic: string): AggregateClass | undefined {
    return this.#aggregates.get(topic) ?? this.#events.get(topic)?.aggregate
  }

  /** The topics of all events, in the order of their declaration. */
  list(): string[] {
    return [...this.#events.keys()]
  }

  /** @throws SQLA_ERR_EVENT_UNKNOWN when the class is not among them, or has no such event */
  topicOf(aggregate: AggregateClass, eventName: string): string {
    const topic = `${aggregateTopic(aggregate)}.${eventName}`
    if (this.#events.get(topic)?.aggregate === aggregate) return topic
    throw this.unknown(topic)
  }

  /** The error for a topic that nothing is known of. */
  unknown(topic: string): Error {
    return new errors.SQLA_ERR_EVENT_UNKNOWN(topic, this.list().join(', ') || 'none')
  }
}

function checkedTopic(aggregate: AggregateClass): string {
  const topic = aggregateTopic(aggregate)
  if (typeof topic !== 'string' || topic === '') {
    throw new errors.SQLA_ERR_AGGREGATE_INVALID('', 'a class without a name needs a static topic')
  }
  const version = aggregate.snapshotVersion ?? 1
  if (!isVersion(version)) {
    throw new errors.SQLA_ERR_AGGREGATE_INVALID(topic, 'snapshotVersion must be a whole number from 1 on')
  }
  return topic
}

function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

const known = new WeakMap<AggregateClass, ReadonlyMap<string, EventTopic>>()

/** The events of a class by name. */
export function eventsByName(aggregate: AggregateClass): ReadonlyMap<string, EventTopic> {
  let events = known.get(aggregate)
  if (events === undefined) {
    events = new Map(eventsOf(aggregate, aggregateTopic(aggregate)).map(event => [event.name, event]))
    known.set(aggregate, events)
  }
  return events
}

function eventsOf(aggregate: AggregateClass, topic: string): EventTopic[] {
  const invalid = (reason: string) => new errors.SQLA_ERR_AGGREGATE_INVALID(topic, reason)
  const { appliers } = aggregate
  if (typeof appliers !== 'object' || appliers === null || Object.keys(appliers).length === 0) {
    throw invalid('it has no static appliers')
  }
  return Object.entries(appliers).map(([name, applier]) => {
    const common = { topic: `${topic}.${name}`, aggregate, name }
    if (typeof applier === 'function') return { ...common, version: 1, upcast: {}, apply: applier }
    if (typeof applier?.apply !== 'function') throw invalid(`the applier of '${name}' is not a function`)
    const { version, upcast = {} } = applier as VersionedApplier<unknown, unknown>
    if (!isVersion(version)) throw invalid(`the version of '${name}' must be a whole number from 1 on`)
    for (let former = 1; former < version; former++) {
      if (typeof upcast[former] !== 'function') {
        throw invalid(`'${name}' has come to version ${version}, so upcast needs a function ${former}`)
      }
    }
    return {
      ...common,
      version,
      upcast: upcast as EventTopic['upcast'],
      apply: (a: unknown, data: unknown) => applier.apply(a, data),
    }
  })
}
