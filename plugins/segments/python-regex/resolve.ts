import { type Alphabet, CATEGORIES, NEWLINE } from './characters.ts'
import { CharSet } from './charset.ts'
import { PythonRegexError } from './error.ts'
import { classSet, literalIgnoringCase } from './ignore-case.ts'
import { EMPTY, type Node, type PlaceKind, sequence } from './nodes.ts'
import type { ParsedPattern } from './parser.ts'
import { type Flag, type Place, type Syntax, type Width, widthOf } from './syntax.ts'

/** Python's MAXCODE. */
const MOST_BEHIND = 2 ** 32 - 1

/** The flags in force. */
interface Flags {
  readonly alphabet: Alphabet
  readonly ignoresCase: boolean
  readonly isMultiline: boolean
  readonly dotIsAll: boolean
}

/**
 * Applies flags: what a pattern means.
 *
 * @throws {PythonRegexError} a lookbehind whose width is not fixed
 */
export function resolvePattern({ items, flags, groups }: ParsedPattern): Node {
  const none: Flags = { alphabet: 'unicode', ignoresCase: false, isMultiline: false, dotIsAll: false }
  return resolveAll(items, withFlags(none, flags, new Set()), groups.widths)
}

function withFlags(flags: Flags, on: ReadonlySet<Flag>, off: ReadonlySet<Flag>): Flags {
  const holds = (flag: Flag, before: boolean) => (before || on.has(flag)) && !off.has(flag)
  const alphabet: Alphabet = on.has('a') ? 'ascii' : on.has('u') ? 'unicode' : flags.alphabet
  return {
    alphabet,
    ignoresCase: holds('i', flags.ignoresCase),
    isMultiline: holds('m', flags.isMultiline),
    dotIsAll: holds('s', flags.dotIsAll),
  }
}

type Widths = readonly (Width | undefined)[]

function resolveAll(items: readonly Syntax[], flags: Flags, widths: Widths): Node {
  return sequence(items.map(item => resolve(item, flags, widths)))
}

function resolve(item: Syntax, flags: Flags, widths: Widths): Node {
  const inner = (items: readonly Syntax[], changed = flags) => resolveAll(items, changed, widths)
  switch (item.kind) {
    case 'literal': {
      const set = flags.ignoresCase
        ? literalIgnoringCase(item.code, flags.alphabet)
        : CharSet.range(item.code)
      return { kind: 'set', set: item.isNegated ? set.complement() : set }
    }
    case 'any':
      return { kind: 'set', set: flags.dotIsAll ? CharSet.ALL : NEWLINE.complement() }
    case 'class':
      return { kind: 'set', set: classSet(item.items, item.isNegated, flags.alphabet, flags.ignoresCase) }
    case 'place':
      return resolvePlace(item.place, flags)
    case 'repeat':
      return { kind: 'repeat', body: inner(item.body), min: item.min, max: item.max, mode: item.mode }
    case 'group': {
      const body = inner(item.body, withFlags(flags, item.on, item.off))
      return item.number === undefined ? body : { kind: 'group', number: item.number, body }
    }
    case 'atomic':
      return { kind: 'atomic', body: inner(item.body) }
    case 'look':
      if (!item.isAhead) checkFixedWidth(widthOf(item.body, widths))
      return { kind: 'look', isAhead: item.isAhead, isNegated: item.isNegated, body: inner(item.body) }
    case 'reference':
      return {
        kind: 'reference',
        group: item.group,
        ignores: flags.ignoresCase ? flags.alphabet : undefined,
      }
    case 'condition':
      return {
        kind: 'condition',
        group: item.group,
        yes: inner(item.yes),
        no: item.no ? inner(item.no) : EMPTY,
      }
    case 'choice':
      return { kind: 'choice', branches: item.branches.map(branch => inner(branch)) }
  }
}

function resolvePlace(place: Place, flags: Flags): Node {
  if (place === 'b' || place === 'B') {
    return { kind: 'boundary', word: CATEGORIES[flags.alphabet].w, isNegated: place === 'B' }
  }
  const kinds: Readonly<Record<typeof place, PlaceKind>> = {
    '^': flags.isMultiline ? 'lineStart' : 'textStart',
    A: 'textStart',
    $: flags.isMultiline ? 'lineEnd' : 'lastLineEnd',
    Z: 'textEnd',
  }
  return { kind: 'place', place: kinds[place] }
}

function checkFixedWidth({ least, most }: Width): void {
  if (least > MOST_BEHIND) throw new PythonRegexError('looks too much behind', 0)
  if (least !== most) throw new PythonRegexError('look-behind requires fixed-width pattern', 0)
}
