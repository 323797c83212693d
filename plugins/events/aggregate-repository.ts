import { type AggregateClass, type AnyAggregate, fromSnapshot, replay } from './aggregate.ts'
import type { AggregateCache } from './aggregate-cache.ts'
import type { Datastore } from './datastore.ts'
import { AggregateNotFoundError } from './errors.ts'
import type { EventStore } from './event-store.ts'
import type { EventTopics } from './topics.ts'

/** Which aggregate, and as it was when. */
export interface GetOptions<A extends AggregateClass = AggregateClass> {
  /** As it was at that version. Default: as it is now. */
  readonly version?: number
  /** Its class: types what is returned, and an aggregate of another class is none. */
  readonly as?: A
}

/** What a repository reads from. */
export interface RepositoryParts {
  readonly datastore: Datastore
  readonly events: EventStore
  readonly snapshots: EventStore
  readonly topics: EventTopics
  readonly cache: AggregateCache | undefined
}

/** Aggregates as their events have made them: `application.repository`. */
export class AggregateRepository<C extends AggregateClass = AggregateClass> {
  readonly #parts: RepositoryParts

  constructor(parts: RepositoryParts) {
    this.#parts = parts
  }

  /**
   * An aggregate, for whoever asks alone: what he does to it nobody else sees before it is saved. Its last snapshot
   * is read, if there is one, and the events since; with a cache, the events since it was there last.
   *
   * @param id a UUID
   * @throws AggregateNotFoundError (`SQLA_ERR_AGGREGATE_NOT_FOUND`, status 404) when there is no such aggregate, when it
   *   has not come to that version, or when it is of another class
   *
   * @example
   * ```ts
   * const dog = await school.repository.get(id, { as: Dog })
   * const puppy = await school.repository.get(id, { version: 1 })
   * ```
   */
  async get<A extends C = C>(id: string, options: GetOptions<A> = {}): Promise<InstanceType<A>> {
    const { version, as } = options
    const found = version === undefined ? await this.#now(id.toLowerCase()) : await this.#then(id, version)
    if (found === undefined) throw notFound(id, version === undefined ? '' : ` of version ${version}`)
    if (as !== undefined && !(found instanceof as)) throw notFound(id, ` of class ${as.name}`)
    return found as InstanceType<A>
  }

  async #now(id: string): Promise<AnyAggregate | undefined> {
    const { cache } = this.#parts
    if (cache === undefined) return this.#read(id)
    const kept = await this.#forward(cache, id)
    if (kept !== undefined) return kept
    const found = await this.#read(id)
    if (found !== undefined) this.#keep(cache, found)
    return found
  }

  async #then(id: string, version: number): Promise<AnyAggregate | undefined> {
    if (!Number.isSafeInteger(version) || version < 1) return undefined
    const found = await this.#read(id, version)
    return found?.version === version ? found : undefined
  }

  async #read(id: string, lte?: number): Promise<AnyAggregate | undefined> {
    const { snapshots, events, topics } = this.#parts
    const until = lte === undefined ? {} : { lte }
    const [snapshot] = await snapshots.get(id, { ...until, desc: true, limit: 1 })
    const base = snapshot === undefined ? undefined : fromSnapshot(topics, snapshot)
    const since = base === undefined ? {} : { gt: base.version }
    return replay(topics, base, await events.get(id, { ...until, ...since }))
  }

  /**
   * What is kept, and what has happened since. Its last event is read once more: in a transaction with an older snapshot,
   * on a server that is behind, or after a backup was restored it is not there, and then neither is the aggregate.
   */
  async #forward(cache: AggregateCache, id: string): Promise<AnyAggregate | undefined> {
    const kept = cache.get(id)
    if (kept === undefined) return undefined
    const [last, ...since] = await this.#parts.events.get(id, { gt: kept.version - 1 })
    const isThere =
      last?.originatorVersion === kept.version && last.timestamp.getTime() === kept.modifiedOn.getTime()
    if (!isThere) return undefined
    replay(this.#parts.topics, kept, since)
    if (since.length > 0) this.#keep(cache, kept)
    return kept
  }

  /** Once what was read is committed, as it may be of this very transaction. */
  #keep(cache: AggregateCache, aggregate: AnyAggregate): void {
    const copy = cache.copy(aggregate)
    if (copy === undefined) return
    this.#parts.datastore.afterCommit(isCertain => {
      if (isCertain) cache.put(copy)
    })
  }
}

function notFound(id: string, what: string): Error {
  return new AggregateNotFoundError(id, what)
}
