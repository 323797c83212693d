import { jsonbNumber } from './json-numbers.ts'
import { pythonFloatText } from './python-numbers.ts'
import { isRawJson, parseNumbers, rawJson } from './raw-json.ts'

/**
 * The texts that IN looks for. Elements that are no texts are as Python's `str()` prints them: `True`, `None`, `1.5`.
 *
 * @param operand a list; an array as JSON; or texts with commas between them, whose spaces count
 */
export function inList(operand: string | readonly unknown[]): readonly string[] {
  const list = typeof operand === 'string' ? (jsonArray(operand) ?? operand.split(',')) : operand
  return Object.freeze([...new Set(list.map(pythonStr))])
}

function jsonArray(text: string): readonly unknown[] | undefined {
  // What begins otherwise is no array; most operands are none, and an exception costs more than this look. Python would
  // also read NaN and Infinity, which are no JSON: those operands are texts with commas here.
  if (!/^[\t\n\r ]*\[/.test(text)) return undefined
  try {
    const parsed = parseNumbers(text, (_value, source) => rawJson(source))
    return Array.isArray(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** What Python's `str()` prints for a value of JSON. */
export function pythonStr(value: unknown): string {
  return typeof value === 'string' ? value : pythonRepr(value)
}

function pythonRepr(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'number' || typeof value === 'bigint') return numberText(String(value))
  if (typeof value !== 'object' || value === null) return 'None'
  if (isRawJson(value))
    return /^[-0-9]/.test(value.rawJSON) ? numberText(value.rawJSON) : pythonRepr(JSON.parse(value.rawJSON))
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(', ')}]`
  return `{${Object.entries(value)
    .map(entry => entry.map(pythonRepr).join(': '))
    .join(', ')}}`
}

/** Python reads `1e3` as a float, and so prints 1000.0; jsonb would make it an integer. */
function numberText(json: string): string {
  if (/^-?[0-9]+$/.test(json)) return jsonbNumber(json)
  return pythonFloatText(Number(json))
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A text within a list, as Python prints it. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = text.replace(/[\\']|(?! )[\p{C}\p{Z}]/gu, character => {
    if (character === "'") return quote === "'" ? "\\'" : character
    return ESCAPES[character] ?? codePointEscape(character.codePointAt(0) as number)
  })
  return quote + escaped + quote
}

function codePointEscape(codePoint: number): string {
  const digits = codePoint.toString(16)
  if (codePoint <= 0xff) return `\\x${digits.padStart(2, '0')}`
  return codePoint <= 0xffff ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`
}
