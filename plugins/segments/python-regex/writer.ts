import type { CharSet } from './charset.ts'
import type { Node, PlaceKind } from './nodes.ts'

/** Why an engine cannot be given a pattern. */
export class Declined extends Error {}

type Of<Kind extends Node['kind']> = Extract<Node, { kind: Kind }>

/** Writes a pattern for one engine. Each engine says what differs. */
export abstract class RegexWriter {
  /** The longest text that is worth sending, in characters. */
  protected abstract readonly longest: number
  #written = 0

  /** The pattern's text. @throws {Declined} */
  write(node: Node): string {
    switch (node.kind) {
      case 'set':
        return this.#counted(this.set(node.set))
      case 'sequence':
        return node.items.map(item => this.write(item)).join('')
      case 'choice':
        return `(?:${node.branches.map(branch => this.write(branch)).join('|')})`
      case 'repeat':
        return this.repeat(node)
      case 'group':
        return this.group(node)
      case 'atomic':
        return this.atomic(node)
      case 'look':
        return this.look(node)
      case 'reference':
        return this.reference(node)
      case 'condition':
        throw new Declined('a condition on a group')
      case 'place':
        return this.#counted(this.place(node.place))
      case 'boundary':
        return this.boundary(node)
    }
  }

  protected abstract set(set: CharSet): string
  protected abstract place(place: PlaceKind): string
  protected abstract boundary(node: Of<'boundary'>): string
  protected abstract group(node: Of<'group'>): string
  protected abstract atomic(node: Of<'atomic'>): string
  protected abstract look(node: Of<'look'>): string
  protected abstract reference(node: Of<'reference'>): string
  protected abstract repeat(node: Of<'repeat'>): string

  /** Something that a quantifier can follow. */
  protected atom(node: Node): string {
    const text = this.write(node)
    return node.kind === 'set' || node.kind === 'group' || node.kind === 'choice' ? text : `(?:${text})`
  }

  #counted(text: string): string {
    this.#written += text.length
    if (this.#written > this.longest) throw new Declined('it would become too long')
    return text
  }
}

/** `*`, `{2,3}`… */
export function quantifier(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`
  if (min === 0 && max === 1) return '?'
  return min === max ? `{${min}}` : `{${min},${max}}`
}

/**
 * `[a-z]`, or `[^…]` where that is shorter.
 *
 * @param writeCode a character within brackets
 */
export function brackets(set: CharSet, writeCode: (code: number) => string): string {
  const others = set.complement()
  const isNegated = others.edges.length < set.edges.length
  const ranges = (isNegated ? others : set).ranges.map(([first, last]) => {
    if (first === last) return writeCode(first)
    return `${writeCode(first)}${last === first + 1 ? '' : '-'}${writeCode(last)}`
  })
  return `[${isNegated ? '^' : ''}${ranges.join('')}]`
}

/** Letters and digits of ASCII and `_`, which stand for themselves wherever they are. */
export function isPlain(code: number): boolean {
  return (
    code === 0x5f ||
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a)
  )
}

/** A number in hexadecimal digits, at least so many. */
export function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0')
}
