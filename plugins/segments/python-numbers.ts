// How Python reads and prints numbers, because a segment's operands mean what they mean to the reference engine.

/** Python refuses to read whole numbers of more digits. */
const MOST_INTEGER_DIGITS = 4300

const ASCII_SPACES = /^[\t\n\v\f\r ]+|[\t\n\v\f\r ]+$/g
const OTHER_SPACES = /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g
const OTHER_DIGITS = /[^\P{Nd}0-9]/gu

const INTEGER = /^[+-]?[0-9]+(?:_[0-9]+)*$/
const FLOAT =
  /^[+-]?(?:[0-9]+(?:_[0-9]+)*(?:\.(?:[0-9]+(?:_[0-9]+)*)?)?|\.[0-9]+(?:_[0-9]+)*)(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?$/
const NOT_FINITE = /^([+-]?)(?:(inf(?:inity)?)|nan)$/i

/**
 * What `int(text)` is.
 *
 * @returns undefined where Python raises a ValueError
 */
export function pythonInt(text: string): bigint | undefined {
  const digits = normalised(text)
  if (!INTEGER.test(digits)) return undefined
  const plain = digits.replaceAll('_', '')
  const unsigned = plain.replace(/^[+-]/, '')
  if (unsigned.length > MOST_INTEGER_DIGITS) return undefined
  return plain.startsWith('-') ? -BigInt(unsigned) : BigInt(unsigned)
}

/**
 * What `float(text)` is; that may be NaN or infinite.
 *
 * @returns undefined where Python raises a ValueError
 */
export function pythonFloat(text: string): number | undefined {
  const digits = normalised(text)
  if (FLOAT.test(digits)) return Number(digits.replaceAll('_', ''))
  const match = NOT_FINITE.exec(digits)
  if (match === null) return undefined
  if (match[2] === undefined) return Number.NaN
  return match[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

/** Digits of all scripts become ASCII, spaces around the number go. */
function normalised(text: string): string {
  return text.replace(OTHER_SPACES, ' ').replace(OTHER_DIGITS, asciiDigit).replace(ASCII_SPACES, '')
}

/** Every script has its digits in a row, from zero on; rows that touch are of ten digits each. */
function asciiDigit(digit: string): string {
  const codePoint = digit.codePointAt(0) as number
  let first = codePoint
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first--
  return String((codePoint - first) % 10)
}

/**
 * `dividend % divisor` of two floats: the result has the sign of the divisor, where JavaScript's has that of the dividend.
 *
 * @returns NaN where Python raises a ZeroDivisionError
 */
export function pythonModulo(dividend: number, divisor: number): number {
  const remainder = dividend % divisor
  if (remainder === 0 || Number.isNaN(remainder)) return remainder
  return remainder < 0 === divisor < 0 ? remainder : remainder + divisor
}

/** What `str(number)` is of a float: the shortest digits that read back as the same, with an exponent from 1e16 on. */
export function pythonFloatText(number: number): string {
  if (Number.isNaN(number)) return 'nan'
  if (!Number.isFinite(number)) return number < 0 ? '-inf' : 'inf'
  if (Object.is(number, -0)) return '-0.0'
  const [mantissa, exponent] = number.toExponential().split('e') as [string, string]
  const power = Number(exponent)
  if (power < -4 || power >= 16) {
    const digits = String(Math.abs(power)).padStart(2, '0')
    return `${mantissa}e${power < 0 ? '-' : '+'}${digits}`
  }
  const sign = number < 0 ? '-' : ''
  const digits = mantissa.replace(/[-.]/g, '')
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${digits}`
  const whole = digits.slice(0, power + 1).padEnd(power + 1, '0')
  return `${sign}${whole}.${digits.slice(power + 1) || '0'}`
}
