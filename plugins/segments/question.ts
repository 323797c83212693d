import { inList, pythonStr } from './in-list.ts'
import { mostBucket } from './percentage.ts'
import type { Comparison, Test } from './predicate.ts'
import { pythonFloat, pythonInt } from './python-numbers.ts'
import { PythonRegex, PythonRegexError } from './python-regex/regex.ts'
import { isRawJson } from './raw-json.ts'
import type { Condition, Operator } from './segment.ts'
import { parseSemver } from './semver.ts'

const SEMVER_SUFFIX = ':semver'

const COMPARISONS: Readonly<Partial<Record<Operator, Comparison>>> = {
  EQUAL: '=',
  NOT_EQUAL: '<>',
  GREATER_THAN: '>',
  GREATER_THAN_INCLUSIVE: '>=',
  LESS_THAN: '<',
  LESS_THAN_INCLUSIVE: '<=',
}

/** All operators, in the order of the documentation. */
export const OPERATORS: ReadonlySet<string> = new Set<Operator>([
  'EQUAL',
  'NOT_EQUAL',
  'GREATER_THAN',
  'GREATER_THAN_INCLUSIVE',
  'LESS_THAN',
  'LESS_THAN_INCLUSIVE',
  'CONTAINS',
  'NOT_CONTAINS',
  'IN',
  'IS_SET',
  'IS_NOT_SET',
  'MODULO',
  'PERCENTAGE_SPLIT',
  'REGEX',
])

/**
 * What a condition asks of a value.
 *
 * - `test`: this; `'never'`: the operand is such that no value fits.
 * - `problem`: what is wrong with the operand, for whoever saves the segment. Only `isUnsupported` ones leave the answer open.
 */
export interface Question {
  readonly test: Test | 'never'
  readonly problem?: string
  readonly isUnsupported?: boolean
}

/** Reads a condition's operator and value. */
export function readQuestion(condition: Condition, segmentKey: string): Question {
  const { operator, value } = condition
  if (!OPERATORS.has(operator)) return never(`has the unknown operator ${shown(operator)}`)
  if (operator === 'IS_SET') return { test: { kind: 'set' } }
  if (operator === 'IS_NOT_SET') return { test: { kind: 'unset' } }
  if (operator === 'IN' && Array.isArray(value)) return { test: { kind: 'in', texts: inList(value) } }
  const text = operandText(value)
  if (text === undefined) {
    return never(operator === 'IN' ? 'needs a text or a list as its value' : 'needs a text as its value')
  }
  return readText(operator, text, segmentKey)
}

function readText(operator: Operator, text: string, segmentKey: string): Question {
  switch (operator) {
    case 'IN':
      return { test: { kind: 'in', texts: inList(text) } }
    case 'CONTAINS':
      // The reference looks for such an operand in a version, and there it never is.
      if (text.endsWith(SEMVER_SUFFIX)) return never(`cannot look for a version, ${shown(text)}`)
      return { test: { kind: 'contains', text, isNegated: false } }
    case 'NOT_CONTAINS':
      return { test: { kind: 'contains', text, isNegated: true } }
    case 'MODULO':
      return modulo(text)
    case 'PERCENTAGE_SPLIT':
      return split(text, segmentKey)
    case 'REGEX':
      return regex(text)
    default:
      return comparison(COMPARISONS[operator] as Comparison, text)
  }
}

/** Segments have texts as values; what else is a scalar is read as Python prints it. */
function operandText(value: unknown): string | undefined {
  const isScalar = typeof value === 'object' ? isRawJson(value) : value !== undefined
  return isScalar ? pythonStr(value) : undefined
}

function comparison(operator: Comparison, text: string): Question {
  const isSemver = text.endsWith(SEMVER_SUFFIX)
  const semver = isSemver ? parseSemver(text.slice(0, -SEMVER_SUFFIX.length)) : undefined
  const test: Test = {
    kind: 'compare',
    comparison: operator,
    integer: pythonInt(text),
    float: pythonFloat(text),
    boolean: text !== 'False' && text !== 'false',
    text: isSemver ? undefined : text,
    semver,
  }
  const isWrong = isSemver && semver === undefined
  return isWrong
    ? { test, problem: `needs a version (SemVer 2.0.0) before '${SEMVER_SUFFIX}', not ${shown(text)}` }
    : { test }
}

function modulo(text: string): Question {
  const problem = `needs a divisor other than 0 and a remainder, as in '4|3', not ${shown(text)}`
  const parts = text.split('|')
  const [divisor, remainder] = parts.map(pythonFloat)
  if (parts.length !== 2 || divisor === undefined || remainder === undefined) return never(problem)
  // The reference raises for 0; nobody's remainder can be NaN.
  if (divisor === 0 || Number.isNaN(divisor) || Number.isNaN(remainder)) return never(problem)
  return { test: { kind: 'modulo', divisor, remainder } }
}

function split(text: string, segmentKey: string): Question {
  const threshold = pythonFloat(text)
  const problem = `needs a percentage from 0 to 100, not ${shown(text)}`
  if (threshold === undefined) return never(problem)
  // MD5 is of UTF-8, which has no lone surrogates.
  if (!segmentKey.isWellFormed()) return never("cannot be answered: the segment's key has a lone surrogate")
  const test: Test = { kind: 'split', segmentKey, mostBucket: mostBucket(threshold) }
  return threshold >= 0 && threshold <= 100 ? { test } : { test, problem }
}

function regex(text: string): Question {
  try {
    const regex = PythonRegex.parse(text)
    if (regex.test('') !== undefined) return { test: { kind: 'regex', regex } }
    return {
      test: 'never',
      isUnsupported: true,
      problem: `has a regular expression that cannot be run here: ${shown(text)}`,
    }
  } catch (error) {
    const reason =
      error instanceof PythonRegexError ? `${error.message} at position ${error.position}` : String(error)
    return {
      test: 'never',
      isUnsupported: true,
      problem: `has a regular expression that is not valid: ${reason}`,
    }
  }
}

/** A value within a message: texts are quoted and cut; an object of JSON may have no text that could be had. */
export function shown(value: unknown): string {
  if (typeof value !== 'string') return value === null ? 'null' : typeof value
  return value.length > 100 ? `'${value.slice(0, 100)}…'` : `'${value}'`
}

function never(problem: string): Question {
  return { test: 'never', problem }
}
