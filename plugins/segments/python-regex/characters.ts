import { CharSet } from './charset.ts'
import { CASED, DIGIT, LOWER, SAME_UPPER, SPACE, UPPER, WORD } from './python-unicode.ts'

// What Python means by a letter, a digit and a blank, and which characters it holds for the same but for their case.

export const NEWLINE: CharSet = CharSet.range(0x0a)

/** `\d`, `\s` and `\w`. */
export type CategoryName = 'd' | 's' | 'w'

/** How characters are told apart: as Unicode says, or ASCII's letters, digits and blanks alone (the flag `a`). */
export type Alphabet = 'unicode' | 'ascii'

export const CATEGORIES: Readonly<Record<Alphabet, Readonly<Record<CategoryName, CharSet>>>> = {
  unicode: { d: fromSteps(DIGIT), s: fromSteps(SPACE), w: fromSteps(WORD) },
  ascii: {
    d: CharSet.range(0x30, 0x39),
    s: CharSet.of([0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]),
    w: new CharSet([0x30, 0x3a, 0x41, 0x5b, 0x5f, 0x60, 0x61, 0x7b]),
  },
}

/** What a case-insensitive match needs to know. */
export interface Cases {
  /** Has another case. */
  readonly cased: CharSet
  /** Only what changes. */
  readonly lower: ReadonlyMap<number, number>
  /** What changes when it is made lower case. */
  readonly changing: CharSet
  /** The other lower case characters that have the same upper case. */
  readonly sameUpper: ReadonlyMap<number, readonly number[]>
}

const ASCII_UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

export const CASES: Readonly<Record<Alphabet, Cases>> = {
  unicode: casesOf(fromSteps(CASED), fromRuns(LOWER), fromFamilies(SAME_UPPER)),
  ascii: casesOf(
    new CharSet([0x41, 0x5b, 0x61, 0x7b]),
    new Map(Array.from(ASCII_UPPER, c => [c.charCodeAt(0), c.toLowerCase().charCodeAt(0)])),
    new Map(),
  ),
}

/** Upper case, of characters beyond the basic plane only. */
export const UPPER_BEYOND: ReadonlyMap<number, number> = fromRuns(UPPER)

function casesOf(cased: CharSet, lower: Cases['lower'], sameUpper: Cases['sameUpper']): Cases {
  return { cased, lower, changing: CharSet.of(lower.keys()), sameUpper }
}

function fromSteps(steps: string): CharSet {
  let at = 0
  return new CharSet(steps.split(' ').map(step => (at += Number.parseInt(step, 36))))
}

function fromRuns(runs: string): Map<number, number> {
  const map = new Map<number, number>()
  for (const run of runs.split(' ')) {
    const [first = '', count = '', step = '', distance = ''] = run.split(',')
    for (let i = 0; i < Number.parseInt(count, 16); i++) {
      const code = Number.parseInt(first, 16) + i * Number(step)
      map.set(code, code + Number(distance))
    }
  }
  return map
}

function fromFamilies(families: string): Map<number, readonly number[]> {
  return new Map(
    families.split(' ').map(family => {
      const [code, ...others] = family.split(',').map(hex => Number.parseInt(hex, 16))
      return [code as number, others]
    }),
  )
}
