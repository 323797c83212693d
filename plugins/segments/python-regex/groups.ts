import { CATEGORIES } from './characters.ts'
import type { Width } from './syntax.ts'
import type { Tokens } from './tokens.ts'

const NAME = /^[\p{XID_Start}_]\p{XID_Continue}*$/u

/** Whether Python takes it for a name. */
export function isName(text: string): boolean {
  return NAME.test(text)
}

/** The groups of a pattern while it is read. */
export class Groups {
  /** By number, from 1; undefined while the group is open. */
  readonly widths: (Width | undefined)[] = [undefined]
  readonly #names = new Map<string, number>()
  /** Conditions may ask for groups that come later: number → where it was asked for. */
  readonly #asked = new Map<number, number>()
  /** Within a lookbehind: how many groups there were when it began. */
  lookbehindFrom: number | undefined

  open(tokens: Tokens, name: string | undefined): number {
    const number = this.widths.length
    if (name !== undefined) {
      if (this.#names.has(name)) throw tokens.error(`redefinition of group name '${name}'`, name.length + 1)
      this.#names.set(name, number)
    }
    this.widths.push(undefined)
    return number
  }

  close(number: number, width: Width): void {
    this.widths[number] = width
  }

  named(tokens: Tokens, name: string): number {
    const number = this.#names.get(name)
    if (number === undefined) throw tokens.error(`unknown group name '${name}'`, name.length + 1)
    return number
  }

  /** Throws unless the group is there and closed. */
  checkReference(tokens: Tokens, group: number, length: number): void {
    if (group >= this.widths.length) throw tokens.error(`invalid group reference ${group}`, length - 1)
    if (this.widths[group] === undefined) throw tokens.error('cannot refer to an open group', length)
    this.checkLookbehind(tokens, group)
  }

  /** Throws when the group is of the lookbehind that refers to it. */
  checkLookbehind(tokens: Tokens, group: number): void {
    if (this.lookbehindFrom === undefined) return
    if (this.widths[group] === undefined) throw tokens.error('cannot refer to an open group')
    if (group >= this.lookbehindFrom) {
      throw tokens.error('cannot refer to group defined in the same lookbehind subpattern')
    }
  }

  /** The group that a condition asks for, by name or number. */
  condition(tokens: Tokens, text: string): number {
    if (isName(text)) return this.named(tokens, text)
    const number = pythonInteger(text)
    if (number === undefined) throw tokens.error(`bad character in group name '${text}'`, text.length + 1)
    if (number === 0) throw tokens.error('bad group number', text.length + 1)
    if (!this.#asked.has(number)) this.#asked.set(number, tokens.position - text.length - 1)
    return number
  }

  /** Throws when a condition asked for a group that never came; `error` makes the error of a position. */
  checkAsked(error: (message: string, position: number) => Error): void {
    for (const [number, position] of this.#asked) {
      if (number >= this.widths.length) throw error(`invalid group reference ${number}`, position)
    }
  }
}

/** What Python's `int()` makes of it, when that is not negative: blanks around, a sign, `_` and all digits of Unicode. */
function pythonInteger(text: string): number | undefined {
  const { d, s } = CATEGORIES.unicode
  const codes = Array.from(text, c => c.codePointAt(0) as number)
  while (codes.length > 0 && s.has(codes[0] as number)) codes.shift()
  while (codes.length > 0 && s.has(codes.at(-1) as number)) codes.pop()
  const ascii = codes.map(code => {
    const run = d.ranges.find(([first, last]) => code >= first && code <= last)
    return run ? String((code - run[0]) % 10) : String.fromCodePoint(code)
  })
  const digits = ascii.join('')
  return /^(\+?[0-9]+(_[0-9]+)*|-0+(_0+)*)$/.test(digits) ? Number(digits.replaceAll('_', '')) : undefined
}
