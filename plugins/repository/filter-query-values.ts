import {
  BigIntType,
  BooleanType,
  DateTimeType,
  DateType,
  DecimalType,
  DoubleType,
  EnumType,
  FloatType,
  IntegerType,
  JsonType,
  MediumIntType,
  SmallIntType,
  StringType,
  TextType,
  TimeType,
  TinyIntType,
  UuidType,
} from '@mikro-orm/core'
import {
  type DeclaredProperty,
  enumItems,
  isReference,
  primaryKeyOf,
  propertyOf,
  targetOf,
} from './declared-fields.ts'
import {
  bigintReader,
  booleanReader,
  dateReader,
  dateTimeReader,
  decimalReader,
  integerReader,
  numberReader,
  oneOfReader,
  textReader,
  timeReader,
  uuidReader,
  type ValueReader,
} from './value-readers.ts'

type Family =
  | 'tinyint'
  | 'smallint'
  | 'mediumint'
  | 'integer'
  | 'bigint'
  | 'number'
  | 'decimal'
  | 'text'
  | 'uuid'
  | 'datetime'
  | 'date'
  | 'time'
  | 'boolean'

/** MikroORM's types; the more special ones first. */
const TYPES: readonly (readonly [abstract new (...args: never) => unknown, Family])[] = [
  [TinyIntType, 'tinyint'],
  [SmallIntType, 'smallint'],
  [MediumIntType, 'mediumint'],
  [IntegerType, 'integer'],
  [BigIntType, 'bigint'],
  [FloatType, 'number'],
  [DoubleType, 'number'],
  [DecimalType, 'decimal'],
  [UuidType, 'uuid'],
  [StringType, 'text'],
  [TextType, 'text'],
  [EnumType, 'text'],
  [DateTimeType, 'datetime'],
  [DateType, 'date'],
  [TimeType, 'time'],
  [BooleanType, 'boolean'],
]

/** Types by their names, MikroORM's and those of the databases. */
const NAMES: Readonly<Record<string, Family>> = Object.fromEntries(
  Object.entries({
    tinyint: 'tinyint',
    smallint: 'smallint int2 smallserial',
    mediumint: 'mediumint',
    integer: 'integer int int4 serial number',
    bigint: 'bigint int8 bigserial',
    number: 'float double real float4 float8 double_precision',
    decimal: 'decimal numeric',
    text: 'string text varchar character_varying char character bpchar citext tinytext mediumtext longtext enum',
    uuid: 'uuid',
    datetime: 'date_time datetime timestamp timestamptz timestamp_with_time_zone timestamp_without_time_zone',
    date: 'date',
    time: 'time time_without_time_zone',
    boolean: 'boolean bool',
  }).flatMap(([family, names]) => names.split(' ').map(name => [name, family as Family])),
)

const BITS: Readonly<Partial<Record<Family, number>>> = {
  tinyint: 8,
  smallint: 16,
  mediumint: 24,
  integer: 32,
}

/** Longer texts are in no list that somebody asks for. */
const LONGEST_TEXT = 4_096
/** What MikroORM makes of a string without a length. */
const DEFAULT_LENGTH = 255

/**
 * How a value that is compared with a column is read from a query string. Of a relation: its key.
 *
 * @returns undefined when the declaration does not say what the column takes: a type of the application's own, a
 *   column type that is not known here, JSON, arrays, binary data, embedded objects, composite keys
 */
export function valueReaderOf(property: DeclaredProperty): ValueReader | undefined {
  if (isReference(property)) {
    const target = targetOf(property)
    const key = primaryKeyOf(target)
    return key === undefined ? undefined : valueReaderOf(propertyOf(target, key) as DeclaredProperty)
  }
  if (property.entity !== undefined || property.array) return undefined
  if (property.enum) {
    const items = enumItems(property)
    return items && oneOfReader(items)
  }
  const declared = declaredFamily(property.type)
  const column = property.columnType ?? property.columnTypes?.[0]
  const family = column === undefined ? declared : columnFamily(declared, NAMES[simpleName(column)])
  return family && readerOf(family, property)
}

/** Whether text can be searched for in a column. */
export function isText(property: DeclaredProperty): boolean {
  if (property.entity !== undefined || property.array || property.nativeEnumName !== undefined) return false
  if (property.enum) return enumItems(property)?.every(item => typeof item === 'string') ?? false
  const column = property.columnType ?? property.columnTypes?.[0]
  return (
    declaredFamily(property.type) === 'text' && (column === undefined || NAMES[simpleName(column)] === 'text')
  )
}

/** Whether rows have an order by a column. That of JSON is by how it is stored, or none at all. */
export function isOrderable(property: DeclaredProperty): boolean {
  if (isReference(property)) return true
  if (property.entity !== undefined) return false
  const type = typeof property.type === 'string' ? property.type.toLowerCase() : property.type
  const column = simpleName(property.columnType ?? property.columnTypes?.[0] ?? '')
  return !isA(type, JsonType) && ![type, column].some(name => name === 'json' || name === 'jsonb')
}

function readerOf(family: Family, property: DeclaredProperty): ValueReader {
  switch (family) {
    case 'bigint':
      return bigintReaderOf(property.type)
    case 'number':
      return numberReader()
    case 'decimal':
      return modeOf(property.type) === 'number' ? numberReader() : decimalReader()
    case 'text':
      return textReader(lengthOf(property))
    case 'uuid':
      return uuidReader()
    case 'datetime':
      return dateTimeReader()
    case 'date':
      return dateReader()
    case 'time':
      return timeReader()
    case 'boolean':
      return booleanReader()
    default: {
      const values = 2 ** (BITS[family] as number)
      const min = property.unsigned ? 0 : -values / 2
      // MySQL and MariaDB make an integer that counts up unsigned.
      const max = property.unsigned || property.primary ? values - 1 : values / 2 - 1
      return integerReader(min, max)
    }
  }
}

function bigintReaderOf(type: unknown): ValueReader {
  const mode = modeOf(type)
  // Declared as a plain number (`p.integer().columnType('int8')`), or a bigint as number: what a number can tell apart.
  const isNumber = mode === 'number' || declaredFamily(type) !== 'bigint'
  if (isNumber) return integerReader(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  return bigintReader(mode === 'string' ? 'string' : 'bigint')
}

function lengthOf({ length, columnType, columnTypes, type }: DeclaredProperty): number {
  const column = columnType ?? columnTypes?.[0] ?? (typeof type === 'string' ? type : '')
  const inColumn = /\((\d+)\)/.exec(column)?.[1]
  const given = inColumn === undefined ? length : Number(inColumn)
  if (given !== undefined && given > 0) return Math.min(given, LONGEST_TEXT)
  const isUnlimited = given === -1 || isA(type, TextType) || /text$|^varchar$/.test(simpleName(column))
  return isUnlimited ? LONGEST_TEXT : DEFAULT_LENGTH
}

/** The column decides what it takes, as long as the values in JavaScript are of a kind that it understands. */
function columnFamily(declared: Family | undefined, column: Family | undefined): Family | undefined {
  if (declared === column) return column
  const isWhole = (family: Family | undefined) =>
    family === 'bigint' || (family !== undefined && family in BITS)
  if (isWhole(declared) && isWhole(column)) return column
  const isText = declared === 'text' && (column === 'uuid' || column === 'date' || column === 'time')
  return isText ? column : undefined
}

function declaredFamily(type: unknown): Family | undefined {
  switch (type) {
    case String:
      return 'text'
    case Number:
      return 'integer'
    case Boolean:
      return 'boolean'
    case Date:
      return 'datetime'
  }
  if (typeof type === 'string') return type === 'Date' ? 'datetime' : NAMES[simpleName(type)]
  return TYPES.find(([known]) => isA(type, known))?.[1]
}

function isA(type: unknown, known: abstract new (...args: never) => unknown): boolean {
  return (
    type instanceof known || (typeof type === 'function' && type.prototype instanceof known) || type === known
  )
}

function modeOf(type: unknown): unknown {
  return typeof type === 'object' && type !== null && 'mode' in type ? type.mode : undefined
}

/** `character varying(20)` → `character_varying` */
function simpleName(type: string): string {
  return type
    .toLowerCase()
    .replace(/\(.*?\)|\bunsigned\b/g, '')
    .trim()
    .replaceAll(/ +/g, '_')
}
