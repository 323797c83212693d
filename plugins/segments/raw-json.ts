import type { RawJson } from './segment.ts'

// JSON.rawJSON and the third argument of a reviver are in every Node that this package supports, but not in the types of
// TypeScript's library that it is compiled with.

interface JsonWithSources {
  rawJSON(text: string): RawJson
  isRawJSON(value: unknown): value is RawJson
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown
}

const json = JSON as unknown as JsonWithSources

/** A number that `JSON.stringify` writes as it is spelled here. */
export function rawJson(text: string): RawJson {
  return json.rawJSON(text)
}

/** Whether `JSON.rawJSON` has made it. */
export function isRawJson(value: unknown): value is RawJson {
  return json.isRawJSON(value)
}

/**
 * `JSON.parse`, with every number as `read` makes it.
 *
 * @param read gets the number as JavaScript has it, and as the text spells it
 * @throws SyntaxError when `text` is not JSON
 */
export function parseNumbers(text: string, read: (value: number, source: string) => unknown): unknown {
  return json.parse(text, (_key, value, context) =>
    typeof value === 'number' && context.source !== undefined ? read(value, context.source) : value,
  )
}
