import { errors } from './errors.ts'
import { OPERATORS, readQuestion, shown } from './question.ts'
import type { Condition, Rule, SegmentContext } from './segment.ts'

/** How deep rules may be nested. */
export const DEEPEST_RULE = 100
/** How many conditions, and how many rules, a segment may have. */
export const MOST_CONDITIONS = 10_000

/** What has been counted so far. */
interface Count {
  rules: number
  conditions: number
}

/** Throws; `at` is the path of the rule or condition. */
type Refuse = (at: string, problem: string) => never

/**
 * Checks a segment before it is saved. The evaluator takes any segment, but one that is refused here holds a condition that
 * can be true for nobody, or cannot be answered.
 *
 * @throws SQLA_ERR_SEGMENT_INVALID (400): it names the condition by its path, as in `rules[0].conditions[1]`
 *
 * @example
 * validateSegment({ key: '1', name: 'adults', rules: [{ type: 'ALL', conditions: [{ property: 'age', operator: 'LIKE' }] }] })
 * // Segment 'adults' is not valid: rules[0].conditions[0] has the unknown operator 'LIKE'
 */
export function validateSegment(segment: SegmentContext): void {
  const refuse: Refuse = (at, problem) => {
    throw new errors.SQLA_ERR_SEGMENT_INVALID(nameOf(segment), at, problem)
  }
  if (!isObject(segment)) refuse('it', 'is not an object')
  if (typeof segment.key !== 'string' || segment.key === '') refuse('key', 'must be a text')
  if (typeof segment.name !== 'string') refuse('name', 'must be a text')
  const counted: Count = { rules: 0, conditions: 0 }
  const context: Context = { refuse, counted, segmentKey: segment.key }
  for (const [index, rule] of listOf<Rule>(segment.rules, 'rules', refuse).entries()) {
    validateRule(rule, `rules[${index}]`, 1, context)
  }
}

interface Context {
  readonly refuse: Refuse
  readonly counted: Count
  readonly segmentKey: string
}

function validateRule(rule: Rule, at: string, depth: number, context: Context): void {
  const { refuse, counted } = context
  if (depth > DEEPEST_RULE) refuse(at, `is nested deeper than ${DEEPEST_RULE}`)
  if (++counted.rules > MOST_CONDITIONS) refuse(at, `is one rule more than ${MOST_CONDITIONS}`)
  if (!isObject(rule)) refuse(at, 'is not an object')
  if (!['ALL', 'ANY', 'NONE'].includes(rule.type)) refuse(at, `has the unknown type ${shown(rule.type)}`)
  for (const [index, condition] of listOf<Condition>(rule.conditions, `${at}.conditions`, refuse).entries()) {
    validateCondition(condition, `${at}.conditions[${index}]`, context)
  }
  for (const [index, nested] of listOf<Rule>(rule.rules, `${at}.rules`, refuse).entries()) {
    validateRule(nested, `${at}.rules[${index}]`, depth + 1, context)
  }
}

function validateCondition(condition: Condition, at: string, context: Context): void {
  const { refuse, counted, segmentKey } = context
  if (++counted.conditions > MOST_CONDITIONS) refuse(at, `is one condition more than ${MOST_CONDITIONS}`)
  if (!isObject(condition)) refuse(at, 'is not an object')
  if (!OPERATORS.has(condition.operator)) refuse(at, `has the unknown operator ${shown(condition.operator)}`)
  validateProperty(condition, at, refuse)
  validateValueType(condition, at, refuse)
  const { problem } = readQuestion(condition, segmentKey)
  if (problem !== undefined) refuse(at, problem)
}

function validateProperty({ operator, property }: Condition, at: string, refuse: Refuse): void {
  const isBlank = property === undefined || property === null || property === ''
  if (isBlank && operator === 'PERCENTAGE_SPLIT') return
  if (isBlank || typeof property !== 'string') refuse(at, `needs a property, the name of a trait or a path`)
}

/** The evaluator reads numbers and booleans too, but Flagsmith's segments have none. */
function validateValueType({ operator, value }: Condition, at: string, refuse: Refuse): void {
  if (operator === 'IS_SET' || operator === 'IS_NOT_SET' || typeof value === 'string') return
  if (operator !== 'IN') refuse(at, 'needs a text as its value')
  if (!Array.isArray(value)) refuse(at, 'needs a text or a list as its value')
}

function listOf<T>(list: unknown, at: string, refuse: Refuse): readonly T[] {
  if (list === undefined || list === null) return []
  if (!Array.isArray(list)) return refuse(at, 'is not a list')
  return list
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nameOf(segment: SegmentContext): string {
  const name: unknown = segment?.name ?? segment?.key
  return typeof name === 'string' ? name : ''
}
