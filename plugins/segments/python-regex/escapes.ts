import type { CategoryName } from './characters.ts'
import type { ClassItem, Place, Syntax } from './syntax.ts'
import type { Tokens } from './tokens.ts'

const CHARACTERS: Readonly<Record<string, number>> = {
  '\\a': 0x07,
  '\\b': 0x08,
  '\\f': 0x0c,
  '\\n': 0x0a,
  '\\r': 0x0d,
  '\\t': 0x09,
  '\\v': 0x0b,
  '\\\\': 0x5c,
}
const PLACE = /^\\[AZbB]$/
const CATEGORY = /^\\[dDsSwW]$/
const HEX = /^[0-9a-fA-F]$/
const OCTAL = /^[0-7]$/
const DIGIT = /^[0-9]$/
/** How many hexadecimal digits follow. */
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const LAST_CODE = 0x10ffff
const LAST_OCTAL = 0o377

/** What a reference to a group has to pass. */
export type CheckReference = (group: number, token: string) => void

/** An escape outside of a class. */
export function readEscape(tokens: Tokens, token: string, checkReference: CheckReference): Syntax {
  if (PLACE.test(token)) return { kind: 'place', place: token.charAt(1) as Place }
  const category = readCategory(token)
  if (category) return { kind: 'class', items: [category], isNegated: false }
  const letter = token.slice(1)
  if (letter === '0') return literal(Number.parseInt(`0${tokens.takeWhile(OCTAL, 2)}`, 8))
  if (DIGIT.test(letter)) return readNumber(tokens, letter, checkReference)
  return literal(readCharacter(tokens, token))
}

/** An escape in a class. */
export function readClassEscape(tokens: Tokens, token: string): ClassItem {
  const category = readCategory(token)
  if (category) return category
  if (!OCTAL.test(token.slice(1))) return { kind: 'character', code: readCharacter(tokens, token) }
  const digits = token.slice(1) + tokens.takeWhile(OCTAL, 2)
  return { kind: 'character', code: octal(tokens, digits) }
}

/** Three octal digits are a character; anything else is a reference to a group. */
function readNumber(tokens: Tokens, first: string, checkReference: CheckReference): Syntax {
  let digits = first
  if (tokens.next !== undefined && DIGIT.test(tokens.next)) {
    digits += tokens.take()
    if (/^[0-7]{2}$/.test(digits) && tokens.next !== undefined && OCTAL.test(tokens.next)) {
      digits += tokens.take()
      return literal(octal(tokens, digits))
    }
  }
  checkReference(Number(digits), `\\${digits}`)
  return { kind: 'reference', group: Number(digits) }
}

function readCategory(token: string): ClassItem | undefined {
  if (!CATEGORY.test(token)) return undefined
  const name = token.charAt(1).toLowerCase() as CategoryName
  return { kind: 'category', name, isNegated: token.charAt(1) !== name }
}

function readCharacter(tokens: Tokens, token: string): number {
  const known = CHARACTERS[token]
  if (known !== undefined) return known
  const letter = token.slice(1)
  const wanted = HEX_DIGITS[letter]
  if (wanted !== undefined) {
    const digits = tokens.takeWhile(HEX, wanted)
    const code = Number.parseInt(digits, 16)
    if (digits.length < wanted) throw tokens.error(`incomplete escape ${token}${digits}`, digits.length + 2)
    if (code > LAST_CODE) throw tokens.error(`bad escape ${token}${digits}`, digits.length + 2)
    return code
  }
  if (letter === 'N') throw tokens.error('named characters (\\N{…}) are not supported', token.length)
  if (/^[a-zA-Z0-9]$/.test(letter)) throw tokens.error(`bad escape ${token}`, token.length)
  return letter.codePointAt(0) as number
}

function octal(tokens: Tokens, digits: string): number {
  const code = Number.parseInt(digits, 8)
  if (code <= LAST_OCTAL) return code
  throw tokens.error(`octal escape value \\${digits} outside of range 0-0o377`, digits.length + 1)
}

function literal(code: number): Syntax {
  return { kind: 'literal', code, isNegated: false }
}
