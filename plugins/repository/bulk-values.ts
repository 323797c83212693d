import {
  ArrayType,
  BigIntType,
  BlobType,
  DateType,
  DecimalType,
  DoubleType,
  type EntityProperty,
  EnumArrayType,
  IntervalType,
  JsonType,
  Uint8ArrayType,
  UuidType,
} from '@mikro-orm/core'

/** A value that is left to the unit of work. */
export const ODD = Symbol('odd')

/**
 * Turns a value that is not null into one of JSON that the column's input function reads as the literal that MikroORM
 * would write; {@link ODD} of a value of which nobody has shown that.
 */
export type ToJson = (value: unknown) => unknown

/** Of columns of PostgreSQL; undefined of one whose values are all left to the unit of work. */
export function toJsonOf(property: EntityProperty): ToJson | undefined {
  const { customType, columnTypes, items } = property
  const [type = ''] = columnTypes
  if (items !== undefined && customType === undefined) {
    // MikroORM refuses any other before there is SQL.
    return value => (typeof value === 'string' && items.includes(value) ? value : ODD)
  }
  if (customType === undefined) return plainToJson(type) ?? odd
  // Not a subclass, which may do anything.
  return CUSTOM.get(customType.constructor)?.(type)
}

const odd: ToJson = () => ODD

const CUSTOM = new Map<unknown, (type: string) => ToJson | undefined>([
  [ArrayType, () => odd],
  [EnumArrayType, () => odd],
  [IntervalType, () => odd],
  [BigIntType, type => (/^(bigint|bigserial|int8)$/.test(type) ? wholeNumber : undefined)],
  [DoubleType, plainToJson],
  [DecimalType, plainToJson],
  [DateType, type => (type === 'date' ? day : undefined)],
  [UuidType, type => (type === 'uuid' ? text : undefined)],
  [JsonType, type => (/^jsonb?$/.test(type) ? json : undefined)],
  [BlobType, type => (type === 'bytea' ? bytes : undefined)],
  [Uint8ArrayType, type => (type === 'bytea' ? bytes : undefined)],
])

function plainToJson(type: string): ToJson | undefined {
  if (/^(small|big)?(int|integer|serial)$|^int[248]$/.test(type)) return wholeNumber
  if (/^(real|double precision|float[48]?|numeric|decimal)(\(|$)/.test(type)) return number
  if (/^(varchar|character varying|char|character|text|citext)(\(|$)/.test(type)) return text
  if (/^bool(ean)?$/.test(type)) return value => (typeof value === 'boolean' ? value : ODD)
  if (/^timestamptz|^timestamp.* with time zone/.test(type)) return instant
  if (/^time(\(\d\))?$/.test(type)) return text
  // A date of a time zone that only MikroORM knows.
  if (/^timestamp/.test(type)) return odd
  return undefined
}

function wholeNumber(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return /^-?\d+$/.test(value) ? value : ODD
  return Number.isSafeInteger(value) ? String(value) : ODD
}

function number(value: unknown): unknown {
  if (typeof value === 'string') return /^-?\d+(\.\d+)?$/.test(value) ? value : ODD
  return Number.isFinite(value) ? value : ODD
}

function text(value: unknown): unknown {
  return typeof value === 'string' && !value.includes('\0') ? value : ODD
}

function day(value: unknown): unknown {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) ? value : ODD
}

function instant(value: unknown): unknown {
  if (!(value instanceof Date)) return ODD
  const year = value.getUTCFullYear()
  return year >= 1_000 && year <= 9_000 ? value : ODD
}

function bytes(value: unknown): unknown {
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : ODD
}

/** Plain values all the way down, without what has no place in a JSON text of PostgreSQL. */
function json(value: unknown): unknown {
  return isPlainJson(value) ? value : ODD
}

function isPlainJson(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() && !value.includes('\0')
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value)
    case 'object': {
      if (value === null) return true
      if (Array.isArray(value)) return value.every(isPlainJson)
      if (value.constructor !== Object || 'toJSON' in value) return false
      return Object.entries(value).every(([key, inner]) => isPlainJson(key) && isPlainJson(inner))
    }
    default:
      return false
  }
}
