import { NEWLINE } from './characters.ts'
import { CharSet } from './charset.ts'
import type { Node, PlaceKind } from './nodes.ts'

/** What may be on one side of a place in a match: one of these characters, or nothing at all when `isOpen`. */
export interface Neighbour {
  readonly set: CharSet
  /** Whether the text may begin or end here. */
  readonly isOpen: boolean
}

export const ANYTHING: Neighbour = { set: CharSet.ALL, isOpen: true }
export const TEXT_EDGE: Neighbour = { set: CharSet.NONE, isOpen: true }

export function either(a: Neighbour, b: Neighbour): Neighbour {
  return { set: a.set.union(b.set), isOpen: a.isOpen || b.isOpen }
}

/** What may come next where `node` begins, when `after` is what may follow it. Rather too much than too little. */
export function firstOf(node: Node, after: Neighbour): Neighbour {
  return neighbourOf(node, after, { place: LEFT, inward: items => items.toReversed() })
}

/** What may have come last where `node` ends, when `before` is what may precede it. Rather too much than too little. */
export function lastOf(node: Node, before: Neighbour): Neighbour {
  return neighbourOf(node, before, { place: RIGHT, inward: items => items })
}

/** What a place says of the side that is looked at. */
type PlaceRule = Partial<Readonly<Record<PlaceKind, CharSet>>>

const LEFT: PlaceRule = { textEnd: CharSet.NONE, lineEnd: NEWLINE, lastLineEnd: NEWLINE }
const RIGHT: PlaceRule = { textStart: CharSet.NONE, lineStart: NEWLINE }

interface Side {
  readonly place: PlaceRule
  /** The items of a sequence, from the far side to the near one. */
  inward(items: readonly Node[]): readonly Node[]
}

function neighbourOf(node: Node, beyond: Neighbour, side: Side): Neighbour {
  switch (node.kind) {
    case 'set':
      return { set: node.set, isOpen: false }
    case 'sequence':
      return side.inward(node.items).reduce((found, item) => neighbourOf(item, found, side), beyond)
    case 'choice':
      return node.branches.map(branch => neighbourOf(branch, beyond, side)).reduce(either)
    case 'condition':
      return either(neighbourOf(node.yes, beyond, side), neighbourOf(node.no, beyond, side))
    case 'repeat': {
      const found = neighbourOf(node.body, beyond, side)
      return node.min === 0 ? either(found, beyond) : found
    }
    case 'group':
    case 'atomic':
      return neighbourOf(node.body, beyond, side)
    case 'reference':
      return ANYTHING
    case 'place': {
      const allowed = side.place[node.place]
      return allowed ? { set: beyond.set.intersect(allowed), isOpen: beyond.isOpen } : beyond
    }
    default:
      return beyond
  }
}
