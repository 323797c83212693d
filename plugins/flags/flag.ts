import type { FlagData, JsonValue, Variant } from './flag-data.ts'
import { flypperBucket, saltedShare } from './hash.ts'

/** What is known of whoever asks. A number is the same actor as its text. */
export type Entries = Readonly<Record<string, string | number | boolean | null | undefined>>

/** Why a flag is what it is, in the words of OpenFeature. */
export type Reason = 'STATIC' | 'DISABLED' | 'TARGETING_MATCH' | 'SPLIT' | 'DEFAULT' | 'ERROR'

/** What a flag is for somebody. */
export interface Verdict {
  readonly enabled: boolean
  readonly reason: Reason
  /**
   * The name of the variant: of one that is enabled, or of `otherwise` where the flag is on, but not for this one.
   */
  readonly variant: string | undefined
  /** The value of the variant; without one whether the flag is enabled. */
  readonly value: JsonValue
}

/** What a flag needs to know besides itself. */
export interface Surroundings {
  /** The other flags. */
  readonly flags: ReadonlyMap<string, Flag>
  /** Whether somebody is in a segment. Without it nobody is in any. */
  readonly isInSegment?: ((segment: string, entries: Entries) => boolean) | undefined
}

const ALONE: Surroundings = { flags: new Map() }

/**
 * A flag: off, on for everybody, or on for some.
 *
 * @example
 * ```ts
 * const flag = new Flag({
 *   name: 'new-checkout', version: 1, updated_at: 0, deleted: false, enabled: true, enabled_for_actors: null,
 *   enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 25 },
 * })
 * flag.isEnabled({ user_id: 42 })
 * ```
 */
export class Flag {
  readonly data: FlagData
  readonly name: string
  readonly version: number
  /** Whether it is a tombstone. */
  readonly deleted: boolean
  /** Whether somebody has asked for it since a {@link FlagClient} looked last. */
  isAsked = false
  readonly #isOn: boolean
  /** Whether it is on for everybody, whenever it is on. */
  readonly #isForAll: boolean
  readonly #actorIds: ReadonlySet<string> | undefined
  readonly #from: number
  readonly #until: number
  readonly #variants: readonly Variant[]
  readonly #weight: number
  /** For whom the flag is not meant. */
  readonly #otherwise: Variant | undefined

  /** @param data as it is stored; without `hash` a percentage picks the actors that flypper picks */
  constructor(data: FlagData) {
    this.data = data
    this.name = data.name
    this.version = data.version
    this.deleted = data.deleted
    this.#isOn = data.enabled === true && !data.deleted
    // Others write to the table, too: what is no list has nobody in it.
    this.#actorIds = data.enabled_for_actors ? new Set(listOf(data.enabled_for_actors.actor_ids)) : undefined
    this.#from = data.from == null ? Number.NEGATIVE_INFINITY : Date.parse(data.from)
    this.#until = data.until == null ? Number.POSITIVE_INFINITY : Date.parse(data.until)
    const options = listOf(data.variants?.options).filter(one => typeof one === 'object' && one !== null)
    this.#variants = options.filter(({ weight }) => weight > 0)
    this.#weight = this.#variants.reduce((sum, { weight }) => sum + weight, 0)
    const { otherwise } = data.variants ?? {}
    this.#otherwise = otherwise == null ? undefined : options.find(({ name }) => name === otherwise)
    this.#isForAll =
      this.#actorIds === undefined &&
      data.enabled_for_percentage_of_actors == null &&
      data.from == null &&
      data.until == null &&
      !data.requires?.length &&
      !data.segments?.length
  }

  /**
   * Whether it is on for somebody. All conditions of the flag must hold: actors, percentage, segments, required flags
   * and times.
   */
  isEnabled(entries: Entries = {}, surroundings: Surroundings = ALONE): boolean {
    return this.#isOn && (this.#isForAll || this.#isFor(entries, surroundings, undefined))
  }

  /** What it is for somebody, and why. */
  evaluate(entries: Entries = {}, surroundings: Surroundings = ALONE): Verdict {
    if (!this.#isOn) return { enabled: false, reason: 'DISABLED', variant: undefined, value: false }
    if (!this.isEnabled(entries, surroundings)) {
      const other = this.#otherwise
      return {
        enabled: false,
        reason: 'DEFAULT',
        variant: other?.name,
        value: other === undefined ? false : other.value,
      }
    }
    const variant = this.#variantFor(entries)
    const { enabled_for_percentage_of_actors: share } = this.data
    const isSplit = share != null || this.#variants.length > 1
    const reason = isSplit ? 'SPLIT' : this.#isForAll ? 'STATIC' : 'TARGETING_MATCH'
    return {
      enabled: true,
      reason,
      variant: variant?.name,
      value: variant === undefined ? true : variant.value,
    }
  }

  /** @param known what has been found out of other flags for this question */
  #isFor(entries: Entries, surroundings: Surroundings, known: Map<string, boolean> | undefined): boolean {
    const { enabled_for_actors: actors, enabled_for_percentage_of_actors: share, segments } = this.data
    if (actors != null && this.#actorIds !== undefined) {
      const id = actorOf(entries, actors.actor_key)
      if (id === undefined || !this.#actorIds.has(id)) return false
    }
    if (share != null && !this.#isAmong(share.percentage, actorOf(entries, share.actor_key))) return false
    if (this.#from !== Number.NEGATIVE_INFINITY || this.#until !== Number.POSITIVE_INFINITY) {
      const now = Date.now()
      if (now < this.#from || now >= this.#until) return false
    }
    if (segments?.length && !segments.some(one => surroundings.isInSegment?.(one, entries) ?? false))
      return false
    return !this.data.requires?.length || this.#hasRequired(entries, surroundings, known ?? new Map())
  }

  #hasRequired(entries: Entries, surroundings: Surroundings, known: Map<string, boolean>): boolean {
    // Whoever comes back here has gone in a circle: flags that require each other are off.
    known.set(this.name, false)
    return listOf(this.data.requires).every(name => {
      const found = known.get(name)
      if (found !== undefined) return found
      const flag = surroundings.flags.get(name)
      if (flag === undefined) return false
      flag.isAsked = true
      const is = flag.#isOn && (flag.#isForAll || flag.#isFor(entries, surroundings, known))
      known.set(name, is)
      return is
    })
  }

  #isAmong(percentage: number, actorId: string | undefined): boolean {
    if (percentage === 100) return true
    // A blank percentage is no percentage.
    if (actorId === undefined || typeof percentage !== 'number') return false
    return this.data.hash === 'salted'
      ? saltedShare(this.name, actorId) * 100 < percentage
      : flypperBucket(actorId) / 100 <= percentage
  }

  /** The variant of an actor: always the same, as long as the weights are. Without an actor the first. */
  #variantFor(entries: Entries): Variant | undefined {
    const { variants } = this.data
    if (variants == null) return undefined
    const actorId = actorOf(entries, variants.actor_key)
    if (actorId === undefined) return this.#variants[0]
    let place = saltedShare(`${this.name}:variant`, actorId) * this.#weight
    return (
      this.#variants.find(({ weight }) => {
        place -= weight
        return place < 0
      }) ?? this.#variants.at(-1)
    )
  }
}

function actorOf(entries: Entries, key: string): string | undefined {
  const value = entries[key]
  if (typeof value === 'string') return value
  // Entries often come from outside, where they may be objects.
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function listOf<T>(list: readonly T[] | null | undefined): readonly T[] {
  return Array.isArray(list) ? list : []
}
