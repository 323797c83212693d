import { countTransitions } from './automaton-size.ts'
import { CharSet } from './charset.ts'
import { LookaroundWriter } from './lookaround-writer.ts'
import { childrenOf, type Node, nodesOf, referredGroups } from './nodes.ts'
import { isSetWhenever } from './references.ts'
import { brackets, Declined, hex, isPlain, quantifier } from './writer.ts'

/** The longest regular expression, in characters. A `\w` of Unicode takes 9,000. */
const LONGEST = 200_000
/** The greatest number in braces. */
const MOST_IN_BRACES = 255
/** How large the automaton may become, in transitions, before PostgreSQL takes long or says that it is too complex. */
const MOST_TRANSITIONS = 40_000
/** Each takes a power more time. */
const MOST_REFERENCES = 3

/** What no text of PostgreSQL holds: NUL and halves of surrogate pairs. */
const NOT_IN_TEXTS = CharSet.range(0).union(CharSet.range(0xd800, 0xdfff))

/**
 * The same regular expression for PostgreSQL (an ARE), in ASCII, for `text ~ regex`. It depends neither on the collation
 * nor on the locale; the database's encoding has to be UTF8.
 *
 * @throws {Declined} where PostgreSQL would not agree with Python, or would fail
 */
export function toPostgres(pattern: Node): string {
  checkSize(pattern)
  checkReferences(pattern)
  const text = `^${new PostgresWriter(pattern).write(pattern)}`
  if (text.length > LONGEST) throw new Declined('it would become too long')
  return text
}

class PostgresWriter extends LookaroundWriter {
  protected override readonly longest = LONGEST

  protected override set(all: CharSet): string {
    const set = all.without(NOT_IN_TEXTS)
    // Lone surrogates may be in or out, whatever is shorter
    const others = all.complement().without(NOT_IN_TEXTS)
    if (others.isEmpty) return '.'
    if (set.isEmpty) return '[^\\u0001-\\U0010ffff]'
    if (set.size === 1) return literal(set.edges[0] as number)
    const shorter = set.edges.length <= others.edges.length ? set : others.complement()
    return brackets(shorter, code => (isPlain(code) ? String.fromCharCode(code) : escaped(code)))
  }

  protected override group({ body }: Node & { kind: 'group' }): string {
    return `(${this.write(body)})`
  }

  protected override atomic(): string {
    throw new Declined('an atomic group or a possessive repeat')
  }

  protected override reference({ group, ignores }: Node & { kind: 'reference' }): string {
    if (ignores) throw new Declined('a reference to a group that ignores case')
    // The number is that of the group among those that are left, in the order of their parentheses
    const groups = nodesOf(this.pattern)
      .filter(node => node.kind === 'group')
      .map(node => node.number)
    return `(?:\\${groups.indexOf(group) + 1})`
  }

  protected override repeat({ body, min, max, mode }: Node & { kind: 'repeat' }): string {
    if (mode === 'possessive') throw new Declined('a possessive repeat')
    // How much a repeat takes does not matter for whether there is a match
    const atom = this.atom(body)
    if (min <= MOST_IN_BRACES && (max <= MOST_IN_BRACES || max === Number.POSITIVE_INFINITY)) {
      return `${atom}${quantifier(min, max)}`
    }
    const full = Math.floor(min / MOST_IN_BRACES)
    const required = `${`${atom}{${MOST_IN_BRACES}}`.repeat(full)}${atom}{${min % MOST_IN_BRACES}}`
    return required + (max === Number.POSITIVE_INFINITY ? `${atom}*` : atMost(atom, max - min))
  }
}

/** Nested, since a run of parts that may all be left out takes long to compile. */
function atMost(atom: string, times: number): string {
  if (times === 0) return ''
  if (times <= MOST_IN_BRACES) return `${atom}{0,${times}}`
  const most = MOST_IN_BRACES
  return `(?:${atom}{0,${most}}|${atom}{${most}}${atMost(atom, times - most)})`
}

/** A transition is made for each kind of characters that the pattern tells apart. */
function checkSize(pattern: Node): void {
  const kinds = new Set<string>()
  for (const node of nodesOf(pattern)) if (node.kind === 'set') kinds.add(node.set.edges.join())
  const most = MOST_TRANSITIONS / Math.max(1, kinds.size)
  if (countRounds(pattern) > most || countTransitions(pattern) > most) {
    throw new Declined('it would become too complex')
  }
}

/** How often the innermost part is written, which bounds what has to be counted. */
function countRounds(node: Node): number {
  const within = childrenOf(node).reduce((sum, child) => sum + countRounds(child), 0)
  return node.kind === 'repeat' ? rounds(node) * Math.max(1, within) : Math.max(1, within)
}

function rounds({ min, max }: Node & { kind: 'repeat' }): number {
  return Number.isFinite(max) ? max : Math.max(1, min)
}

/** References work for groups that are matched just once, and not in lookarounds. */
function checkReferences(pattern: Node): void {
  if (nodesOf(pattern).some(node => node.kind === 'condition')) throw new Declined('a condition on a group')
  for (const group of referredGroups(pattern)) {
    if (!isSetWhenever(pattern, group)) throw new Declined('a reference to a group that may not have matched')
  }
  const references = nodesOf(pattern).filter(node => node.kind === 'reference')
  if (references.length > MOST_REFERENCES)
    throw new Declined(`more than ${MOST_REFERENCES} references to groups`)
  for (const node of nodesOf(pattern)) {
    if (node.kind !== 'look' && node.kind !== 'repeat') continue
    for (const inner of nodesOf(node.body)) {
      if (inner.kind === 'group') throw new Declined(`a group in a ${node.kind} that is referred to`)
      if (inner.kind === 'reference') throw new Declined(`a reference in a ${node.kind}`)
    }
  }
}

function literal(code: number): string {
  if (isPlain(code)) return String.fromCharCode(code)
  if (code === 0x20) return String.fromCharCode(code)
  return code > 0x20 && code < 0x7f ? `\\${String.fromCharCode(code)}` : escaped(code)
}

function escaped(code: number): string {
  return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`
}
