// How PostgreSQL's jsonb prints a number: as a numeric, which has no exponent, keeps the zeros behind its point and knows no
// negative zero. The class of a trait's value is read from that text, so both sides must have the same one.

const NUMBER = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/

/** jsonb refuses numbers with more digits than this, so such a number is in no table and its spelling is as good as any. */
const MOST_SHIFT = 140_000

/**
 * What jsonb prints for a number of JSON.
 *
 * @param json a number as JSON spells it: `1e20`, `-0.50`
 * @returns the digits, without an exponent: `100000000000000000000`, `-0.50`
 */
export function jsonbNumber(json: string): string {
  const match = NUMBER.exec(json)
  if (match === null) return json
  const [, sign = '', whole = '', fraction = '', power = '0'] = match
  const shift = Number(power)
  if (Math.abs(shift) > MOST_SHIFT) return json
  const digits = whole + fraction
  const point = whole.length + shift
  const before = point > 0 ? digits.slice(0, point).padEnd(point, '0') : ''
  const after = point >= 0 ? digits.slice(point) : '0'.repeat(-point) + digits
  const text = `${before.replace(/^0+/, '') || '0'}${after === '' ? '' : `.${after}`}`
  return /[1-9]/.test(text) ? sign + text : text
}
