import type { CategoryName } from './characters.ts'

// A pattern as Python reads it, before flags are applied. `parser.ts` makes it, `resolve.ts` finds out what it means.

/** A member of a character class. */
export type ClassItem =
  | { readonly kind: 'character'; readonly code: number }
  | { readonly kind: 'range'; readonly first: number; readonly last: number }
  | { readonly kind: 'category'; readonly name: CategoryName; readonly isNegated: boolean }

/** `greedy` takes as much as it can, `lazy` as little, `possessive` as much as it can and never gives back. */
export type RepeatMode = 'greedy' | 'lazy' | 'possessive'

/** A place between two characters: `^`, `\A`, `$`, `\Z`, `\b`, `\B`. */
export type Place = '^' | 'A' | '$' | 'Z' | 'b' | 'B'

export type Flag = 'i' | 'm' | 's' | 'x' | 'a' | 'u'

export type Syntax =
  | { readonly kind: 'literal'; readonly code: number; readonly isNegated: boolean }
  | { readonly kind: 'any' }
  | { readonly kind: 'class'; readonly items: readonly ClassItem[]; readonly isNegated: boolean }
  | { readonly kind: 'place'; readonly place: Place }
  | {
      readonly kind: 'repeat'
      readonly body: readonly Syntax[]
      readonly min: number
      /** May be infinite. */
      readonly max: number
      readonly mode: RepeatMode
    }
  | {
      readonly kind: 'group'
      /** Undefined when it does not capture. */
      readonly number: number | undefined
      readonly on: ReadonlySet<Flag>
      readonly off: ReadonlySet<Flag>
      readonly body: readonly Syntax[]
    }
  | { readonly kind: 'atomic'; readonly body: readonly Syntax[] }
  | {
      readonly kind: 'look'
      readonly isAhead: boolean
      readonly isNegated: boolean
      readonly body: readonly Syntax[]
    }
  | { readonly kind: 'reference'; readonly group: number }
  | {
      readonly kind: 'condition'
      readonly group: number
      readonly yes: readonly Syntax[]
      readonly no: readonly Syntax[] | undefined
    }
  | { readonly kind: 'choice'; readonly branches: readonly (readonly Syntax[])[] }

/** The least and the greatest number of characters that something matches. */
export interface Width {
  readonly least: number
  /** May be infinite. */
  readonly most: number
}

/** The width of a sequence. `groups` are those of the groups that are closed, by number. */
export function widthOf(items: readonly Syntax[], groups: readonly (Width | undefined)[]): Width {
  let least = 0
  let most = 0
  for (const item of items) {
    const width = itemWidth(item, groups)
    least += width.least
    most += width.most
  }
  return { least, most }
}

const NOTHING: Width = { least: 0, most: 0 }

function itemWidth(item: Syntax, groups: readonly (Width | undefined)[]): Width {
  switch (item.kind) {
    case 'literal':
    case 'any':
    case 'class':
      return { least: 1, most: 1 }
    case 'group':
    case 'atomic':
      return widthOf(item.body, groups)
    case 'repeat': {
      const { least, most } = widthOf(item.body, groups)
      return { least: least * item.min, most: most === 0 ? 0 : most * item.max }
    }
    case 'reference':
      return groups[item.group] ?? NOTHING
    case 'condition':
      return eitherWidth([widthOf(item.yes, groups), widthOf(item.no ?? [], groups)])
    case 'choice':
      return eitherWidth(item.branches.map(branch => widthOf(branch, groups)))
    default:
      return NOTHING
  }
}

function eitherWidth(widths: readonly Width[]): Width {
  return {
    least: Math.min(...widths.map(width => width.least)),
    most: Math.max(...widths.map(width => width.most)),
  }
}
