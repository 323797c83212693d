import { isRawJson } from './raw-json.ts'

/** Deeper values would end the stack of whoever writes them as JSON. */
const DEEPEST = 64
/** Digits before and after the point that PostgreSQL's numeric has at most. */
const DIGITS = 131_072
const DECIMALS = 16_383

/**
 * What a jsonb column refuses: texts with NUL or half a surrogate pair, numbers without end, what is no JSON.
 *
 * @param value what is to be stored
 * @param at what it is called in the message
 * @returns what is wrong, and where; undefined when nothing is
 */
export function problemOfJson(value: unknown, at: string, depth = 0): string | undefined {
  if (depth > DEEPEST) return `${at} is nested more than ${DEEPEST} levels deep`
  switch (typeof value) {
    case 'string':
      return problemOfText(value, at)
    case 'number':
      return Number.isFinite(value) ? undefined : `${at} is ${value}, which is no number of JSON`
    case 'bigint':
      return problemOfNumber(String(value), at)
    case 'boolean':
    case 'undefined':
      return undefined
    case 'object':
      return value === null ? undefined : problemOfObject(value, at, depth)
    default:
      return `${at} is a ${typeof value}, which is no JSON`
  }
}

/** What a column of text refuses. */
export function problemOfText(text: string, at: string): string | undefined {
  if (text.includes('\0')) return `${at} has a NUL, which PostgreSQL does not store`
  return text.isWellFormed() ? undefined : `${at} has half a surrogate pair, which PostgreSQL does not store`
}

/** What an index refuses: a row of one has at most 2,704 bytes, with the environment's key. */
export const MOST_BYTES = { environment: 500, key: 2_000 } as const

/** What a column of text with an index refuses. */
export function problemOfKey(text: string, at: string, most: number = MOST_BYTES.key): string | undefined {
  if (Buffer.byteLength(text) > most) return `${at} has more than ${most} bytes`
  return problemOfText(text, at)
}

function problemOfObject(value: object, at: string, depth: number): string | undefined {
  if (isRawJson(value)) return problemOfRaw(value.rawJSON, at, depth)
  const isPlain = [null, Object.prototype, Array.prototype].includes(Object.getPrototypeOf(value))
  if (!isPlain) return `${at} is a ${value.constructor?.name ?? 'object'}, which is no JSON`
  for (const [key, item] of Object.entries(value)) {
    const name = JSON.stringify(key.slice(0, 60))
    const problem =
      problemOfText(key, `${at}: the name ${name}`) ?? problemOfJson(item, `${at}: ${name}`, depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}

function problemOfRaw(text: string, at: string, depth: number): string | undefined {
  const value: unknown = JSON.parse(text)
  return typeof value === 'number' ? problemOfNumber(text, at) : problemOfJson(value, at, depth)
}

function problemOfNumber(text: string, at: string): string | undefined {
  const [, integer = '', decimals = '', exponent = '0'] =
    /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const isTooLong =
    integer.length + Math.max(Number(exponent), 0) > DIGITS ||
    decimals.length - Math.min(Number(exponent), 0) > DECIMALS
  return isTooLong ? `${at} is a number with more digits than PostgreSQL stores` : undefined
}
