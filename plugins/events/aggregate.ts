import { randomUUID } from 'node:crypto'
import { errors as coreErrors } from '../../src/index.ts'
import type { Appliers, DataOf } from './appliers.ts'
import { type CopyInstance, deepCopy, defineField } from './copy.ts'
import type { DomainEvent } from './domain-event.ts'
import { errors } from './errors.ts'
import { aggregateTopic, type EventTopic, type EventTopics, eventsByName } from './topics.ts'
import { isUuid } from './uuid5.ts'

/** What an instance is made of. Only this file makes one, so that `new` does not bypass the events. */
export class Birth {
  readonly #id: string

  constructor(id: string) {
    this.#id = id
  }

  get id(): string {
    return this.#id
  }
}

/** An aggregate of any class. */
// biome-ignore lint/suspicious/noExplicitAny: whatever its events are
export type AnyAggregate = Aggregate<any, any>

/** A class that extends {@link Aggregate}. */
export interface AggregateClass {
  // biome-ignore lint/suspicious/noExplicitAny: whatever its events are
  new (birth: any): AnyAggregate
  readonly appliers: Appliers
  readonly topic?: string
  readonly snapshotVersion?: number
  readonly name: string
}

/** What every aggregate has beside its fields. */
interface Bookkeeping {
  readonly id: string
  version: number
  /** Milliseconds since 1970, as `modified` is. */
  created: number
  modified: number
  pending: DomainEvent[]
  /** The event whose applier is running. */
  applying: string | undefined
}

let bookkeepingOf: (aggregate: AnyAggregate) => Bookkeeping

/** Of a class without events. */
type NoAppliers = Record<never, never>

/** The rest of the arguments of an event: the data may be left out where it may be undefined. */
type DataArguments<D, Rest extends unknown[] = []> = undefined extends D
  ? [data?: D, ...Rest]
  : [data: D, ...Rest]

/**
 * Something with an identity whose state is what its events have made of it. Extend it, declare its events as
 * `appliers`, and keep its state in public fields: snapshots and the cache take these, and nothing that is `#private`.
 * Fields that hold functions belong to the code, not to the state.
 *
 * An applier that throws leaves the version and the pending events as they were. What it had done to fields before is
 * not undone, so check what may happen before `trigger`, not in an applier.
 *
 * @typeParam A its appliers
 * @typeParam More those of a class that extends it, where it is to be extended by one that has events of its own
 *
 * @example
 * ```ts
 * const appliers = {
 *   Registered: (dog: Dog, { name }: { name: string }) => {
 *     dog.name = name
 *   },
 *   TrickAdded: (dog: Dog, { trick }: { trick: string }) => {
 *     dog.tricks.push(trick)
 *   },
 * }
 *
 * class Dog extends Aggregate<typeof appliers> {
 *   static override readonly appliers = appliers
 *   name = ''
 *   tricks: string[] = []
 *
 *   static register(name: string) {
 *     return Dog.create('Registered', { name }, { id: uuid5(NAMESPACE_URL, `/dogs/${name}`) })
 *   }
 *
 *   addTrick(trick: string) {
 *     this.trigger('TrickAdded', { trick })
 *   }
 * }
 * ```
 */
export abstract class Aggregate<A extends Appliers = NoAppliers, More extends Appliers = NoAppliers> {
  /** Its events, and what each does to it. */
  static readonly appliers: Appliers = {}
  /**
   * What the topics of its events begin with: `Dog.Registered`. Default: the name of the class, which is another one
   * when a minifier has been there. A class that extends it does not take it over.
   */
  static readonly topic?: string
  /** Count it up when fields or their meaning change. Snapshots of another version are not used. Default 1. */
  static readonly snapshotVersion?: number

  readonly #bookkeeping: Bookkeeping

  static {
    bookkeepingOf = aggregate => aggregate.#bookkeeping
  }

  constructor(birth: Birth) {
    if (!(birth instanceof Birth)) {
      throw new errors.SQLA_ERR_AGGREGATE_INVALID(new.target.name, 'it is made by create(), not by new')
    }
    this.#bookkeeping = {
      id: birth.id,
      version: 0,
      created: 0,
      modified: 0,
      pending: [],
      applying: undefined,
    }
  }

  /**
   * A new aggregate, by its first event.
   *
   * @param name of the event
   * @param data of the event. It is copied, but for instances of classes: these must never change.
   * @param options `id`: a UUID. Default: a random one.
   * @returns its version is 1; the event is pending until the aggregate is saved
   * @throws SQLA_ERR_INVALID_OPTION when the id is no UUID
   */
  static create<C extends AggregateClass, K extends keyof C['appliers'] & string>(
    this: C,
    name: K,
    ...[data, options]: DataArguments<DataOf<C['appliers'][K]>, [options?: { readonly id?: string }]>
  ): InstanceType<C> {
    const id = options?.id ?? randomUUID()
    if (!isUuid(id)) throw new coreErrors.SQLA_ERR_INVALID_OPTION('id', `must be a UUID, not '${id}'`)
    const aggregate = new this(new Birth(id.toLowerCase())) as InstanceType<C>
    happen(aggregate, name, data)
    return aggregate
  }

  /** A UUID in lower case. */
  get id(): string {
    return this.#bookkeeping.id
  }

  /** How many events have happened to it. */
  get version(): number {
    return this.#bookkeeping.version
  }

  /** When the first event happened. */
  get createdOn(): Date {
    return new Date(this.#bookkeeping.created)
  }

  /** When the last event happened. */
  get modifiedOn(): Date {
    return new Date(this.#bookkeeping.modified)
  }

  /** Events that have not been saved. */
  get pendingEvents(): readonly DomainEvent[] {
    return [...this.#bookkeeping.pending]
  }

  /**
   * Lets an event happen: its applier runs, the version goes up by one, and the event is pending until the aggregate is
   * saved.
   *
   * @param name of the event
   * @param data of the event. It is copied, but for instances of classes: these must never change.
   */
  protected trigger<K extends (keyof A | keyof More) & string>(
    name: K,
    // Asked for A alone, so that a class that leaves More open can trigger its own events.
    ...[data]: DataArguments<DataOf<K extends keyof A ? A[K] : More[K]>>
  ): void {
    happen(this, name, data)
  }
}

function classOf(aggregate: AnyAggregate): AggregateClass {
  return aggregate.constructor as AggregateClass
}

function happen(aggregate: AnyAggregate, name: string, data: unknown): void {
  const events = eventsByName(classOf(aggregate))
  const event = events.get(name)
  if (event === undefined) {
    const topic = `${aggregateTopic(classOf(aggregate))}.${name}`
    const topics = Array.from(events.values(), other => other.topic)
    throw new errors.SQLA_ERR_EVENT_UNKNOWN(topic, topics.join(', '))
  }
  const bookkeeping = bookkeepingOf(aggregate)
  const timestamp = new Date()
  const happened: DomainEvent = {
    originatorId: bookkeeping.id,
    originatorVersion: bookkeeping.version + 1,
    topic: event.topic,
    timestamp,
    data: deepCopy(data),
  }
  // What the aggregate takes of it becomes its own, and changes with it.
  apply(aggregate, bookkeeping, event, deepCopy(happened.data), timestamp.getTime())
  bookkeeping.pending.push(happened)
}

function apply(
  aggregate: AnyAggregate,
  bookkeeping: Bookkeeping,
  event: EventTopic,
  data: unknown,
  timestamp: number,
): void {
  const invalid = (reason: string) =>
    new errors.SQLA_ERR_AGGREGATE_INVALID(
      aggregateTopic(event.aggregate),
      `the applier of '${event.name}' ${reason}`,
    )
  if (bookkeeping.applying !== undefined) throw invalid(`was triggered by that of '${bookkeeping.applying}'`)
  bookkeeping.applying = event.name
  try {
    const result = event.apply(aggregate, data)
    if (result instanceof Promise) {
      // This error is enough: nobody else waits for that one.
      result.catch(() => {})
      throw invalid('is asynchronous')
    }
  } finally {
    bookkeeping.applying = undefined
  }
  bookkeeping.version += 1
  if (bookkeeping.version === 1) bookkeeping.created = timestamp
  bookkeeping.modified = timestamp
}

/** Events that are to be recorded. More may be triggered while this happens: clear up to the last of these. */
export function collectPending(aggregate: AnyAggregate): readonly DomainEvent[] {
  return aggregate.pendingEvents
}

/**
 * Forgets pending events that have been recorded.
 *
 * @param upTo the version of the last of them
 */
export function clearPending(aggregate: AnyAggregate, upTo: number): void {
  const bookkeeping = bookkeepingOf(aggregate)
  bookkeeping.pending = bookkeeping.pending.filter(event => event.originatorVersion > upTo)
}

/**
 * Lets events happen again, by their appliers.
 *
 * @param base is changed; the events must follow its version. Undefined: they are all from version 1 on.
 * @param events in the order of their versions. The aggregate takes over their data: they must not be used again.
 * @returns undefined when there is neither a base nor an event
 * @throws SQLA_ERR_EVENT_UNKNOWN when a topic is that of no class
 * @throws SQLA_ERR_EVENT_UNREADABLE when one does not follow the one before
 */
export function replay(
  topics: EventTopics,
  base: AnyAggregate | undefined,
  events: Iterable<DomainEvent>,
): AnyAggregate | undefined {
  let aggregate = base
  for (const happened of events) {
    const event = topics.find(happened.topic)
    if (event === undefined) throw topics.unknown(happened.topic)
    aggregate ??= new event.aggregate(new Birth(happened.originatorId))
    const bookkeeping = bookkeepingOf(aggregate)
    if (
      happened.originatorVersion !== bookkeeping.version + 1 ||
      happened.originatorId !== bookkeeping.id ||
      event.aggregate !== aggregate.constructor
    ) {
      throw new errors.SQLA_ERR_EVENT_UNREADABLE(
        happened.originatorVersion,
        happened.originatorId,
        `it does not follow version ${bookkeeping.version} of the ${aggregateTopic(classOf(aggregate))} ${bookkeeping.id}`,
      )
    }
    apply(aggregate, bookkeeping, event, happened.data, happened.timestamp.getTime())
  }
  return aggregate
}

/** What a snapshot's data is. */
interface SnapshotData {
  readonly version: number
  readonly created: number
  readonly modified: number
  readonly fields: Readonly<Record<string, unknown>>
  /** Names of fields that were undefined, which JSON leaves out. */
  readonly unset: readonly string[]
}

/** An aggregate as it is now, in the shape of an event of the class's topic, at its version. */
export function snapshotOf(aggregate: AnyAggregate): DomainEvent<SnapshotData> {
  const { id, version, created, modified } = bookkeepingOf(aggregate)
  const fields = fieldsOf(aggregate)
  return {
    originatorId: id,
    originatorVersion: version,
    topic: aggregateTopic(classOf(aggregate)),
    timestamp: new Date(modified),
    data: {
      version: classOf(aggregate).snapshotVersion ?? 1,
      created,
      modified,
      fields: deepCopy(fields),
      unset: Object.keys(fields).filter(name => fields[name] === undefined),
    },
  }
}

/**
 * The aggregate of a snapshot.
 *
 * @param snapshot the aggregate takes over its data: it must not be used again
 * @returns undefined when it is of another `snapshotVersion`: all events must be read then
 * @throws SQLA_ERR_EVENT_UNKNOWN when its topic is that of no class
 */
export function fromSnapshot(topics: EventTopics, snapshot: DomainEvent): AnyAggregate | undefined {
  const Class = topics.aggregateOf(snapshot.topic)
  if (Class === undefined) throw topics.unknown(snapshot.topic)
  const data = snapshot.data as SnapshotData
  if (data.version !== (Class.snapshotVersion ?? 1)) return undefined
  const aggregate = new Class(new Birth(snapshot.originatorId))
  const bookkeeping = bookkeepingOf(aggregate)
  bookkeeping.version = snapshot.originatorVersion
  bookkeeping.created = data.created
  bookkeeping.modified = data.modified
  setFields(aggregate, data.fields)
  for (const name of data.unset) defineField(aggregate, name, undefined)
  return aggregate
}

/**
 * A copy that can be changed without a trace in the original, pending events included.
 *
 * @param instance copies instances of classes. Default: frozen ones are shared, others refused.
 * @throws SQLA_ERR_AGGREGATE_INVALID when there are instances in its state that are not frozen
 */
export function copyOf<T extends AnyAggregate>(aggregate: T, instance?: CopyInstance): T {
  const { id, version, created, modified, pending } = bookkeepingOf(aggregate)
  const Class = classOf(aggregate)
  const copy = new Class(new Birth(id)) as T
  Object.assign(bookkeepingOf(copy), { version, created, modified, pending: [...pending] })
  setFields(copy, deepCopy(fieldsOf(aggregate), instance ?? frozenOnly(aggregateTopic(Class))))
  return copy
}

function frozenOnly(topic: string): CopyInstance {
  return instance => {
    if (Object.isFrozen(instance)) return instance
    const reason = `an instance of ${instance.constructor?.name} in its state cannot be copied`
    throw new errors.SQLA_ERR_AGGREGATE_INVALID(topic, reason)
  }
}

/** The state: fields of the aggregate itself. Those that are functions belong to the class, whatever holds them. */
function fieldsOf(aggregate: AnyAggregate): Record<string, unknown> {
  return Object.fromEntries(Object.entries(aggregate).filter(([, value]) => typeof value !== 'function'))
}

function setFields(aggregate: AnyAggregate, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) defineField(aggregate, name, value)
}
