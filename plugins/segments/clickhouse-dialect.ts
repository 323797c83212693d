import { clickHouseFloat, pythonFloatSql, pythonRemainderSql, readFloat } from './clickhouse-floats.ts'
import type { Dialect, Scope, Value } from './dialect.ts'
import { Untranslatable } from './emit.ts'
import { clickHouseText } from './literals.ts'
import type { Comparison } from './predicate.ts'
import type { Emitted, PythonRegex } from './python-regex/regex.ts'

export interface ClickHouseDialectOptions {
  /** The name of the identities table, for `schemaDdl`. @default 'IDENTITIES' */
  readonly table?: string
}

/** Every integer of so many characters is an Int64. */
const INT64_CHARACTERS = 18

/** How often what is hashed is repeated at most: with a bucket of 9998 each time, once in 10^80. */
const MOST_REPEATED = 20

/**
 * ClickHouse with the traits in one column of its type JSON (25.3 and later; tried on 26.7). The SQL finds exactly what the
 * column holds, but that is less than what was inserted:
 *
 * - Integers beyond 64 bits are refused. `1e20` is a float, as to the reference engine.
 * - Empty objects are lost, so a trait that holds one is not set.
 * - A dot in a name leads into an object: the trait `a.b` and the `b` of an object `a` are one and the same.
 * - Texts that look like dates become dates, and are then printed in another form, unless rows are inserted with
 *   `input_format_try_infer_dates = 0, input_format_try_infer_datetimes = 0`.
 *
 * The column must be plain `JSON`, without types for single paths, and the server's `enable_analyzer` as it is by default. A
 * condition is up to 4 KB of SQL, and a query up to `max_query_size`, 256 KiB by default.
 *
 * @example
 * ```ts
 * const binder = new Binder('clickhouse')
 * const where = translateSegment(segment, { evaluationContext, dialect: new ClickHouseDialect(), binder })
 * await client.query({
 *   query: `select count() from IDENTITIES i where i.environment_id = {env:String} and ${where.sql}`,
 *   query_params: { ...where.params, env: 'n9fbf9' },
 * })
 * ```
 */
export class ClickHouseDialect implements Dialect {
  readonly name = 'clickhouse'
  readonly textType = 'String'
  readonly schemaDdl: string

  constructor(options: ClickHouseDialectOptions = {}) {
    this.schemaDdl = `CREATE TABLE IF NOT EXISTS ${quoted(options.table ?? 'IDENTITIES')} (
  environment_id String,
  id UInt64,
  identifier String,
  identity_key String,
  traits JSON
)
ENGINE = MergeTree()
ORDER BY (environment_id, id)`
  }

  identifier(name: string): string {
    return quoted(name.toWellFormed())
  }

  canHold(text: string): boolean {
    return text.isWellFormed()
  }

  inline(text: string): string {
    return clickHouseText(text)
  }

  bound(placeholder: string): string {
    return placeholder
  }

  trait(path: readonly string[], scope: Scope): Value {
    const value = valueAt(path, scope)
    const type = `dynamicType(${value})`
    return {
      text: `${value}::Nullable(String)`,
      isText: `(${type} not in ('None', 'Bool', 'Float64') and not startsWith(${type}, 'Array'))`,
      isBoolean: `${type} = 'Bool'`,
      // A float that is whole is printed without its point, a small or large one with an exponent.
      isFloat: `${type} = 'Float64'`,
      isSet:
        path.length === 1
          ? `(${value} is not null or toString(${objectAt(path, scope)}) <> '{}')`
          : `${value} is not null`,
    }
  }

  traitIs(path: readonly string[], values: readonly (string | boolean)[], scope: Scope): string {
    const value = valueAt(path, scope)
    const texts = values.filter(one => typeof one === 'string')
    const conditions = values
      .filter(one => typeof one === 'boolean')
      .map(one => `dynamicElement(${value}, 'Bool') = ${one}`)
    if (texts.length > 0) {
      const list = texts.map(one => scope.literal(one)).join(', ')
      // A text that looks like a date may have become one; what else is a text is read alone, which is several times faster.
      const { isText, text } = this.trait(path, scope)
      const mayBeDate = texts.some(one => /^[0-9]/.test(one))
      conditions.push(
        mayBeDate ? `${isText} and ${text} in (${list})` : `dynamicElement(${value}, 'String') in (${list})`,
      )
    }
    return `(${conditions.map(condition => `ifNull(${condition}, false)`).join(' or ')})`
  }

  concat(left: string, right: string): string {
    return `concat(${left}, ${right})`
  }

  matches(text: string, pattern: string): string {
    return `match(${text}, ${pattern})`
  }

  compareText(text: string, comparison: Comparison, operand: string, scope: Scope): string {
    return `${text} ${comparison} ${scope.literal(operand)}`
  }

  compareInteger(text: string, comparison: Comparison, operand: bigint, scope: Scope): string {
    const any = compareDigits(this.integerText(text), comparison, scope.literal(String(operand)), operand)
    if (String(operand).length > INT64_CHARACTERS) return any
    const small = `toInt64OrZero(${text}) ${comparison} ${operand}`
    return `if(length(${text}) <= ${INT64_CHARACTERS}, ${small}, ${any})`
  }

  compareFloat(text: string, comparison: Comparison, operand: number): string {
    return `${readFloat(text)} ${comparison} ${clickHouseFloat(operand)}`
  }

  contains(text: string, operand: string, scope: Scope): string {
    return `position(${text}, ${scope.literal(operand)}) > 0`
  }

  isIn(text: string, operands: readonly string[], scope: Scope): string {
    return `${text} in (${operands.map(operand => scope.literal(operand)).join(', ')})`
  }

  integerText(text: string): string {
    // Replacing is slow, and most texts need none.
    const digits = `replaceRegexpOne(${text}, '^-{0,1}0*([0-9])', '\\\\1')`
    const sign = `if(startsWith(${text}, '-') and ${digits} <> '0', '-', '')`
    return `if(match(${text}, '^-{0,1}0'), concat(${sign}, ${digits}), ${text})`
  }

  floatText(text: string): string {
    return pythonFloatSql(readFloat(text))
  }

  remainderIn(text: string, divisor: number, remainders: readonly number[]): string {
    return `modulo(toInt64OrZero(${text}), ${divisor}) in (${remainders.join(', ')})`
  }

  pythonRemainderIs(text: string, divisor: number, remainder: number): string {
    return pythonRemainderSql(readFloat(text), divisor, remainder)
  }

  isInSplit(text: string, segmentKey: string, mostBucket: number, scope: Scope): string {
    const hashed = `concat(${scope.literal(`${segmentKey},`)}, ${text})`
    // 9998 is rare: then the first other bucket counts. Else the range is empty, so that one hash is all there is.
    const repeated = bucketOf("substring(repeat(concat(',', h), n), 2)")
    const more = `arrayMap(n -> ${repeated}, range(2, if(b = 9998, ${MOST_REPEATED + 1}, 2)))`
    const isIn = `arrayExists(b -> arrayFirst(c -> c <> 9998, arrayPushFront(${more}, b)) <= ${mostBucket}, [${bucketOf('assumeNotNull(h)')}])`
    return `arrayExists(h -> h is not null and ${isIn}, [${hashed}])`
  }

  regex(regex: PythonRegex): Emitted {
    return regex.toRe2()
  }
}

/** The value in the column, of the type Dynamic; NULL where there is none, or an object. */
function valueAt(path: readonly string[], { alias }: Scope): string {
  const joined = joinedPath(path)
  // No name is empty in ClickHouse. The function reads all of the column.
  return joined === '' ? `getSubcolumn(${alias}.traits, '')` : `${alias}.traits.${quoted(joined)}`
}

/** The object in the column, of the type JSON; empty where there is none. */
function objectAt(path: readonly string[], { alias }: Scope): string {
  const joined = joinedPath(path)
  return joined === '' ? `getSubcolumn(${alias}.traits, '^\`\`')` : `${alias}.traits.^${quoted(joined)}`
}

function joinedPath(path: readonly string[]): string {
  const joined = path.join('.')
  if (joined.includes('.:`')) {
    throw new Untranslatable('ClickHouse takes the name of the trait for the name of a type')
  }
  return joined
}

/** Two integers in their shortest form: the sign decides, then the length, then the digits. */
function compareDigits(text: string, comparison: Comparison, operand: string, value: bigint): string {
  const length = String(value).length
  const isEqual = `${text} = ${operand}`
  const isSameLength = `length(${text}) = ${length}`
  const isLess =
    value < 0n
      ? `(startsWith(${text}, '-') and (length(${text}) > ${length} or ${isSameLength} and ${text} > ${operand}))`
      : `(startsWith(${text}, '-') or length(${text}) < ${length} or ${isSameLength} and ${text} < ${operand})`
  const conditions = {
    '=': isEqual,
    '<>': `not (${isEqual})`,
    '<': isLess,
    '<=': `(${isLess} or ${isEqual})`,
    '>': `not (${isLess} or ${isEqual})`,
    '>=': `not ${isLess}`,
  }
  return conditions[comparison]
}

/** Its digits are the hash's bytes from the last to the first. */
function bucketOf(text: string): string {
  return `modulo(reinterpretAsUInt128(reverse(MD5(${text}))), 9999)`
}

/** A name, with the escapes of a text. */
function quoted(name: string): string {
  return `\`${clickHouseText(name).slice(1, -1).replaceAll('`', '\\`')}\``
}
