import type { FastifyRequest } from 'fastify'
import type { FlagClient, Snapshot } from './client.ts'
import { flagAsked } from './diagnostics.ts'
import { errors } from './errors.ts'
import type { Entries, Flag, Reason, Verdict } from './flag.ts'
import { type JsonValue, kindOf } from './flag-data.ts'

/** Declare the names of your flags here, and another name does not compile: `interface SqlAssistFlags { 'new-checkout': boolean }`. */
// biome-ignore lint/suspicious/noEmptyInterface: applications add their flags
export interface SqlAssistFlags {}

/** The names of the declared flags; any text when none is declared. */
export type FlagName = keyof SqlAssistFlags extends never ? string : keyof SqlAssistFlags & string

/** What a flag is for somebody, in the words of OpenFeature. */
export interface FlagDetails<V extends JsonValue> {
  readonly flagKey: string
  readonly value: V
  readonly reason: Reason
  readonly variant?: string
  readonly errorCode?: 'FLAG_NOT_FOUND' | 'TYPE_MISMATCH' | 'GENERAL'
  readonly version?: number
}

/** What a default of one type stands for: `false` for any boolean. */
type Widened<V extends JsonValue> = V extends boolean
  ? boolean
  : V extends number
    ? number
    : V extends string
      ? string
      : V

/**
 * The flags for one request or job: they do not change while it lasts. Asking never throws (but in strict mode) and never
 * touches the database.
 */
export class FlagContext {
  readonly #client: FlagClient
  readonly #snapshot: Snapshot
  readonly #request: FastifyRequest | undefined
  #entries: Entries

  /** @param request whose flags they are, for diagnostics */
  constructor(client: FlagClient, entries: Entries = {}, request?: FastifyRequest) {
    this.#client = client
    this.#request = request
    this.#snapshot = client.snapshot
    this.#entries = entries
  }

  /** What is known of whoever asks. */
  get(key: string): Entries[string] {
    return this.#entries[key]
  }

  /** Says more of whoever asks. */
  set(key: string, value: Entries[string]): this {
    this.#entries = { ...this.#entries, [key]: value }
    return this
  }

  /** @param entries more of whoever asks, for this question; they win over those of the context */
  isEnabled(name: FlagName, entries?: Entries): boolean {
    const flag = this.#snapshot.flags.get(name)
    if (flag === undefined) return this.#unknown(name, false)
    flag.isAsked = true
    const known = entries === undefined ? this.#entries : { ...this.#entries, ...entries }
    let is = false
    try {
      is = flag.isEnabled(known, this.#snapshot)
    } catch (error) {
      this.#client.noteBroken(flag, error)
    }
    if (flagAsked.hasSubscribers) this.#tell(name, is, this.#reasonOf(flag, known))
    return is
  }

  isDisabled(name: FlagName, entries?: Entries): boolean {
    return !this.isEnabled(name, entries)
  }

  /**
   * The value of the flag's variant; of a flag without variants whether it is on. The default where it has none: it is off,
   * or not meant for this one and has no variant `otherwise`.
   */
  value<const V extends JsonValue>(name: FlagName, fallback: V, entries?: Entries): Widened<V> {
    return this.details(name, fallback, entries).value
  }

  /** The value, and why it is that. A flag that has none, is unknown or of another type has the default. */
  details<const V extends JsonValue>(
    name: FlagName,
    fallback: V,
    entries?: Entries,
  ): FlagDetails<Widened<V>> {
    const value = fallback as Widened<V>
    const flag = this.#snapshot.flags.get(name)
    if (flag === undefined) {
      this.#unknown(name, value)
      return { flagKey: name, value, reason: 'ERROR', errorCode: 'FLAG_NOT_FOUND' }
    }
    flag.isAsked = true
    const details = this.#detailsOf(flag, value, entries)
    if (flagAsked.hasSubscribers) this.#tell(name, details.value, details.reason)
    return details
  }

  #detailsOf<V extends JsonValue>(flag: Flag, value: V, entries: Entries | undefined): FlagDetails<V> {
    const { name } = flag
    const known = entries === undefined ? this.#entries : { ...this.#entries, ...entries }
    let verdict: Verdict
    try {
      verdict = flag.evaluate(known, this.#snapshot)
    } catch (error) {
      this.#client.noteBroken(flag, error)
      return { flagKey: name, value, reason: 'ERROR', errorCode: 'GENERAL', version: flag.version }
    }
    const said = { flagKey: name, reason: verdict.reason, version: flag.version }
    // A flag without variants is a boolean, which is false when it is off. One with variants may have
    // a variant for those whom it is not meant for.
    const isValue = verdict.enabled || verdict.variant !== undefined || flag.data.variants == null
    if (!isValue) return { ...said, value }
    if (kindOf(verdict.value) !== kindOf(value)) {
      return { ...said, value, reason: 'ERROR', errorCode: 'TYPE_MISMATCH' }
    }
    return {
      ...said,
      // A copy: who changes what he was given must not change the flag for everybody.
      value: (typeof verdict.value === 'object'
        ? structuredClone(verdict.value)
        : verdict.value) as typeof value,
      ...(verdict.variant === undefined ? {} : { variant: verdict.variant }),
    }
  }

  #reasonOf(flag: Flag, known: Entries): Reason {
    try {
      return flag.evaluate(known, this.#snapshot).reason
    } catch {
      return 'ERROR'
    }
  }

  #tell(name: string, value: JsonValue, reason: Reason): void {
    flagAsked.publish({ source: this.#client.source, request: this.#request, name, value, reason })
  }

  /** @param value what it is taken for */
  #unknown(name: string, value: JsonValue): false {
    this.#client.noteUnknown(name)
    if (flagAsked.hasSubscribers) this.#tell(name, value, 'ERROR')
    if (this.#client.strict) throw new errors.SQLA_ERR_FLAG_UNKNOWN(name)
    return false
  }
}
