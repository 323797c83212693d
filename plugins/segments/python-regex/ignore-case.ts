import { type Alphabet, CASES, CATEGORIES, UPPER_BEYOND } from './characters.ts'
import { CharSet } from './charset.ts'
import type { ClassItem } from './syntax.ts'

// Which characters a literal or a class stands for. Without regard to case this follows Python step by step, since its answer
// is not that of any other engine: it makes the character of the text lower case and looks for that in a set which was made
// lower case before.

const PAST_BASIC_PLANE = 0x10000

/** What {@link literalIgnoringCase} has found. No more than there are characters that have another case, 2,927. */
const found: Readonly<Record<Alphabet, Map<number, CharSet>>> = { unicode: new Map(), ascii: new Map() }

/** The characters that `code` stands for where case is ignored. */
export function literalIgnoringCase(code: number, alphabet: Alphabet): CharSet {
  const cases = CASES[alphabet]
  if (!cases.cased.has(code)) return CharSet.range(code)
  const known = found[alphabet].get(code)
  if (known) return known
  const lower = cases.lower.get(code) ?? code
  const set = whoseLowerIsIn(CharSet.of([lower, ...(cases.sameUpper.get(lower) ?? [])]), alphabet)
  found[alphabet].set(code, set)
  return set
}

/** The characters that a class of these members stands for, or all others when it is negated. */
export function classSet(
  items: readonly ClassItem[],
  isNegated: boolean,
  alphabet: Alphabet,
  ignoresCase: boolean,
): CharSet {
  let set = CharSet.NONE
  let hasCase = false
  for (const item of items) {
    set = set.union(ignoresCase ? lowered(item, alphabet) : plain(item, alphabet))
    hasCase ||= ignoresCase && isCased(item, alphabet)
  }
  if (isNegated) set = set.complement()
  return hasCase ? whoseLowerIsIn(set, alphabet) : set
}

function plain(item: ClassItem, alphabet: Alphabet): CharSet {
  if (item.kind === 'character') return CharSet.range(item.code)
  if (item.kind === 'range') return CharSet.range(item.first, item.last)
  const set = CATEGORIES[alphabet][item.name]
  return item.isNegated ? set.complement() : set
}

/** Python takes all members beyond the basic plane for cased. */
function isCased(item: ClassItem, alphabet: Alphabet): boolean {
  if (item.kind === 'category') return false
  const last = item.kind === 'range' ? item.last : item.code
  return last >= PAST_BASIC_PLANE || !plain(item, alphabet).isApartFrom(CASES[alphabet].cased)
}

function lowered(item: ClassItem, alphabet: Alphabet): CharSet {
  if (item.kind === 'category') return plain(item, alphabet)
  const { lower, changing, sameUpper } = CASES[alphabet]
  const codes: number[] = []
  const beyond = plain(item, alphabet).without(CharSet.range(0, PAST_BASIC_PLANE - 1))
  const basic = plain(item, alphabet).without(beyond)
  for (const [code, to] of lower) if (basic.has(code)) codes.push(to)
  let set = basic.without(changing).union(CharSet.of(codes))
  for (const [code, others] of sameUpper) if (set.has(code)) codes.push(...others)
  set = set.union(CharSet.of(codes))
  if (beyond.isEmpty) return set
  // Beyond the basic plane Python does not make members lower case; of ranges it looks at the upper case too.
  set = set.union(plain(item, alphabet))
  if (item.kind === 'character') return set
  const uppers = [...UPPER_BEYOND].filter(([, upper]) => upper >= item.first && upper <= item.last)
  return set.union(CharSet.of(uppers.map(([code]) => code)))
}

/** Every character that is in the set once it is made lower case. */
function whoseLowerIsIn(set: CharSet, alphabet: Alphabet): CharSet {
  const { lower, changing } = CASES[alphabet]
  const codes: number[] = []
  for (const [code, to] of lower) if (set.has(to)) codes.push(code)
  return set.without(changing).union(CharSet.of(codes))
}
