import { JsonPath } from './json-path.ts'
import type { Predicate, Subject, Test } from './predicate.ts'
import { readQuestion, shown } from './question.ts'
import type { Condition, Rule, SegmentContext } from './segment.ts'

// The stack of a process holds so many, and rules that contain themselves must end somewhere.
const DEEPEST_RULE = 500
const MOST_NODES = 100_000

/** What has been read so far of one segment. */
interface Reading {
  readonly segmentKey: string
  /** Rules and conditions left until it is too large. */
  nodesLeft: number
}

/** A segment that cannot be read at all. */
class Unreadable extends Error {}

/**
 * Reads a segment: its operands, paths and rules. It takes whatever there is: what means nothing is never true, and what
 * has a meaning that cannot be run here is `unsupported`, with the reason.
 *
 * @returns frozen; it may be used for any number of identities
 *
 * @example
 * const predicate = compileSegment(segment)
 * contexts.filter(context => matches(predicate, context))
 */
export function compileSegment(segment: SegmentContext): Predicate {
  try {
    const rules = listOf<Rule>(segment.rules)
    if (rules.length === 0) return constant(false)
    const reading: Reading = { segmentKey: String(segment.key), nodesLeft: MOST_NODES }
    return freeze(all(rules.map((rule, index) => compileRule(rule, `rules[${index}]`, reading, 1))))
  } catch (error) {
    const reason = error instanceof Unreadable ? error.message : `it could not be read: ${String(error)}`
    return freeze({ kind: 'unsupported', reason, at: 'rules' })
  }
}

function compileRule(rule: Rule, at: string, reading: Reading, depth: number): Predicate {
  if (depth > DEEPEST_RULE) throw new Unreadable(`rules are nested deeper than ${DEEPEST_RULE}`)
  count(reading)
  if (typeof rule !== 'object' || rule === null) return constant(false)
  const conditions = listOf<Condition>(rule.conditions).map((condition, index) =>
    compileCondition(condition, `${at}.conditions[${index}]`, reading),
  )
  const rules = listOf<Rule>(rule.rules).map((nested, index) =>
    compileRule(nested, `${at}.rules[${index}]`, reading, depth + 1),
  )
  return all([group(rule.type, conditions, at), group(rule.type, rules, at)])
}

function count(reading: Reading): void {
  if (reading.nodesLeft-- === 0) throw new Unreadable(`it has more than ${MOST_NODES} rules and conditions`)
}

/** Conditions, or nested rules, of one rule. */
function group(type: unknown, of: readonly Predicate[], at: string): Predicate {
  if (of.length === 0) return constant(true)
  switch (type) {
    case 'ALL':
      return all(of)
    case 'ANY':
      return any(of)
    case 'NONE':
      return not(any(of))
    default:
      return { kind: 'unsupported', reason: `the type of the rule is unknown: ${shown(type)}`, at }
  }
}

function compileCondition(condition: Condition, at: string, reading: Reading): Predicate {
  count(reading)
  if (typeof condition !== 'object' || condition === null) return constant(false)
  const question = readQuestion(condition, reading.segmentKey)
  if (question.isUnsupported) return { kind: 'unsupported', reason: question.problem as string, at }
  if (question.test === 'never') return constant(false)
  return ask(condition, question.test, at)
}

function ask(condition: Condition, test: Test, at: string): Predicate {
  const property = condition.property ?? ''
  if (typeof property !== 'string') return constant(false)
  if (property === '' && test.kind === 'split') return { kind: 'test', subject: { kind: 'key' }, test, at }
  const trait: Subject = { kind: 'trait', path: [property] }
  const path = JsonPath.parse(property)
  if (path === undefined) return { kind: 'test', subject: trait, test, at }
  return shadowed(trait, askPath(path, test, at), test, at)
}

/** A trait that is called like the path wins, when it is set. */
function shadowed(trait: Subject, onPath: Predicate, test: Test, at: string): Predicate {
  const onTrait: Predicate = { kind: 'test', subject: trait, test, at }
  if (test.kind === 'set') return any([onTrait, onPath])
  if (test.kind === 'unset') return all([onTrait, onPath])
  const isSet: Predicate = { kind: 'test', subject: trait, test: { kind: 'set' }, at }
  const isUnset: Predicate = { kind: 'test', subject: trait, test: { kind: 'unset' }, at }
  return any([all([isSet, onTrait]), all([isUnset, onPath])])
}

/** A path that ends in an array or object leads to nothing. */
function askPath(path: JsonPath, test: Test, at: string): Predicate {
  const subject = subjectOf(path)
  if (subject === 'nothing') return constant(test.kind === 'unset')
  const isSet: Predicate = { kind: 'test', subject, test: { kind: 'scalar' }, at }
  if (test.kind === 'set') return isSet
  if (test.kind === 'unset') return not(isSet)
  return { kind: 'test', subject, test, at }
}

/** Where a path leads, as SQL can look there too; `nothing` where there is always an object or nobody. */
function subjectOf(path: JsonPath): Subject | 'nothing' {
  const [root, name, ...rest] = path.names ?? []
  if (root === 'identity') {
    if (name === undefined) return 'nothing'
    if (name === 'traits') return rest.length === 0 ? 'nothing' : { kind: 'trait', path: rest }
    if (name === 'identifier' || name === 'key') return rest.length === 0 ? { kind: name } : 'nothing'
  }
  return { kind: 'path', path, isConstant: path.isConstant }
}

// Constants are folded at once, so that what is left is what has to be asked.

function all(of: readonly Predicate[]): Predicate {
  return combine('and', of, false)
}

function any(of: readonly Predicate[]): Predicate {
  return combine('or', of, true)
}

/** @param decisive the constant that decides; the other one is left out */
function combine(kind: 'and' | 'or', of: readonly Predicate[], decisive: boolean): Predicate {
  const left = of.filter(predicate => predicate.kind !== 'constant' || predicate.value === decisive)
  if (left.some(predicate => predicate.kind === 'constant')) return constant(decisive)
  const [only] = left
  if (only === undefined) return constant(!decisive)
  return left.length === 1 ? only : { kind, of: left }
}

function not(of: Predicate): Predicate {
  return of.kind === 'constant' ? constant(!of.value) : { kind: 'not', of }
}

function constant(value: boolean): Predicate {
  return Object.freeze({ kind: 'constant', value })
}

/** Freezes all of it but for the classes, which see to that themselves. */
function freeze<T>(node: T): T {
  const isPlain = typeof node === 'object' && node !== null
  if (!isPlain || Object.isFrozen(node) || !isData(node)) return node
  for (const value of Object.values(node)) freeze(value)
  return Object.freeze(node)
}

function isData(node: object): boolean {
  return Array.isArray(node) || Object.getPrototypeOf(node) === Object.prototype
}

function listOf<T>(list: unknown): readonly T[] {
  return Array.isArray(list) ? (list as T[]) : []
}
