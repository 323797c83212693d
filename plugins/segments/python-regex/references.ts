import { childrenOf, isNullable, type Node } from './nodes.ts'

// Engines disagree on references to groups that have not matched, or that matched in an earlier round of a repeat.

/** Whether the group has matched, and in the latest round, wherever the pattern refers to it. */
export function isSetWhenever(pattern: Node, group: number): boolean {
  return check(pattern, group, false) !== 'unset'
}

/** Whether the group is set after the node; `unset`: there was a reference before it was. */
function check(node: Node, group: number, isSet: boolean): boolean | 'unset' {
  switch (node.kind) {
    case 'reference':
      return node.group !== group || isSet ? isSet : 'unset'
    case 'group': {
      const inner = check(node.body, group, isSet)
      return inner === 'unset' ? inner : inner || node.number === group
    }
    case 'sequence': {
      let now: boolean | 'unset' = isSet
      for (const item of node.items) {
        now = check(item, group, now)
        if (now === 'unset') return now
      }
      return now
    }
    case 'repeat': {
      // A later round begins without what the earlier one has set
      const inner = check(node.body, group, isSet)
      if (inner === 'unset') return inner
      // Engines disagree on whether a round that matched nothing is one
      if (node.min > 0 && !isNullable(node.body)) return inner
      return inner && isSet
    }
    case 'look': {
      const inner = check(node.body, group, isSet)
      return inner === 'unset' || !node.isNegated ? inner : isSet
    }
    default: {
      const all = childrenOf(node).map(child => check(child, group, isSet))
      if (all.includes('unset')) return 'unset'
      return all.length === 0 ? isSet : all.every(Boolean)
    }
  }
}
