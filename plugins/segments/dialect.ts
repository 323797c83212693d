import type { Comparison } from './predicate.ts'
import type { Emitted, PythonRegex } from './python-regex/regex.ts'

/** What a fragment is written in: the table's name in the query, and a place for values. */
export interface Scope {
  /** The name of the identities table in the query, quoted if it must be. */
  readonly alias: string
  /**
   * A value, bound or inlined. What comes back may be used several times, but only as part of the SQL: it is not yet the
   * placeholder.
   *
   * @param type the dialect's name of its type, for {@link Dialect.inline} and {@link Dialect.bound}
   */
  literal(text: string, type?: string): string
}

/** A looked-up value, as SQL expressions that fail for no row. */
export interface Value {
  /** The value as a text, NULL when it is missing: numbers without exponents, `true` or `false`, and texts as they are. */
  readonly text: string
  /** A condition: the value is a text or a number of JSON whose text tells that. `true` for a column that holds nothing else. */
  readonly isText: string | true
  /** A condition: the value is true or false in JSON. `false` for a column that never holds one. */
  readonly isBoolean: string | false
  /**
   * A condition: the value is a number of JSON that is a float whatever its text is (`1`, `1e-07`); it is not `isText` then.
   * Left out when the text tells.
   */
  readonly isFloat?: string
  /** A condition: there is a value, and be it an array or object. Left out when `text` is not NULL then. */
  readonly isSet?: string
}

/**
 * What differs between databases: one class for each. `translateSegment` decides which fragments a segment needs, and under
 * which guards; a dialect writes them.
 *
 * Expressions named `text` come from {@link Value.text}. "Reads as a number" means `-?[0-9]+` or `-?[0-9]+\.[0-9]+`, at
 * most 300 characters, or {@link Value.isFloat}; those fragments are written inside of a CASE that has checked that, so they may cast. Where nothing
 * else is said, a fragment may be NULL for a missing value, but must fail for no row.
 *
 * The SQL must have no `?` in it (some drivers would take it for a parameter).
 */
export interface Dialect {
  readonly name: string
  /** The DDL of the identities table. */
  readonly schemaDdl: string

  /** A name inside of the SQL, quoted if it must be. Safe whatever the name holds. */
  identifier(name: string): string
  /** Whether a column can hold this text. Of what it cannot hold, no row is asked. */
  canHold(text: string): boolean
  /** A value inside of the SQL, of one of this dialect's types (default: its text type). Safe whatever the text holds. */
  inline(text: string, type?: string): string
  /** A placeholder, with the cast that says its type. */
  bound(placeholder: string, type?: string): string
  /** The name of the type of texts. */
  readonly textType: string

  /** A trait; a path of several names leads into objects. */
  trait(path: readonly string[], scope: Scope): Value
  /**
   * Optional: a condition that is true for exactly the rows whose trait is one of these texts or booleans, written so that
   * an index can serve it. Never NULL.
   */
  traitIs?(path: readonly string[], values: readonly (string | boolean)[], scope: Scope): string

  /** Two texts, joined. */
  concat(left: string, right: string): string
  /** A condition: a pattern is found in the text. `pattern` is SQL. Its language: what ARE and RE2 have in common. */
  matches(text: string, pattern: string): string
  /**
   * Optional: a cheap condition that every text which reads as a number fulfils, and few others do. It is asked before the
   * pattern where most values are texts, so that those never meet that.
   */
  mayBeNumber?(text: string): string
  /** Texts compare by code point. */
  compareText(text: string, comparison: Comparison, operand: string, scope: Scope): string
  /** The text reads as an integer of any size; at most 300 digits in the operand. */
  compareInteger(text: string, comparison: Comparison, operand: bigint, scope: Scope): string
  /** The text reads as a number. The operand is not NaN, but may be infinite. */
  compareFloat(text: string, comparison: Comparison, operand: number, scope: Scope): string
  contains(text: string, operand: string, scope: Scope): string
  isIn(text: string, operands: readonly string[], scope: Scope): string
  /** The text reads as an integer: its shortest form, without leading zeros; `-0` is `0`. */
  integerText(text: string): string
  /** The text reads as a number with a point: the nearest double as Python prints it (`1.0`, `1e+16`, `1e-05`). */
  floatText(text: string): string
  /** The text reads as an integer of at most 15 characters: its remainder, with the sign of the value, is one of these. */
  remainderIn(text: string, divisor: number, remainders: readonly number[]): string
  /** The text reads as a number: the remainder of the nearest double, as Python's `%` computes it, is this. Finite operands. */
  pythonRemainderIs(text: string, divisor: number, remainder: number): string
  /**
   * `md5(key + ',' + text) % 9999` is at most `mostBucket`. While it is 9998, what is hashed is repeated, joined by commas,
   * two, three… times.
   */
  isInSplit(text: string, segmentKey: string, mostBucket: number, scope: Scope): string
  /** A pattern of Python for this database, or why there is none. */
  regex(regex: PythonRegex): Emitted
}
