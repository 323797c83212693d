/** How values of a type that JSON does not know are written as values that it knows. */
// biome-ignore-start lint/suspicious/noExplicitAny: a list of transcodings has as many types as members
export interface Transcoding<T = any, Plain = any> {
  /** What the value is marked with where it is stored. It must never change. */
  readonly name: string
  is(value: unknown): value is T
  /** What is stored. It may contain whatever can be stored. */
  encode(value: T): Plain
  decode(plain: Plain): T
}
// biome-ignore-end lint/suspicious/noExplicitAny: a list of transcodings has as many types as members

/** Of the class itself: an instance of a class that extends it would come back as something else. */
function isExactly<T>(Class: { prototype: T }): (value: unknown) => value is T {
  return (value): value is T =>
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Class.prototype
}

const date: Transcoding<Date, string | null> = {
  name: 'date',
  is: isExactly(Date),
  encode: value => (Number.isNaN(value.getTime()) ? null : value.toISOString()),
  decode: text => new Date(text ?? Number.NaN),
}

const bigint: Transcoding<bigint, string> = {
  name: 'bigint',
  is: value => typeof value === 'bigint',
  encode: value => value.toString(),
  decode: text => BigInt(text),
}

/** Those numbers that JSON has no words for. */
const number: Transcoding<number, string> = {
  name: 'number',
  is: value => typeof value === 'number',
  encode: value => (Object.is(value, -0) ? '-0' : String(value)),
  decode: text => Number(text),
}

const buffer: Transcoding<Buffer, string> = {
  name: 'buffer',
  is: isExactly(Buffer as unknown as { prototype: Buffer }),
  encode: value => value.toString('base64'),
  decode: text => Buffer.from(text, 'base64'),
}

const bytes: Transcoding<Uint8Array, string> = {
  name: 'bytes',
  is: isExactly(Uint8Array),
  encode: value => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64'),
  decode: text => new Uint8Array(Buffer.from(text, 'base64')),
}

const map: Transcoding<Map<unknown, unknown>, [unknown, unknown][]> = {
  name: 'map',
  is: isExactly(Map),
  encode: value => [...value],
  decode: entries => new Map(entries),
}

const set: Transcoding<Set<unknown>, unknown[]> = {
  name: 'set',
  is: isExactly(Set),
  encode: value => [...value],
  decode: members => new Set(members),
}

/** `undefined` where leaving it out would move what follows: in arrays, Maps and Sets. */
const nothing: Transcoding<undefined, null> = {
  name: 'undefined',
  is: value => value === undefined,
  encode: () => null,
  decode: () => undefined,
}

/** What every transcoder knows. */
export const builtInTranscodings: readonly Transcoding[] = [
  date,
  bigint,
  number,
  buffer,
  bytes,
  map,
  set,
  nothing,
]

/** A class of decimal numbers, as decimal.js, bignumber.js and big.js have it. */
export interface DecimalClass<T extends { valueOf(): unknown } = { valueOf(): unknown }> {
  new (text: string): T
}

/**
 * Decimal numbers of any library whose class takes a text and whose `valueOf()` gives it back, as those of decimal.js,
 * bignumber.js and big.js do.
 *
 * @param Class of the numbers
 * @param name what they are marked with in what is stored. Default `'decimal'`.
 *
 * @example
 * ```ts
 * new Application({ on: engine, aggregates: [Account], transcodings: [decimal(Decimal)] })
 * ```
 */
export function decimal<T extends { valueOf(): unknown }>(
  Class: DecimalClass<T>,
  name = 'decimal',
): Transcoding<T, string> {
  return {
    name,
    is: (value): value is T => value instanceof Class,
    // Not toString(), which loses the sign of -0.
    encode: value => String(value.valueOf()),
    decode: text => new Class(text),
  }
}
