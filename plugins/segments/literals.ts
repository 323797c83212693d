// Texts that stand in SQL, and texts that no database can hold.

/**
 * A text as PostgreSQL reads it, whatever `standard_conforming_strings` is: backslashes only stand in `E''`, and there they
 * are doubled. A `?` is written by its number, because drivers that write parameters so look for it inside of quotes too.
 */
export function postgresText(text: string): string {
  const quoted = text.replaceAll("'", "''")
  if (!/[\\?]/.test(text)) return `'${quoted}'`
  return `E'${quoted.replaceAll('\\', '\\\\').replaceAll('?', '\\x3f')}'`
}

/** The elements of an array, as PostgreSQL reads them from a text. */
export function postgresArray(texts: readonly string[]): string {
  return `{${texts.map(text => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

/** A text as ClickHouse reads it. Braces are written by their numbers: `{name:String}` is a parameter, inside of quotes too. */
export function clickHouseText(text: string): string {
  const escaped = text.replace(/[\\'{}?\0\b\f\r\n\t]/g, char =>
    char === '\\' || char === "'"
      ? `\\${char}`
      : `\\x${(char.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  )
  return `'${escaped}'`
}

/** A name as both databases read it; a simple one stays bare. */
export function identifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** Whether jsonb and text can hold it: no NUL, no half of a surrogate pair. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/**
 * The exact decimal form of a finite number: `0.1` is `0.1000000000000000055511151231257827021181583404541015625`.
 *
 * @returns digits, maybe with a sign and a point, never an exponent
 */
export function exactDecimal(value: number): string {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setFloat64(0, value)
  const raw = bits.getBigUint64(0)
  const biased = Number((raw >> 52n) & 2047n)
  const fraction = raw & 0xf_ffff_ffff_ffffn
  const mantissa = biased === 0 ? fraction : fraction | 0x10_0000_0000_0000n
  const exponent = Math.max(biased, 1) - 1075
  const sign = value < 0 ? '-' : ''
  if (exponent >= 0) return `${sign}${mantissa << BigInt(exponent)}`
  // m / 2^n = m * 5^n / 10^n
  const digits = String(mantissa * 5n ** BigInt(-exponent)).padStart(1 - exponent, '0')
  const whole = digits.slice(0, exponent)
  const rest = digits.slice(exponent).replace(/0+$/, '')
  return `${sign}${whole}${rest === '' ? '' : `.${rest}`}`
}
