import {
  BigIntType,
  DateType,
  DecimalType,
  DoubleType,
  type EntityMetadata,
  type EntityProperty,
  helper,
  Reference,
  ReferenceKind,
  Utils,
  UuidType,
} from '@mikro-orm/core'
import { errors } from './errors.ts'
import { isRelation } from './fields.ts'

// A value is a value, and of the column's own kind. MikroORM takes objects for operators, and MySQL finds rows
// with an `id` of 1 for '1abc', and every name that is no number for the number 0.
// https://dev.mysql.com/doc/refman/8.4/en/type-conversion.html

const INTEGER = /^[+-]?\d{1,19}$/
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i
const DATE = /^(\d{4})-(\d\d)-(\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?$/
/** Date.prototype.toISOString */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/
const UUID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i
const INTEGER_COLUMN = /^(?:(?:tiny|small|medium|big)?int|(?:small|big)?serial|(?:small|big)?integer)/i

const [FIRST_INT64, LAST_INT64] = [-(2n ** 63n), 2n ** 63n - 1n]
type Values = Record<string, unknown>

/** What all databases hold. */
const [FIRST_YEAR, LAST_YEAR] = [1, 9_999]

/**
 * The value as it may be compared with a column. Text that is the value's usual spelling, as it comes out of a URL,
 * counts as the value: `'7'` for a number, an ISO 8601 date.
 *
 * @param what whose value it is, as an error says it
 * @throws SQLA_ERR_INVALID_FILTER (400) the column cannot have such a value
 */
export function operandOf(what: string, property: EntityProperty, value: unknown): unknown {
  if (isRelation(property)) return keyOperand(what, property.targetMeta as EntityMetadata, value)
  if (property.kind === ReferenceKind.EMBEDDED) refuse(what, 'is an object; name one of its fields')
  const found = scalarOperand(property, value)
  if (found === undefined) refuse(what, `takes ${EXPECTED[kindOf(property)]}`)
  if (property.enum && property.items !== undefined && !property.items.includes(found as string)) {
    refuse(what, `has values of its own, of which this is none: ${property.items.join(', ')}`)
  }
  return found
}

/**
 * The key of a row that a relation points to: its entity, a reference to it, or the key itself.
 *
 * @throws SQLA_ERR_INVALID_FILTER (400)
 */
export function keyOperand(what: string, meta: EntityMetadata, value: unknown): unknown {
  const parts = keyParts(meta, value)
  if (parts.length !== meta.primaryKeys.length) {
    refuse(what, `takes a key of ${meta.className}, which is ${meta.primaryKeys.join(' and ')}`)
  }
  const checked = meta.primaryKeys.map((name, at) =>
    operandOf(what, meta.properties[name as never] as EntityProperty, parts[at]),
  )
  return meta.compositePK ? checked : checked[0]
}

/** The parts of a key that is given as a value, by name, as an entity, or in order. */
function keyParts(meta: EntityMetadata, key: unknown): readonly unknown[] {
  if (Utils.isEntity(key, true)) {
    const entity = Reference.unwrapReference(key as object)
    if (helper(entity).__meta.root !== meta.root) return []
    return meta.primaryKeys.map(name => (entity as Values)[name as string])
  }
  if (Utils.isPlainObject(key)) {
    return meta.primaryKeys.map(name =>
      Object.hasOwn(key, name) ? (key as Values)[name as string] : undefined,
    )
  }
  if (meta.compositePK) return Array.isArray(key) ? key : []
  return [key]
}

/** Undefined for what the column cannot be compared with. */
function scalarOperand(property: EntityProperty, value: unknown): unknown {
  switch (kindOf(property)) {
    case 'integer':
      return integerOf(property, value)
    case 'number':
      return numberOf(value)
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'instant':
      // Other spellings may say more than a Date can hold: microseconds.
      return typeof value === 'string' && !INSTANT.test(value) ? dateText(value) : dateOf(value)
    case 'date':
      return typeof value === 'string' ? dateText(value) : dateOf(value)
    case 'uuid':
      return typeof value === 'string' && UUID.test(value) ? value : undefined
    case 'bytes':
      return value instanceof Uint8Array ? value : undefined
    case 'text':
      return textOf(value)
    case 'other':
      return typeof value === 'number' || typeof value === 'bigint'
        ? numberOf(value)
        : value instanceof Date
          ? dateOf(value)
          : typeof value === 'boolean'
            ? value
            : textOf(value)
  }
}

type Kind = 'integer' | 'number' | 'boolean' | 'instant' | 'date' | 'uuid' | 'bytes' | 'text' | 'other'

function kindOf({ customType, runtimeType, columnTypes }: EntityProperty): Kind {
  const [type = ''] = columnTypes
  if (customType instanceof BigIntType) return 'integer'
  if (customType instanceof DecimalType || customType instanceof DoubleType) return 'number'
  if (customType instanceof UuidType) return 'uuid'
  if (customType instanceof DateType) return 'date'
  switch (runtimeType) {
    case 'number':
      return INTEGER_COLUMN.test(type) ? 'integer' : 'number'
    case 'boolean':
      return 'boolean'
    case 'Date':
      return 'instant'
    case 'string':
      return 'text'
    case 'Buffer':
    case 'Uint8Array':
      return 'bytes'
    default:
      return 'other'
  }
}

const EXPECTED: Readonly<Record<Kind, string>> = {
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  instant: 'a date of the years 1 to 9999',
  date: 'a date of the years 1 to 9999',
  uuid: 'a UUID',
  bytes: 'bytes',
  text: 'a text without U+0000',
  other: 'a text, a number, true or false, or a date',
}

function integerOf({ customType }: EntityProperty, value: unknown): unknown {
  const isText = typeof value === 'string' && INTEGER.test(value)
  if (!isText && typeof value !== 'bigint' && !Number.isInteger(value)) return undefined
  const whole = BigInt(value as string | bigint | number)
  if (whole < FIRST_INT64 || whole > LAST_INT64) return undefined
  // What JavaScript cannot tell from its neighbours travels as text.
  if (customType !== undefined) return whole
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : undefined
}

function numberOf(value: unknown): unknown {
  if (typeof value === 'bigint') return value
  if (typeof value === 'string')
    return DECIMAL.test(value) && Number.isFinite(Number(value)) ? value : undefined
  return Number.isFinite(value) ? value : undefined
}

function dateText(value: string): string | undefined {
  const [, year = '', month = '', day = ''] = DATE.exec(value) ?? []
  const isDay = dateOf(`${year}-${month}-${day}T00:00:00Z`)?.getUTCDate() === Number(day)
  return isDay && !value.includes('\0') ? value : undefined
}

function dateOf(value: unknown): Date | undefined {
  if (typeof value !== 'string' && !(value instanceof Date)) return undefined
  const date = new Date(value)
  const year = date.getUTCFullYear()
  return year >= FIRST_YEAR && year <= LAST_YEAR ? date : undefined
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && !value.includes('\0') ? value : undefined
}

function refuse(what: string, problem: string): never {
  throw new errors.SQLA_ERR_INVALID_FILTER(what, problem)
}
