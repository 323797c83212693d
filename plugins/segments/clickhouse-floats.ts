import { exactDecimal } from './literals.ts'

// Floats in ClickHouse, exactly, whatever the server's settings are. What is used several times is given its name by
// arrayMap, because an expression has no other place for one.

/** A finite or infinite number as a literal of a double. */
export function clickHouseFloat(value: number): string {
  if (Number.isFinite(value)) return `toFloat64(${value})`
  return value > 0 ? 'toFloat64(inf)' : 'toFloat64(-inf)'
}

/** The nearest double of a text that reads as a number, or that a float was printed to. */
export function readFloat(text: string): string {
  // toFloat64OrNull may be off by a bit where `precise_float_parsing` is not set. JSON has no leading zeros, and with an
  // exponent a whole number of any size is a double. Replacing is slow, and most texts need none.
  const stripped = `replaceRegexpOne(${text}, '^(-{0,1})0+([0-9])', '\\\\1\\\\2')`
  const json = `if(match(${text}, '^-{0,1}0[0-9]'), ${stripped}, ${text})`
  return `JSONExtractFloat(concat(${json}, if(position(${text}, 'e') > 0, '', 'e0')))`
}

/** A double as Python prints it; there is no negative zero. */
export function pythonFloatSql(float: string): string {
  // ClickHouse writes exponents from 1e21 on and below 1e-6, Python from 1e16 on and below 1e-4. Both print the shortest digits.
  const withPoint = (digits: string) =>
    `concat(substring(${digits}, 1, 1), if(length(${digits}) > 1, concat('.', substring(${digits}, 2)), ''))`
  const large = `concat(${withPoint(`replaceRegexpOne(s, '0+$', '')`)}, 'e+', toString(length(s) - 1))`
  const zeros = `length(extract(s, '^0[.](0+)'))`
  const small = `concat(${withPoint(`replaceRegexpOne(s, '^0[.]0+', '')`)}, 'e-0', toString(${zeros} + 1))`
  const exponent = `replaceRegexpOne(replaceRegexpOne(s, 'e([0-9])', 'e+\\\\1'), 'e-([0-9])$', 'e-0\\\\1')`
  const plain = `if(position(s, '.') > 0, s, concat(s, '.0'))`
  const printed = `multiIf(position(s, 'e') > 0, ${exponent}, f >= 1e16, ${large}, f < 1e-4 and f > 0, ${small}, ${plain})`
  const signed = `arrayMap((s, f, sign) -> concat(sign, ${printed}), [toString(abs(f))], [abs(f)], [if(f < 0, '-', '')])[1]`
  return `arrayMap(f -> ${signed}, [assumeNotNull(${float})])[1]`
}

/**
 * A condition: the remainder of a double, as Python's `%` computes it, is this. ClickHouse's own one rounds. A double is
 * m * 2^e, and the remainder of two of them one of whole numbers, in the unit of the smaller exponent.
 *
 * @param divisor finite, not 0
 */
export function pythonRemainderSql(float: string, divisor: number, remainder: number): string {
  const { mantissa, exponent } = binaryParts(divisor)
  const up = `greatest(e - (${exponent}), 0)`
  const down = `least(greatest(${exponent} - e, 0), 63)`
  const modulus = `toUInt128(${mantissa})`
  // 2^up modulo the divisor, 64 bits at a time.
  const start = `toUInt128(bitShiftLeft(toUInt128(m), modulo(${up}, 64)) % ${modulus})`
  const scaled = `arrayFold((r, i) -> toUInt128(bitShiftLeft(r, 64) % ${modulus}), range(toUInt64(intDiv(${up}, 64))), ${start})`
  // A divisor that is 2^64 times the unit or more is greater than the number, which is then its own remainder.
  const units = `multiIf(e >= ${exponent}, ${scaled}, e <= ${exponent - 64}, toUInt128(m), toUInt128(toUInt128(m) % bitShiftLeft(${modulus}, ${down})))`
  const magnitude = `toFloat64(${units}) * ${powerOfTwo(`least(e, ${exponent})`)}`
  const isLeft = `r = 0 or r ${divisor < 0 ? '<' : '>'} 0`
  const verdict = `if(${isLeft}, r, r + ${clickHouseFloat(divisor)}) = ${clickHouseFloat(remainder)}`
  const signed = `arrayExists(r -> ${verdict}, [if(n, -1, 1) * ${magnitude}])`
  const biased = 'bitAnd(bitShiftRight(b, 52), 2047)'
  const fraction = `bitAnd(b, 4503599627370495) + if(${biased} = 0, 0, 4503599627370496)`
  const parts = `[${fraction}], [toInt32(greatest(${biased}, 1)) - 1075], [bitShiftRight(b, 63) = 1]`
  return `arrayExists(b -> arrayExists((m, e, n) -> ${signed}, ${parts}), [reinterpretAsUInt64(assumeNotNull(${float}))])`
}

/** 2 to a power that a double has, by its bits: below 2^-1022 one of the fraction, else the exponent. */
function powerOfTwo(power: string): string {
  const normal = `bitShiftLeft(toUInt64(greatest(${power}, -1022) + 1023), 52)`
  const subnormal = `bitShiftLeft(toUInt64(1), toUInt64(least(${power}, -1023) + 1074))`
  return `reinterpretAsFloat64(if(${power} >= -1022, ${normal}, ${subnormal}))`
}

/** The magnitude of a finite double that is not 0: an odd whole number times a power of two. */
function binaryParts(value: number): { mantissa: bigint; exponent: number } {
  let exponent = 0
  let magnitude = Math.abs(value)
  // Doubling and halving lose nothing here.
  while (!Number.isInteger(magnitude)) {
    magnitude *= 2
    exponent--
  }
  let mantissa = BigInt(exactDecimal(magnitude))
  while (mantissa % 2n === 0n) {
    mantissa /= 2n
    exponent++
  }
  return { mantissa, exponent }
}
