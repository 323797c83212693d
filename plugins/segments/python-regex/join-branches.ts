import type { ClassItem, Syntax } from './syntax.ts'

// Python shortens alternatives while it reads them, and what it makes of case afterwards depends on it.

/** `ab|ac` becomes `a(?:b|c)`, and `b|c` becomes `[bc]`. */
export function joinBranches(branches: readonly (readonly Syntax[])[]): readonly Syntax[] {
  const [first] = branches
  if (branches.length === 1 && first) return first
  let prefix = 0
  while (hasSameAt(branches, prefix)) prefix++
  const rests = branches.map(branch => branch.slice(prefix))
  const common = first?.slice(0, prefix) ?? []
  const items = rests.map(rest => (rest.length === 1 ? classItems(rest[0]) : undefined))
  if (items.every(found => found !== undefined)) return [...common, classOf(items.flat())]
  return [...common, { kind: 'choice', branches: rests }]
}

/** What does nothing but match a character or a place; groups and repeats are never the same. */
function isLeaf(item: Syntax): boolean {
  return ['literal', 'any', 'class', 'place', 'reference'].includes(item.kind)
}

function hasSameAt(branches: readonly (readonly Syntax[])[], index: number): boolean {
  const first = branches[0]?.[index]
  if (first === undefined || !isLeaf(first)) return false
  const text = JSON.stringify(first)
  return branches.every(branch => branch[index] !== undefined && JSON.stringify(branch[index]) === text)
}

function classItems(item: Syntax | undefined): readonly ClassItem[] | undefined {
  if (item?.kind === 'class' && !item.isNegated) return item.items
  if (item?.kind === 'literal' && !item.isNegated) return [{ kind: 'character', code: item.code }]
  return undefined
}

function classOf(items: readonly ClassItem[]): Syntax {
  return { kind: 'class', items, isNegated: false }
}
