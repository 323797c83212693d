import { type Engine, listen, Refresher } from '../../src/index.ts'
import { compileSegment } from './compile.ts'
import { matches } from './evaluate.ts'
import type { Predicate } from './predicate.ts'
import { listSaved } from './saved-segments.ts'
import type { EvaluationContext, Identity, SegmentContext, Traits } from './segment.ts'
import type { SegmentsPlace } from './segment-query.ts'

/** What is known of somebody, as a flag's context has it. */
export type SegmentEntries = Readonly<Record<string, string | number | boolean | null | undefined>>

/** What a registry needs. */
export interface SegmentRegistryOptions extends SegmentsPlace {
  /** Where the table of the saved segments is. */
  readonly engine: Engine
  /** The segments that are defined in code, by key. */
  readonly defined: ReadonlyMap<string, SegmentContext>
  /** How old what is known may become, in milliseconds. */
  readonly ttl: number
  readonly log?: { warn(object: object, message: string): void } | undefined
}

interface Known {
  readonly segment: SegmentContext
  readonly predicate: Predicate
  /** As text: whether it is the same as before. */
  readonly data: string
}

/** What clients of ours make up must not fill the memory. */
const MOST_UNKNOWN = 1_000

/**
 * The segments that this process knows: those that are defined in code, and those that were saved. They are read once and then
 * kept up to date, by notifications and by asking every `ttl`. When the database cannot be asked, the last ones go on serving.
 */
export class SegmentRegistry {
  readonly #options: SegmentRegistryOptions
  readonly #defined: ReadonlyMap<string, Known>
  readonly #unknown = new Set<string>()
  readonly #refresher: Refresher<ReadonlyMap<string, Known>>
  #known: ReadonlyMap<string, Known>

  constructor(options: SegmentRegistryOptions) {
    const { engine, tables, ttl, log } = options
    this.#options = options
    this.#defined = new Map([...options.defined].map(([key, segment]) => [key, known(segment)]))
    this.#known = this.#defined
    this.#refresher = new Refresher({
      read: () => this.#read(),
      apply: now => {
        this.#known = now
      },
      ttl,
      subscribe: onChange => listen(engine, tables.channel, onChange),
      onFailure(err, isFirst) {
        if (isFirst) log?.warn({ err }, 'the segments could not be read; the last ones go on serving')
      },
    })
  }

  /** Why the saved segments could not be read, the last time. */
  get failure(): unknown {
    return this.#refresher.failure
  }

  get(key: string): SegmentContext | undefined {
    return this.#known.get(key)?.segment
  }

  list(): SegmentContext[] {
    return [...this.#known.values()].map(({ segment }) => segment)
  }

  /** Whether somebody is in a segment. One that does not exist has nobody in it, and is warned of once. */
  isIn(key: string, identity: Identity | undefined): boolean {
    const found = this.#known.get(key)
    if (found === undefined) {
      this.#noteUnknown(key)
      return false
    }
    return matches(found.predicate, this.#contextOf(identity))
  }

  /** The keys of all segments that somebody is in. */
  keysOf(identity: Identity | undefined): string[] {
    const context = this.#contextOf(identity)
    return [...this.#known].filter(([, { predicate }]) => matches(predicate, context)).map(([key]) => key)
  }

  #contextOf(identity: Identity | undefined): EvaluationContext {
    const { environment } = this.#options
    return identity === undefined ? { environment } : { environment, identity }
  }

  #noteUnknown(key: string): void {
    if (this.#unknown.has(key) || this.#unknown.size >= MOST_UNKNOWN) return
    this.#unknown.add(key)
    this.#options.log?.warn({ segment: key }, 'a segment was asked for that does not exist; nobody is in it')
  }

  /**
   * Reads the saved segments. Calls at the same time share one question; a call during it asks once more.
   *
   * @throws what the database throws; what is known stays
   */
  sync(): Promise<void> {
    return this.#refresher.refresh()
  }

  async #read(): Promise<ReadonlyMap<string, Known>> {
    const before = this.#known
    const saved = await listSaved(this.#options.engine.orm.em.fork(), this.#options)
    const now = new Map(this.#defined)
    for (const { segment } of saved) {
      if (now.has(segment.key)) continue
      const old = before.get(segment.key)
      const isSame = old !== undefined && old.data === JSON.stringify(segment)
      now.set(segment.key, isSame ? old : known(segment))
    }
    return now
  }

  /**
   * Keeps the segments up to date until {@link close}.
   *
   * @returns when they have been read, or when that has failed or takes longer than `ttl`: then the next `ttl` tries again
   */
  start(): Promise<void> {
    return this.#refresher.start()
  }

  /** Ends what {@link start} has begun. */
  close(): Promise<void> {
    return this.#refresher.close()
  }
}

function known(segment: SegmentContext): Known {
  return { segment, predicate: compileSegment(segment), data: JSON.stringify(segment) }
}

/**
 * Whom a flag's entries mean: `identifier` and `key` are the identity's, as texts, and all entries are traits. Without an
 * identifier nobody is in a percentage of identities.
 */
export function identityOfEntries(entries: SegmentEntries): Identity {
  const textOf = (value: SegmentEntries[string]) => (value == null ? undefined : String(value))
  return {
    // The evaluator takes it for missing, as for somebody who is not known.
    identifier: textOf(entries.identifier) as string,
    key: textOf(entries.key) ?? null,
    traits: entries as Traits,
  }
}
