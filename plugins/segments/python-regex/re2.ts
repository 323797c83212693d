import { CATEGORIES } from './characters.ts'
import type { CharSet } from './charset.ts'
import { childrenOf, isNullable, type Node, type PlaceKind } from './nodes.ts'
import { brackets, Declined, hex, isPlain, quantifier, RegexWriter } from './writer.ts'

/** The greatest number in braces, also of repeats within repeats together. */
const MOST_IN_BRACES = 1_000
/** How large the program may become. A set counts one for each of its ranges. */
const MOST_INSTRUCTIONS = 50_000

/**
 * The same regular expression for RE2, in ASCII, for ClickHouse's `match(text, regex)`.
 *
 * @throws {Declined} what RE2 has not: lookarounds, references, atomic groups
 */
export function toRe2(pattern: Node): string {
  checkSize(pattern)
  return `^${new Re2Writer(pattern).write(pattern)}`
}

class Re2Writer extends RegexWriter {
  protected override readonly longest = 200_000
  readonly #mayBeEmpty: boolean

  constructor(pattern: Node) {
    super()
    this.#mayBeEmpty = isNullable(pattern)
  }

  protected override set(set: CharSet): string {
    if (set.isEmpty) return '[^\\x{0}-\\x{10ffff}]'
    if (set.isAll) return '[\\x{0}-\\x{10ffff}]'
    if (set.size === 1) return literal(set.edges[0] as number)
    return brackets(set, code => (isPlain(code) ? String.fromCharCode(code) : escaped(code)))
  }

  protected override place(place: PlaceKind): string {
    switch (place) {
      case 'textStart':
        return '\\A'
      case 'textEnd':
        return '\\z'
      case 'lineStart':
        return '(?m:^)'
      case 'lineEnd':
        return '(?m:$)'
      case 'lastLineEnd':
        throw new Declined('`$` with something after it')
    }
  }

  protected override boundary({ word, isNegated }: Node & { kind: 'boundary' }): string {
    const isAscii = word === CATEGORIES.ascii.w
    if (!isAscii) throw new Declined('a boundary of a word between characters that may be anything')
    // Unlike Python, RE2 finds one in an empty text
    if (isNegated && this.#mayBeEmpty) throw new Declined('`\\B` where the text may be empty')
    return isNegated ? '\\B' : '\\b'
  }

  protected override group({ body }: Node & { kind: 'group' }): string {
    return `(?:${this.write(body)})`
  }

  protected override atomic(): string {
    throw new Declined('an atomic group or a possessive repeat')
  }

  protected override look({ isAhead }: Node & { kind: 'look' }): string {
    throw new Declined(isAhead ? 'a lookahead' : 'a lookbehind')
  }

  protected override reference(): string {
    throw new Declined('a reference to a group')
  }

  protected override repeat({ body, min, max, mode }: Node & { kind: 'repeat' }): string {
    if (mode === 'possessive') throw new Declined('a possessive repeat')
    return `${this.atom(body)}${quantifier(min, max)}`
  }
}

function checkSize(pattern: Node): void {
  if (countRounds(pattern) > MOST_IN_BRACES) throw new Declined('repeats of more than 1,000 rounds')
  if (countInstructions(pattern) > MOST_INSTRUCTIONS) throw new Declined('it would become too complex')
}

/** The most rounds of counted repeats within each other. */
function countRounds(node: Node): number {
  const within = Math.max(1, ...childrenOf(node).map(countRounds))
  if (node.kind !== 'repeat') return within
  return within * (Number.isFinite(node.max) ? node.max : Math.max(1, node.min))
}

function countInstructions(node: Node): number {
  if (node.kind === 'set') return node.set.edges.length / 2 + 1
  const within = childrenOf(node).reduce((sum, child) => sum + countInstructions(child), 1)
  if (node.kind !== 'repeat') return within
  return within * (Number.isFinite(node.max) ? node.max : Math.max(1, node.min))
}

function literal(code: number): string {
  if (isPlain(code) || code === 0x20) return String.fromCharCode(code)
  return code > 0x20 && code < 0x7f ? `\\${String.fromCharCode(code)}` : escaped(code)
}

function escaped(code: number): string {
  return `\\x{${hex(code, 1)}}`
}
