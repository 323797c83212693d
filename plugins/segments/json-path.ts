import { JSONPathEnvironment, type JSONPathQuery, type JSONValue, jsonpath } from 'json-p3'
import { isRawJson } from './raw-json.ts'
import { stringifyTraits } from './traits-json.ts'

/** Only what begins with this may be a path; the rest are names of traits. */
const PREFIX = '$.'

const environment = new JSONPathEnvironment()

/** A JSONPath (RFC 9535) into the evaluation context. */
export class JsonPath {
  /** As the segment has it. */
  readonly text: string
  /** The names that lead there, when it consists of names alone: `['identity', 'traits', 'age']`. */
  readonly names: readonly string[] | undefined
  /** Whether it stays outside of the identity, so that it leads to the same value for all. */
  readonly isConstant: boolean
  readonly #query: JSONPathQuery

  private constructor(text: string, query: JSONPathQuery) {
    const names = query.segments.map(nameOf)
    this.text = text
    this.names = names.every(name => name !== undefined) ? Object.freeze(names) : undefined
    // A filter may lead from `$` to the identity again.
    this.isConstant = names[0] !== undefined && names[0] !== 'identity' && !hasFilter(query)
    this.#query = query
    Object.freeze(this)
  }

  /**
   * Reads a condition's property.
   *
   * @returns undefined when it is no path, but the name of a trait
   */
  static parse(property: string): JsonPath | undefined {
    if (!property.startsWith(PREFIX)) return undefined
    try {
      return new JsonPath(property, environment.compile(property))
    } catch {
      return undefined
    }
  }

  /**
   * The first value that the path leads to.
   *
   * @returns undefined when there is none
   * @throws whatever JSON.stringify throws, when the context cannot be JSON
   */
  find(context: unknown): unknown {
    if (this.names !== undefined) return valueAt(context, this.names)
    // The library knows nothing of JSON.rawJSON and bigints: it is asked for the place in a plain copy, and the value is
    // taken from the original.
    const copy: JSONValue = JSON.parse(stringifyTraits(context as Record<string, never>))
    const node = this.#query.match(copy)
    return node === undefined ? undefined : valueAt(context, node.location)
  }
}

type Segment = JSONPathQuery['segments'][number]

/** The one name that a step of a path selects; undefined when it selects otherwise. */
function nameOf(segment: Segment): string | undefined {
  const [selector, ...others] = segment.selectors
  const isDescendant = segment.toString().startsWith('..')
  if (isDescendant || others.length > 0) return undefined
  return selector instanceof jsonpath.selectors.NameSelector ? selector.name : undefined
}

function hasFilter(query: JSONPathQuery): boolean {
  return query.segments.some(segment =>
    segment.selectors.some(selector => selector instanceof jsonpath.selectors.FilterSelector),
  )
}

/**
 * Follows names, and places in arrays, into a value of JSON.
 *
 * @returns undefined when they lead nowhere; what objects inherit is not there
 */
export function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let at = value
  for (const step of path) {
    const isStep = typeof at === 'object' && at !== null && !isRawJson(at)
    // A name does not lead into an array, nor a place into an object.
    if (!isStep || Array.isArray(at) !== (typeof step === 'number') || !Object.hasOwn(at as object, step)) {
      return undefined
    }
    at = (at as Record<string | number, unknown>)[step]
  }
  return at
}
