import { errors } from './errors.ts'

/** Only these actors: those whose entry `actor_key` is one of `actor_ids`. */
export interface EnabledForActors {
  readonly actor_key: string
  readonly actor_ids: readonly string[]
}

/** Only a share of the actors, told apart by their entry `actor_key`. */
export interface EnabledForPercentage {
  readonly actor_key: string
  /** 0 to 100. */
  readonly percentage: number
}

/** A value of JSON. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

/** One of several values of a flag. */
export interface Variant {
  readonly name: string
  readonly value: JsonValue
  /** Its share, relative to the weights of the others. */
  readonly weight: number
}

/** Which variant an actor gets. */
export interface Variants {
  readonly actor_key: string
  readonly options: readonly Variant[]
  /**
   * The name of the option for those whom a flag that is on is not meant for. Without it they get the default of the
   * caller. Its weight may be 0, so that nobody else gets it.
   */
  readonly otherwise?: string | null
}

/**
 * A flag as it is stored: flypper's JSON and what goes beyond it. flypper reads such a flag and does not see the rest;
 * when flypper saves it, the rest is gone.
 */
export interface FlagData {
  readonly name: string
  /** A tombstone: the flag is gone, and clients that had it learn of it. */
  readonly deleted: boolean
  readonly enabled: boolean
  readonly enabled_for_actors: EnabledForActors | null
  readonly enabled_for_percentage_of_actors: EnabledForPercentage | null
  /** Seconds since 1970. */
  readonly updated_at: number
  /** Counts all changes of all flags: of two changes, the later one has the greater version. */
  readonly version: number
  /** How a percentage picks its actors. Without it as flypper does. */
  readonly hash?: 'flypper' | 'salted'
  readonly variants?: Variants | null
  /** Segments of which an actor must be in one. */
  readonly segments?: readonly string[] | null
  /** Flags that must be enabled, too, for the same entries. */
  readonly requires?: readonly string[] | null
  /** The flag is off before this time: ISO 8601. */
  readonly from?: string | null
  /** The flag is off from this time on: ISO 8601. */
  readonly until?: string | null
  readonly owner?: string | null
  readonly description?: string | null
}

/** What a flag is saved with; what is left out is off, null, or what the flag had. */
export type FlagInput = { readonly name: string } & Partial<Omit<FlagData, 'name' | 'version' | 'updated_at'>>

const LONGEST_NAME = 255

/**
 * The data of a flag, complete and checked.
 *
 * @param input what is given
 * @param before what the flag had; undefined for a new one, whose percentage then is salted with its name
 * @throws SQLA_ERR_FLAG_INVALID (400)
 */
export function completeFlag(
  input: FlagInput,
  before: FlagData | undefined,
): Omit<FlagData, 'version' | 'updated_at'> {
  if (!isObject(input)) throw new errors.SQLA_ERR_FLAG_INVALID('', 'it must be an object')
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
  const data = {
    name: input.name,
    deleted: false,
    enabled: false,
    enabled_for_actors: null,
    enabled_for_percentage_of_actors: null,
    ...(before ?? { hash: 'salted' as const }),
    ...given,
  }
  const problem = problemOf(data)
  if (problem !== undefined) {
    const shown = typeof input.name === 'string' ? input.name.slice(0, 80) : ''
    throw new errors.SQLA_ERR_FLAG_INVALID(shown, problem)
  }
  const { version: _version, updated_at: _updated, ...rest } = data as FlagData
  return rest
}

function problemOf(data: Omit<FlagData, 'version' | 'updated_at'>): string | undefined {
  const { name, enabled, deleted, hash } = data
  if (typeof name !== 'string' || name.trim() === '') return 'it needs a name'
  // Some databases take 'a' and 'a ' for the same.
  if (name !== name.trim()) return 'its name begins or ends with a space'
  if (!name.isWellFormed()) return 'its name has half of a character'
  if (name.length > LONGEST_NAME) return `its name has more than ${LONGEST_NAME} characters`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  if (/[\u0000-\u001f\u007f]/.test(name)) return 'its name has control characters'
  if (typeof enabled !== 'boolean') return 'enabled must be true or false'
  if (typeof deleted !== 'boolean') return 'deleted must be true or false'
  if (hash !== undefined && hash !== 'flypper' && hash !== 'salted')
    return "hash must be 'flypper' or 'salted'"
  return (
    problemOfActors(data.enabled_for_actors) ??
    problemOfPercentage(data.enabled_for_percentage_of_actors) ??
    problemOfVariants(data.variants) ??
    problemOfNames('segments', data.segments) ??
    problemOfNames('requires', data.requires) ??
    (data.requires?.includes(name) ? 'it cannot require itself' : undefined) ??
    problemOfTime('from', data.from) ??
    problemOfTime('until', data.until) ??
    (data.from != null && data.until != null && Date.parse(data.until) <= Date.parse(data.from)
      ? 'until must be later than from'
      : undefined) ??
    problemOfText('owner', data.owner) ??
    problemOfText('description', data.description)
  )
}

function problemOfActors(actors: EnabledForActors | null): string | undefined {
  if (actors === null) return undefined
  if (!isObject(actors) || !isText(actors.actor_key)) return 'enabled_for_actors needs an actor_key'
  const { actor_ids: ids } = actors
  if (!Array.isArray(ids) || !ids.every(id => typeof id === 'string')) {
    return 'enabled_for_actors.actor_ids must be a list of strings'
  }
  return undefined
}

function problemOfPercentage(share: EnabledForPercentage | null): string | undefined {
  if (share === null) return undefined
  if (!isObject(share) || !isText(share.actor_key)) {
    return 'enabled_for_percentage_of_actors needs an actor_key'
  }
  const { percentage } = share
  if (typeof percentage !== 'number' || !(percentage >= 0 && percentage <= 100)) {
    return 'enabled_for_percentage_of_actors.percentage must be a number from 0 to 100'
  }
  return undefined
}

function problemOfVariants(variants: Variants | null | undefined): string | undefined {
  if (variants == null) return undefined
  if (!isObject(variants) || !isText(variants.actor_key)) return 'variants need an actor_key'
  const { options, otherwise } = variants
  if (!Array.isArray(options) || options.length === 0 || !options.every(isObject))
    return 'variants.options must be a list of variants'
  if (!options.every(({ name }) => isText(name))) return 'every variant needs a name'
  if (new Set(options.map(({ name }) => name)).size < options.length) {
    return 'two variants have the same name'
  }
  if (!options.every(({ weight }) => Number.isFinite(weight) && weight >= 0)) {
    return 'the weight of a variant must be a number, 0 or more'
  }
  if (!options.some(({ weight }) => weight > 0)) return 'one variant at least needs a weight above 0'
  if (!options.every(({ value }) => isJson(value))) return 'the value of a variant must be JSON'
  if (new Set(options.map(({ value }) => kindOf(value))).size > 1) {
    return 'the values of all variants must be of one type'
  }
  if (otherwise != null && !options.some(({ name }) => name === otherwise)) {
    return 'variants.otherwise must be the name of one of the options'
  }
  return undefined
}

/** The types that OpenFeature tells apart. */
export function kindOf(value: unknown): 'boolean' | 'string' | 'number' | 'object' {
  const type = typeof value
  return type === 'boolean' || type === 'string' || type === 'number' ? type : 'object'
}

function problemOfNames(what: string, names: readonly string[] | null | undefined): string | undefined {
  if (names == null) return undefined
  return Array.isArray(names) && names.every(isText) ? undefined : `${what} must be a list of names`
}

function problemOfTime(what: string, time: string | null | undefined): string | undefined {
  if (time == null) return undefined
  const fine = typeof time === 'string' && /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/.test(time)
  return fine && !Number.isNaN(Date.parse(time))
    ? undefined
    : `${what} must be a time with its zone, such as 2026-01-31T12:00:00Z`
}

function problemOfText(what: string, text: string | null | undefined): string | undefined {
  if (text == null) return undefined
  return typeof text === 'string' && text.length <= 10_000 && !text.includes('\0')
    ? undefined
    : `${what} must be a text of at most 10,000 characters`
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0')
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

const DEEPEST = 100

function isJson(value: unknown, depth = 0): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth === DEEPEST) return false
  return Object.values(value).every(one => isJson(one, depth + 1))
}
