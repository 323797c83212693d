import { jsonbNumber } from './json-numbers.ts'
import { pythonFloatText } from './python-numbers.ts'
import { isRawJson } from './raw-json.ts'

/** What a looked-up value is to a condition. */
export type Value =
  | { readonly kind: 'missing' }
  | { readonly kind: 'integer'; readonly integer: bigint }
  | { readonly kind: 'float'; readonly float: number }
  | { readonly kind: 'boolean'; readonly boolean: boolean }
  | { readonly kind: 'text'; readonly text: string }
  /** An array or an object. */
  | { readonly kind: 'composite' }

/** No value, or null. */
export const MISSING: Value = Object.freeze({ kind: 'missing' })
const COMPOSITE: Value = Object.freeze({ kind: 'composite' })

/** What is longer is a text, though it may be all digits: no cast of it can then fail or take long, here and in SQL. */
export const LONGEST_NUMBER = 300

// Not \d, and no $ alone: both would let more in than the reference does.
const INTEGER = /^-?[0-9]+$/
const FLOAT = /^-?[0-9]+\.[0-9]+$/

/**
 * Reads a value of JSON as the reference engine does: texts that look like numbers are numbers, also in an identifier. It
 * reads the text that jsonb prints with `->>`, so that SQL sees the same.
 *
 * @example
 * classify('01')                // { kind: 'integer', integer: 1n }
 * classify(JSON.rawJSON('1.0')) // { kind: 'float', float: 1 }
 */
export function classify(value: unknown): Value {
  switch (typeof value) {
    case 'string':
      return classifyText(value)
    case 'number':
      // JSON has neither NaN nor Infinity: JSON.stringify writes null.
      return Number.isFinite(value) ? classifyText(jsonbNumber(String(value))) : MISSING
    case 'bigint':
      return classifyText(String(value))
    case 'boolean':
      return { kind: 'boolean', boolean: value }
    case 'object':
      return value === null ? MISSING : classifyObject(value)
    default:
      return MISSING
  }
}

function classifyObject(value: object): Value {
  if (isRawJson(value)) {
    const first = value.rawJSON[0] as string
    return /[-0-9]/.test(first)
      ? classifyText(jsonbNumber(value.rawJSON))
      : classify(JSON.parse(value.rawJSON))
  }
  // A Date is stored as what JSON.stringify makes of it.
  const { toJSON } = value as { toJSON?: unknown }
  return typeof toJSON === 'function' ? classify(toJSON.call(value)) : COMPOSITE
}

function classifyText(text: string): Value {
  if (text.length > LONGEST_NUMBER) return { kind: 'text', text }
  if (INTEGER.test(text)) {
    return { kind: 'integer', integer: text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text) }
  }
  // jsonb has no negative zero; + 0 makes it the other one.
  if (FLOAT.test(text)) return { kind: 'float', float: Number(text) + 0 }
  return { kind: 'text', text }
}

/**
 * What Python's `str()` prints for a value.
 *
 * @returns undefined for what is missing or composite
 */
export function pythonText(value: Value): string | undefined {
  switch (value.kind) {
    case 'integer':
      return String(value.integer)
    case 'float':
      return pythonFloatText(value.float)
    case 'boolean':
      return value.boolean ? 'True' : 'False'
    case 'text':
      return value.text
    default:
      return undefined
  }
}
