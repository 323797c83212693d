import { NEWLINE } from './characters.ts'
import type { CharSet } from './charset.ts'
import { ANYTHING, either, firstOf, lastOf, type Neighbour, TEXT_EDGE } from './neighbours.ts'
import {
  EMPTY,
  isEmpty,
  isNever,
  isZeroWidth,
  NEVER,
  type Node,
  nodesOf,
  referredGroups,
  sequence,
} from './nodes.ts'

// Other engines lack half of what Python has, but patterns seldom need it: `\bfoo\b$` is full of assertions, and all of them
// can be said with plain characters. Everything here keeps the verdict of a match from the text's start, and no more.

/** Where a node stands. */
interface Surroundings {
  readonly before: Neighbour
  readonly after: Neighbour
  /** Whether nothing follows, so that it does not matter where the match ends. */
  readonly isTail: boolean
}

/** Says the same with less, for a match that begins where the text begins. */
export function simplify(pattern: Node): Node {
  return new Simplifier(referredGroups(pattern)).node(pattern, {
    before: TEXT_EDGE,
    after: ANYTHING,
    isTail: true,
  })
}

class Simplifier {
  readonly #referred: ReadonlySet<number>

  constructor(referred: ReadonlySet<number>) {
    this.#referred = referred
  }

  node(node: Node, around: Surroundings): Node {
    switch (node.kind) {
      case 'set':
      case 'reference':
        return node
      case 'sequence':
        return this.#sequence(node.items, around)
      case 'choice':
        return choice(node.branches.map(branch => this.node(branch, around)))
      case 'repeat':
        return this.#repeat(node, around)
      case 'group': {
        const body = this.node(node.body, around)
        return this.#referred.has(node.number) ? { kind: 'group', number: node.number, body } : body
      }
      case 'atomic': {
        const body = this.node(node.body, around)
        return around.isTail || hasOneWay(body) ? body : { kind: 'atomic', body }
      }
      case 'look':
        return this.#look(node, around)
      case 'condition':
        return { ...node, yes: this.node(node.yes, around), no: this.node(node.no, around) }
      case 'place':
        return place(node, around)
      case 'boundary':
        return boundary(node, around)
    }
  }

  #sequence(items: readonly Node[], around: Surroundings): Node {
    // What follows each item, from the last to the first
    const afters: Neighbour[] = []
    let after = around.after
    for (const item of items.toReversed()) {
      afters.push(after)
      after = firstOf(item, after)
    }
    afters.reverse()
    let before = around.before
    const simple = items.map((item, i) => {
      const isTail = around.isTail && i === items.length - 1
      const found = this.node(item, { before, after: afters[i] ?? ANYTHING, isTail })
      before = lastOf(found, before)
      return found
    })
    return simple.some(isNever) ? NEVER : sequence(simple)
  }

  #repeat(node: Node & { kind: 'repeat' }, around: Surroundings): Node {
    const isOnce = node.max <= 1
    const body = this.node(node.body, {
      before: isOnce ? around.before : either(around.before, lastOf(node.body, around.before)),
      after: isOnce ? around.after : either(around.after, firstOf(node.body, around.after)),
      isTail: around.isTail && isOnce,
    })
    if (node.max === 0 || (isNever(body) && node.min === 0)) return EMPTY
    if (isNever(body)) return NEVER
    if (isZeroWidth(body) && !this.#isReferredIn(body)) return node.min === 0 ? EMPTY : body
    const greedy: Node = node.min === 1 && node.max === 1 ? body : { ...node, body, mode: 'greedy' }
    if (node.mode !== 'possessive') return greedy.kind === 'repeat' ? { ...greedy, mode: node.mode } : greedy
    return possessive(node, body, greedy, around)
  }

  #look(node: Node & { kind: 'look' }, around: Surroundings): Node {
    const { isAhead, isNegated } = node
    const isReferred = this.#isReferredIn(node.body)
    const body = this.node(
      node.body,
      isAhead
        ? { before: around.before, after: ANYTHING, isTail: !isReferred }
        : { before: ANYTHING, after: around.after, isTail: false },
    )
    if (isReferred) return { ...node, body }
    if (isNever(body)) return isNegated ? EMPTY : NEVER
    if (isEmpty(body)) return isNegated ? NEVER : EMPTY
    if (body.kind === 'set') return lookAtOne(isAhead, body.set, isNegated, around)
    return isAhead && !isNegated && around.isTail ? body : { ...node, body }
  }

  #isReferredIn(node: Node): boolean {
    if (this.#referred.size === 0) return false
    return nodesOf(node).some(inner => inner.kind === 'group' && this.#referred.has(inner.number))
  }
}

function choice(branches: readonly Node[]): Node {
  const left = branches.filter(branch => !isNever(branch))
  const [first] = left
  if (first === undefined) return NEVER
  if (left.length === 1) return first
  const sets = left.map(branch => (branch.kind === 'set' ? branch.set : undefined))
  if (sets.every(set => set !== undefined)) return { kind: 'set', set: sets.reduce((a, b) => a.union(b)) }
  return { kind: 'choice', branches: left }
}

/** Whether it matches at a place in one way at most, so that there is nothing to give back. */
function hasOneWay(node: Node): boolean {
  for (const inner of nodesOf(node)) {
    if (inner.kind === 'choice' || inner.kind === 'condition') return false
    if (inner.kind === 'repeat' && inner.min !== inner.max) return false
  }
  return true
}

/**
 * Repeats that give nothing back. Python does not try the earlier rounds otherwise even when it has not reached the least
 * number, unlike an atomic group around a greedy repeat.
 */
function possessive(node: Node & { kind: 'repeat' }, body: Node, greedy: Node, around: Surroundings): Node {
  if (hasOneWay(greedy)) return greedy
  if (node.min > 1 && !hasOneWay(body)) return { ...node, body }
  if (around.isTail) return greedy
  const { after } = around
  // Where the rest cannot begin with what is repeated, there is nothing that it could be given
  if (body.kind === 'set' && node.max === Number.POSITIVE_INFINITY && after.set.isApartFrom(body.set))
    return greedy
  return { kind: 'atomic', body: greedy }
}

/** What is known of a character beside a place; undefined when it may be either. */
function isIn(set: CharSet, { set: neighbours, isOpen }: Neighbour): boolean | undefined {
  if (neighbours.isApartFrom(set)) return false
  return !isOpen && neighbours.isWithin(set) ? true : undefined
}

const TEXT_END: Node = { kind: 'place', place: 'textEnd' }

/** The next character (or the last) is one of the set, or is not. */
function lookAtOne(isAhead: boolean, set: CharSet, isNegated: boolean, around: Surroundings): Node {
  const known = isIn(set, isAhead ? around.after : around.before)
  if (known !== undefined) return known !== isNegated ? EMPTY : NEVER
  const one: Node = { kind: 'set', set }
  if (isAhead && around.isTail) {
    return isNegated ? { kind: 'choice', branches: [{ kind: 'set', set: set.complement() }, TEXT_END] } : one
  }
  return { kind: 'look', isAhead, isNegated, body: one }
}

function place(node: Node & { kind: 'place' }, around: Surroundings): Node {
  const { before, after, isTail } = around
  const newline: Node = { kind: 'set', set: NEWLINE }
  switch (node.place) {
    case 'textStart':
      if (!before.isOpen) return NEVER
      return before.set.isEmpty ? EMPTY : node
    case 'lineStart':
      if (before.set.isEmpty && before.isOpen) return EMPTY
      return isIn(NEWLINE, before) === true ? EMPTY : node
    case 'textEnd':
      return node
    case 'lineEnd':
      if (isTail) return { kind: 'choice', branches: [newline, TEXT_END] }
      return after.set.isApartFrom(NEWLINE) ? TEXT_END : node
    case 'lastLineEnd':
      if (isTail) {
        const optional: Node = { kind: 'repeat', body: newline, min: 0, max: 1, mode: 'greedy' }
        return sequence([optional, TEXT_END])
      }
      return after.set.isApartFrom(NEWLINE) ? TEXT_END : node
  }
}

/** Where one side is known, the other side is all there is to ask. */
function boundary(node: Node & { kind: 'boundary' }, around: Surroundings): Node {
  const { word, isNegated } = node
  // In an empty text there is neither a boundary nor none
  if (isNegated && around.before.isOpen && around.after.isOpen) return node
  const last = isIn(word, around.before)
  if (last !== undefined) return lookAtOne(true, word, last !== isNegated, around)
  const next = isIn(word, around.after)
  if (next !== undefined) return lookAtOne(false, word, next !== isNegated, around)
  return node
}
