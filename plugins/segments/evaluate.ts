import { compileSegment } from './compile.ts'
import { valueAt } from './json-path.ts'
import { bucketOf } from './percentage.ts'
import type { Comparison, Predicate, Subject, Test } from './predicate.ts'
import { pythonModulo } from './python-numbers.ts'
import type { EvaluationContext, SegmentContext } from './segment.ts'
import { compareSemver, parseSemver } from './semver.ts'
import { compareTexts, containsText } from './texts.ts'
import { classify, MISSING, pythonText, type Value } from './values.ts'

/**
 * Whether the identity of a context is in a segment, as Flagsmith's engine answers it. It never throws: what cannot be read
 * or run is not true. What a segment says is remembered until it says something else; {@link compileSegment} and
 * {@link matches} save that look for whoever asks often.
 *
 * @param context the environment and the identity; paths may lead to all of it
 * @param segment as Flagsmith's engine takes it
 * @returns false too when the segment cannot be answered at all: {@link validateSegment} says so
 *
 * @example
 * isContextInSegment({ environment, identity: { identifier: 'ada', traits: { age: 47 } } }, adults) // true
 */
export function isContextInSegment(context: EvaluationContext, segment: SegmentContext): boolean {
  return matches(remembered(segment), context)
}

/**
 * Whether a compiled segment holds for a context. It never throws.
 *
 * @param predicate what {@link compileSegment} has made
 * @param context the environment and the identity
 */
export function matches(predicate: Predicate, context: EvaluationContext): boolean {
  switch (predicate.kind) {
    case 'constant':
      return predicate.value
    case 'and':
      return predicate.of.every(part => matches(part, context))
    case 'or':
      return predicate.of.some(part => matches(part, context))
    case 'not':
      return !matches(predicate.of, context)
    case 'test':
      return holds(predicate.test, lookUp(predicate.subject, context))
    case 'unsupported':
      return false
  }
}

const compiled = new WeakMap<SegmentContext, { readonly json: string; readonly predicate: Predicate }>()

/** A segment may have been changed since: it is compiled again unless it is word for word the same. */
function remembered(segment: SegmentContext): Predicate {
  const json = jsonOf(segment)
  if (json === undefined) return compileSegment(segment)
  const before = compiled.get(segment)
  if (before?.json === json) return before.predicate
  const predicate = compileSegment(segment)
  compiled.set(segment, { json, predicate })
  return predicate
}

function jsonOf(segment: SegmentContext): string | undefined {
  if (typeof segment !== 'object' || segment === null) return undefined
  try {
    return JSON.stringify([segment.key, segment.rules])
  } catch {
    return undefined
  }
}

function lookUp(subject: Subject, context: EvaluationContext): Value {
  try {
    return classify(subjectValue(subject, context))
  } catch {
    // Getters, proxies and cycles: no JSON, so there is no value.
    return MISSING
  }
}

function subjectValue(subject: Subject, context: EvaluationContext): unknown {
  switch (subject.kind) {
    case 'trait':
      return valueAt(context.identity?.traits, subject.path)
    case 'identifier':
      return context.identity?.identifier
    case 'key':
      return identityKey(context)
    case 'path':
      return subject.path.find(withKey(context))
  }
}

/** The identity's key; the environment's key and the identifier when it has none. */
export function identityKey({ environment, identity }: EvaluationContext): unknown {
  if (!identity) return undefined
  if (identity.key) return identity.key
  const { identifier } = identity
  return environment?.key == null || identifier == null ? undefined : `${environment.key}_${identifier}`
}

function withKey(context: EvaluationContext): EvaluationContext {
  const { identity } = context
  if (!identity || identity.key) return context
  return { ...context, identity: { ...identity, key: identityKey(context) as string } }
}

function holds(test: Test, value: Value): boolean {
  if (test.kind === 'unset') return value.kind === 'missing'
  if (value.kind === 'missing') return false
  if (test.kind === 'set') return true
  if (value.kind === 'composite') return false
  switch (test.kind) {
    case 'scalar':
      return true
    case 'compare':
      return isCompared(test, value)
    case 'contains':
      return value.kind === 'text' && containsText(value.text, test.text) !== test.isNegated
    case 'in':
      return isIn(test.texts, value)
    case 'modulo':
      return hasRemainder(test, value)
    case 'split':
      return isWithin(test, value)
    case 'regex':
      return test.regex.test(pythonText(value) as string) === true
  }
}

type TestOf<Kind extends Test['kind']> = Extract<Test, { readonly kind: Kind }>

/** The operand is cast to the type of the value; where it cannot be, nothing holds, not even `<>`. */
function isCompared(test: TestOf<'compare'>, value: Value): boolean {
  switch (value.kind) {
    case 'integer':
      return test.integer !== undefined && compare(test.comparison, value.integer, test.integer)
    case 'float':
      return test.float !== undefined && compare(test.comparison, value.float, test.float)
    case 'boolean':
      return compare(test.comparison, value.boolean, test.boolean)
    case 'text':
      return isTextCompared(test, value.text)
    default:
      return false
  }
}

function isTextCompared(test: TestOf<'compare'>, text: string): boolean {
  if (test.text !== undefined) return compare(test.comparison, compareTexts(text, test.text), 0)
  const version = test.semver === undefined ? undefined : parseSemver(text)
  if (test.semver === undefined || version === undefined) return false
  return compare(test.comparison, compareSemver(version, test.semver), 0)
}

function compare<T extends bigint | number | boolean>(comparison: Comparison, a: T, b: T): boolean {
  switch (comparison) {
    case '=':
      return a === b
    case '<>':
      return a !== b
    case '<':
      return a < b
    case '<=':
      return a <= b
    case '>':
      return a > b
    case '>=':
      return a >= b
  }
}

function isIn(texts: readonly string[], value: Value): boolean {
  if (value.kind === 'text') return texts.includes(value.text)
  return value.kind === 'integer' && texts.includes(String(value.integer))
}

function hasRemainder({ divisor, remainder }: TestOf<'modulo'>, value: Value): boolean {
  const dividend = numberOf(value)
  return dividend !== undefined && pythonModulo(dividend, divisor) === remainder
}

/** As a double, which is what Python divides when the divisor is one. */
function numberOf(value: Value): number | undefined {
  switch (value.kind) {
    case 'integer':
      return Number(value.integer)
    case 'float':
      return value.float
    case 'boolean':
      return Number(value.boolean)
    default:
      return undefined
  }
}

function isWithin(test: TestOf<'split'>, value: Value): boolean {
  const text = pythonText(value) as string
  // MD5 is of UTF-8, which has no lone surrogates.
  return text.isWellFormed() && bucketOf(test.segmentKey, text) <= test.mostBucket
}
