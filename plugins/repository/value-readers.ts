/** A JSON schema of one value of a query string. */
export interface ValueSchema {
  readonly type: 'string' | 'integer' | 'number' | 'boolean'
  readonly format?: 'date-time' | 'date' | 'uuid'
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly enum?: readonly (string | number)[]
}

/** How one value is described, and read from what a client sent. */
export interface ValueReader {
  readonly schema: ValueSchema
  /** Completes "must be …". */
  readonly expected: string
  /** @returns the value to compare with; undefined: it is none */
  read(value: unknown): unknown
}

export function integerReader(minimum: number, maximum: number): ValueReader {
  return {
    schema: { type: 'integer', minimum, maximum },
    expected: `a whole number from ${minimum} to ${maximum}`,
    read: value => {
      const number = matches(/^-?\d{1,16}$/, value) ? Number(value) : value
      const fine = Number.isInteger(number) && (number as number) >= minimum && (number as number) <= maximum
      return fine ? (number as number) + 0 : undefined
    },
  }
}

/** 64 bits, which a number of JSON would round. */
export function bigintReader(mode: 'string' | 'bigint'): ValueReader {
  return {
    schema: { type: 'string', pattern: '^-?[0-9]{1,19}$' },
    expected: 'a whole number of 64 bits',
    read: value => {
      const given =
        matches(/^-?\d{1,19}$/, value) || Number.isSafeInteger(value) ? BigInt(value as string) : value
      if (typeof given !== 'bigint' || BigInt.asIntN(64, given) !== given) return undefined
      return mode === 'string' ? String(given) : given
    },
  }
}

export function numberReader(): ValueReader {
  return {
    schema: { type: 'number' },
    expected: 'a number',
    read: value => {
      const number = matches(/^-?\d{1,400}(\.\d{1,400})?(e[+-]?\d{1,3})?$/i, value) ? Number(value) : value
      return Number.isFinite(number) ? (number as number) + 0 : undefined
    },
  }
}

/** Exact, as the text that it is in JavaScript, too. */
export function decimalReader(): ValueReader {
  return {
    schema: { type: 'string', pattern: '^-?[0-9]{1,38}([.][0-9]{1,38})?$' },
    expected: 'a decimal number of at most 38 digits before and after the point',
    read: value => {
      const text = typeof value === 'number' ? String(value) : value
      return matches(/^-?\d{1,38}(\.\d{1,38})?$/, text) ? text : undefined
    },
  }
}

/** @param maxLength in characters, as databases count them */
export function textReader(maxLength: number): ValueReader {
  return {
    schema: { type: 'string', maxLength },
    expected: `a text of at most ${maxLength} characters, without U+0000`,
    read: value => {
      const fine = typeof value === 'string' && !value.includes('\0') && isAtMost(value, maxLength)
      return fine ? value : undefined
    },
  }
}

/** RFC 9562, in any case and without the prefix `urn:uuid:`, which the format of JSON schema allows. */
export function uuidReader(): ValueReader {
  return {
    schema: { type: 'string', format: 'uuid', maxLength: 36 },
    expected: 'a UUID',
    read: value =>
      matches(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i, value) ? value.toLowerCase() : undefined,
  }
}

// What each of the databases can be asked about, in any time zone that MikroORM may write it in.
const EARLIEST = Date.parse('0001-01-02T00:00:00Z')
const LATEST = Date.parse('9999-12-30T23:59:59.999Z')

/** RFC 3339, section 5.6. A day without a time is none: it would depend on who asks when it begins. */
export function dateTimeReader(): ValueReader {
  return {
    schema: { type: 'string', format: 'date-time' },
    expected:
      'a date and time with an offset (RFC 3339), such as 2026-01-31T12:00:00Z, of the years 1 to 9999; ' +
      'the + of an offset is written %2B',
    read: value => {
      const time = value instanceof Date ? value.getTime() : instantOf(value)
      return time >= EARLIEST && time <= LATEST ? new Date(time) : undefined
    },
  }
}

export function dateReader(): ValueReader {
  return {
    schema: { type: 'string', format: 'date' },
    expected: 'a date such as 2026-01-31, of the years 1 to 9999',
    read: value => (matches(/^\d{4}-\d\d-\d\d$/, value) && isDay(value) ? value : undefined),
  }
}

const TIME = '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?$'

export function timeReader(): ValueReader {
  return {
    schema: { type: 'string', pattern: TIME },
    expected: 'a time such as 12:30 or 12:30:00',
    // With its seconds, as SQLite keeps it as text.
    read: value => (matches(new RegExp(TIME), value) ? value.padEnd(8, ':00') : undefined),
  }
}

export function booleanReader(): ValueReader {
  return {
    schema: { type: 'boolean' },
    expected: 'true or false',
    read: value => {
      if (value === true || value === 'true') return true
      return value === false || value === 'false' ? false : undefined
    },
  }
}

/**
 * One of some values.
 *
 * @param column what the column makes of them
 * @returns undefined when they are neither all texts nor all numbers, none, or nothing for the column
 */
export function oneOfReader(
  values: readonly (string | number)[],
  column?: ValueReader | undefined,
): ValueReader | undefined {
  const type = typeof values[0]
  if ((type !== 'string' && type !== 'number') || values.some(value => typeof value !== type))
    return undefined
  const compared = new Map(values.map(value => [String(value), column ? column.read(value) : value]))
  if ([...compared.values()].includes(undefined)) return undefined
  return {
    schema: { type: values.every(Number.isInteger) ? 'integer' : type, enum: [...new Set(values)] },
    expected: `one of ${[...compared.keys()].join(', ')}`,
    read: value =>
      typeof value === 'string' || typeof value === 'number' ? compared.get(String(value)) : undefined,
  }
}

/** Whether a text has no more than so many characters (code points, as JSON schema and databases count). */
function isAtMost(text: string, maxLength: number): boolean {
  if (text.length <= maxLength) return true
  return text.length <= 2 * maxLength && [...text].length <= maxLength
}

const DATE_TIME = /^(\d{4}-\d\d-\d\d)[t ](\d\d:\d\d:)(\d\d)(\.\d+)?(z|[+-]\d\d:\d\d)$/i

/** Milliseconds since 1970; NaN when it is no date and time. */
function instantOf(value: unknown): number {
  const [, day = '', minutes = '', seconds = '', fraction = '', offset = ''] =
    (typeof value === 'string' && value.length <= 64 && DATE_TIME.exec(value)) || []
  if (!isDay(day) || minutes > '23:59:' || offset.slice(1) > '23:59') return Number.NaN
  // A leap second, which Date does not know, is the first moment after it.
  const isLeap = seconds === '60'
  const time = Date.parse(
    `${day}T${minutes}${isLeap ? '59' : seconds}${fraction.slice(0, 4)}${offset.toUpperCase()}`,
  )
  if (!isLeap) return time
  const next = Math.floor(time / 1000) * 1000 + 1000
  return next % 86_400_000 === 0 ? next : Number.NaN
}

/** Date takes 30 February for 2 March. */
function isDay(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text) && text > '0001'
}

function matches(pattern: RegExp, value: unknown): value is string {
  return typeof value === 'string' && pattern.test(value)
}
