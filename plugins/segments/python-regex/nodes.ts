import type { Alphabet } from './characters.ts'
import { CharSet } from './charset.ts'
import type { RepeatMode } from './syntax.ts'

// What a pattern means, with all flags applied: the tree that is written for each engine.

export type Node =
  /** One character of the set. */
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  /** The first that matches. */
  | { readonly kind: 'choice'; readonly branches: readonly Node[] }
  | {
      readonly kind: 'repeat'
      readonly body: Node
      readonly min: number
      /** May be infinite. */
      readonly max: number
      readonly mode: RepeatMode
    }
  | { readonly kind: 'group'; readonly number: number; readonly body: Node }
  /** What has matched is not matched otherwise when the rest fails. */
  | { readonly kind: 'atomic'; readonly body: Node }
  | { readonly kind: 'look'; readonly isAhead: boolean; readonly isNegated: boolean; readonly body: Node }
  /** The text that the group matched; fails when it has matched none. `ignores` case when it is set. */
  | { readonly kind: 'reference'; readonly group: number; readonly ignores: Alphabet | undefined }
  | { readonly kind: 'condition'; readonly group: number; readonly yes: Node; readonly no: Node }
  | { readonly kind: 'place'; readonly place: PlaceKind }
  /** Between a character of `word` and one that is not, or the text's start or end. Never in an empty text. */
  | { readonly kind: 'boundary'; readonly word: CharSet; readonly isNegated: boolean }

/**
 * - `textStart`, `textEnd`: of the whole text.
 * - `lineStart`: `textStart`, and after each newline. `lineEnd`: `textEnd`, and before each newline.
 * - `lastLineEnd`: `textEnd`, and before a newline that ends the text.
 */
export type PlaceKind = 'textStart' | 'textEnd' | 'lineStart' | 'lineEnd' | 'lastLineEnd'

export const EMPTY: Node = Object.freeze({ kind: 'sequence', items: [] })

/** What matches nowhere. */
export const NEVER: Node = Object.freeze({ kind: 'set', set: CharSet.NONE })

/** A sequence without sequences in it. */
export function sequence(items: readonly Node[]): Node {
  const flat = items.flatMap(item => (item.kind === 'sequence' ? item.items : [item]))
  return flat.length === 1 ? (flat[0] as Node) : { kind: 'sequence', items: flat }
}

export function isEmpty(node: Node): boolean {
  return node.kind === 'sequence' && node.items.length === 0
}

export function isNever(node: Node): boolean {
  return node.kind === 'set' && node.set.isEmpty
}

/** The nodes directly within a node. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'sequence':
      return node.items
    case 'choice':
      return node.branches
    case 'repeat':
    case 'group':
    case 'atomic':
    case 'look':
      return [node.body]
    case 'condition':
      return [node.yes, node.no]
    default:
      return []
  }
}

/** A node and all that is within it, outer ones first, in the order of the pattern. */
export function nodesOf(node: Node): readonly Node[] {
  const found: Node[] = []
  const left = [node]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    found.push(next)
    left.push(...childrenOf(next).toReversed())
  }
  return found
}

/** The groups that are referred to anywhere within. */
export function referredGroups(node: Node): ReadonlySet<number> {
  const groups = new Set<number>()
  for (const inner of nodesOf(node)) {
    if (inner.kind === 'reference' || inner.kind === 'condition') groups.add(inner.group)
  }
  return groups
}

/** Whether it can match no characters at all. */
export function isNullable(node: Node): boolean {
  switch (node.kind) {
    case 'set':
      return false
    case 'sequence':
      return node.items.every(isNullable)
    case 'choice':
      return node.branches.some(isNullable)
    case 'repeat':
      return node.min === 0 || isNullable(node.body)
    case 'group':
    case 'atomic':
      return isNullable(node.body)
    case 'condition':
      return isNullable(node.yes) || isNullable(node.no)
    default:
      return true
  }
}

/** Whether it never matches a character: it says something of a place only. */
export function isZeroWidth(node: Node): boolean {
  switch (node.kind) {
    case 'set':
    case 'reference':
      return false
    case 'look':
      return true
    default:
      return childrenOf(node).every(isZeroWidth)
  }
}
