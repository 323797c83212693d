import type { Node } from './nodes.ts'

// PostgreSQL makes an automaton without empty transitions: one place for each character of the pattern, counted repeats
// written out, and a transition from each place to each that may come next. A run of n parts that may all be left out has
// n² / 2 of them, and that is what takes seconds or is refused, not the length of a pattern.

/** The automaton of a part of a pattern. */
interface Part {
  /** How many places the part may begin at. */
  readonly first: number
  /** How many places the part may end at. */
  readonly last: number
  readonly transitions: number
  readonly isNullable: boolean
}

const NOTHING: Part = { first: 0, last: 0, transitions: 0, isNullable: true }

/** How many transitions a pattern's automaton has, between places. */
export function countTransitions(pattern: Node): number {
  return partOf(pattern).transitions
}

function partOf(node: Node): Part {
  switch (node.kind) {
    case 'sequence':
      return node.items.map(partOf).reduce(followed, NOTHING)
    case 'choice':
      return node.branches.map(partOf).reduce(or)
    case 'repeat':
      return repeated(partOf(node.body), node.min, node.max)
    case 'group':
    case 'atomic':
      return partOf(node.body)
    case 'look':
      return { first: 1, last: 1, transitions: 1 + partOf(node.body).transitions, isNullable: false }
    default:
      // Places, too: they are transitions that ask something
      return { first: 1, last: 1, transitions: 1, isNullable: node.kind === 'reference' }
  }
}

function followed(a: Part, b: Part): Part {
  return {
    first: a.first + (a.isNullable ? b.first : 0),
    last: b.last + (b.isNullable ? a.last : 0),
    transitions: a.transitions + b.transitions + a.last * b.first,
    isNullable: a.isNullable && b.isNullable,
  }
}

function or(a: Part, b: Part): Part {
  return {
    first: a.first + b.first,
    last: a.last + b.last,
    transitions: a.transitions + b.transitions,
    isNullable: a.isNullable || b.isNullable,
  }
}

function repeated(body: Part, min: number, max: number): Part {
  const isEndless = max === Number.POSITIVE_INFINITY
  const loop = { ...body, transitions: body.transitions + body.last * body.first, isNullable: true }
  let rest: Part = isEndless ? loop : NOTHING
  // `x{0,3}` is `(x(x(x)?)?)?`
  for (let i = min; !isEndless && i < max; i++) rest = { ...followed(body, rest), isNullable: true }
  for (let i = 0; i < min; i++) rest = followed(body, rest)
  return rest
}
