import { type AnyAggregate, copyOf } from './aggregate.ts'
import type { CopyInstance } from './copy.ts'

/** How aggregates are kept. */
export interface CacheOptions {
  /** At most so many aggregates. */
  readonly max: number
  /** Copies what is neither plain data nor of a type that JavaScript brings; throws where it cannot. */
  readonly copyInstance: CopyInstance
  /** Told of an aggregate that cannot be kept, as it cannot be copied. */
  readonly onUncopyable?: (aggregate: AnyAggregate, error: unknown) => void
}

/**
 * The aggregates that were used last, as they were at some commit. What goes in and out is a copy, so that nobody has a
 * part of what somebody else has.
 */
export class AggregateCache {
  /** The one that was used last is the last. */
  readonly #entries = new Map<string, AnyAggregate>()
  readonly #options: CacheOptions

  constructor(options: CacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: string): AnyAggregate | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    return copyOf(entry, this.#options.copyInstance)
  }

  /** @returns a copy to give to {@link put}; undefined when it cannot be copied, and so cannot be kept */
  copy(aggregate: AnyAggregate): AnyAggregate | undefined {
    try {
      return copyOf(aggregate, this.#options.copyInstance)
    } catch (error) {
      this.#options.onUncopyable?.(aggregate, error)
      return undefined
    }
  }

  /**
   * Unless there is a later version of it already.
   *
   * @param aggregate a copy, which nobody else has
   */
  put(aggregate: AnyAggregate): void {
    const known = this.#entries.get(aggregate.id)
    if (known !== undefined && known.version >= aggregate.version) return
    this.#entries.delete(aggregate.id)
    this.#entries.set(aggregate.id, aggregate)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#options.max) break
      this.#entries.delete(oldest)
    }
  }

  delete(id: string): void {
    this.#entries.delete(id)
  }
}
