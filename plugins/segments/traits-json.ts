import { isRawJson, parseNumbers, rawJson } from './raw-json.ts'
import type { Traits, TraitValue } from './segment.ts'
import { classify } from './values.ts'

/**
 * Reads traits, keeping the numbers that JavaScript would change: `1.0`, which is a float and not the integer 1, and whole
 * numbers beyond 2⁵³. Those become what `JSON.rawJSON` makes; all others are numbers as usual.
 *
 * @param json an object; anything else that is JSON has no traits
 * @returns the traits; `__proto__` is a trait like any other
 * @throws SyntaxError when it is not JSON
 *
 * @example
 * const traits = parseTraits('{"score":1.0,"age":47}')
 * stringifyTraits(traits) // '{"score":1.0,"age":47}'
 */
export function parseTraits(json: string): Traits {
  const parsed = parseNumbers(json, (value, source) => (isSame(value, source) ? value : rawJson(source)))
  const isObject =
    typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) && !isRawJson(parsed)
  return isObject ? (parsed as Record<string, TraitValue>) : {}
}

/** Whether conditions read the number like its spelling. */
function isSame(value: number, source: string): boolean {
  const a = classify(value)
  const b = classify(rawJson(source))
  if (a.kind === 'integer') return b.kind === 'integer' && a.integer === b.integer
  return a.kind === 'float' && b.kind === 'float' && a.float === b.float
}

/**
 * Writes traits for a column of JSON, as {@link parseTraits} reads them; a bigint is a number there.
 *
 * @returns JSON; what is undefined is left out, NaN and Infinity are null
 */
export function stringifyTraits(traits: Traits): string {
  return JSON.stringify(traits, (_key, value: unknown) =>
    typeof value === 'bigint' ? rawJson(String(value)) : value,
  )
}
