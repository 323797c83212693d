import { errors as coreErrors, type Engine } from '../../src/index.ts'
import type { AggregateClass } from './aggregate.ts'
import { AggregateCache } from './aggregate-cache.ts'
import type { ApplicationOptions } from './application.ts'
import { orderingOf } from './create-tables.ts'
import { Datastore } from './datastore.ts'
import { errors } from './errors.ts'
import { Log } from './log.ts'
import { Mapper } from './mapper.ts'
import { type EventTables, eventTables, type Ordering } from './tables.ts'
import { aggregateTopic, EventTopics } from './topics.ts'

/** What an application shares with those that it has made for sessions. */
export interface Shared {
  readonly engine: Engine | undefined
  readonly tables: EventTables
  readonly ordering: Ordering
  readonly topics: EventTopics
  readonly mapper: Mapper
  readonly cache: AggregateCache | undefined
  /** Undefined where only a session is known: a log is followed on an engine. */
  readonly log: Log | undefined
}

/** @throws SQLA_ERR_INVALID_OPTION, SQLA_ERR_AGGREGATE_INVALID, SQLA_ERR_EVENTS_STORAGE */
export function sharedParts<C extends AggregateClass>(options: ApplicationOptions<C>): Shared {
  const { engine, em } = new Datastore(options.on)
  const { pollInterval, notify, log } = options
  const topics = new EventTopics(options.aggregates)
  assertSnapshotEvery(options)
  const mapper = new Mapper(topics, options)
  const tables = eventTables(em, options)
  const ordering = orderingOf(em, options.ordering)
  return {
    engine,
    tables,
    ordering,
    topics,
    mapper,
    cache: cacheOf(options, mapper),
    log: engine === undefined ? undefined : Log.of(engine, tables, { ordering, pollInterval, notify, log }),
  }
}

function cacheOf(
  { cache, log }: Pick<ApplicationOptions, 'cache' | 'log'>,
  mapper: Mapper,
): AggregateCache | undefined {
  if (cache === undefined) return undefined
  if (!isCount(cache.max)) refuse('cache.max', 'must be how many aggregates to keep, at least 1')
  const { transcoder } = mapper
  const told = new Set<object>()
  return new AggregateCache({
    max: cache.max,
    copyInstance(instance) {
      const refuse = (path: string, reason: string): never => {
        throw new errors.SQLA_ERR_EVENT_NOT_STORABLE(instance.constructor?.name, path, reason)
      }
      // As if it had been stored and read again. What is no type of the mapper's is refused.
      const text = transcoder.stringify(instance, refuse) as string
      return transcoder.revive(JSON.parse(text), reason => refuse('', reason))
    },
    onUncopyable(aggregate, err) {
      if (told.has(aggregate.constructor)) return
      told.add(aggregate.constructor)
      const fields = { err, aggregate: aggregate.constructor.name }
      log?.warn(fields, 'aggregates of this class cannot be copied, so they are not kept in the cache')
    },
  })
}

function assertSnapshotEvery({
  snapshotEvery,
  aggregates,
}: Pick<ApplicationOptions, 'snapshotEvery' | 'aggregates'>): void {
  if (typeof snapshotEvery !== 'object') {
    if (snapshotEvery !== undefined && !isCount(snapshotEvery)) {
      refuse('snapshotEvery', 'must be a number of versions, at least 1')
    }
    return
  }
  const topics = aggregates.map(aggregateTopic)
  for (const [topic, every] of Object.entries(snapshotEvery)) {
    if (!topics.includes(topic)) {
      refuse(`snapshotEvery.${topic}`, `is the topic of no aggregate; there are: ${topics.join(', ')}`)
    }
    if (!isCount(every)) refuse(`snapshotEvery.${topic}`, 'must be a number of versions, at least 1')
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 1
}

function refuse(name: string, problem: string): never {
  throw new coreErrors.SQLA_ERR_INVALID_OPTION(name, problem)
}
