import type { JsonPath } from './json-path.ts'
import type { PythonRegex } from './python-regex/regex.ts'
import type { Semver } from './semver.ts'

// What a segment means, once its operands have been read: a small frozen tree, which `evaluate.ts` answers for one identity
// and `translate.ts` turns into SQL for all of them. The reference's rules about types are in the operands, so that neither
// knows how Python reads a number.

/** A yes or no about an identity. Never unknown. */
export type Predicate =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'and' | 'or'; readonly of: readonly Predicate[] }
  | { readonly kind: 'not'; readonly of: Predicate }
  | { readonly kind: 'test'; readonly subject: Subject; readonly test: Test; readonly at: string }
  /** What neither the evaluator nor SQL can answer; nobody is in it. `reason` says why. */
  | { readonly kind: 'unsupported'; readonly reason: string; readonly at: string }

/**
 * What a condition looks at. `at` of a test says which condition it was: `rules[0].conditions[1]`.
 *
 * - `trait`: the trait of this name; a path of several names leads into an object of JSON.
 * - `identifier`, `key`: of the identity.
 * - `path`: anything else that a JSONPath leads to. `isConstant` when it does not lead to the identity, so that it is the
 *   same for all.
 */
export type Subject =
  | { readonly kind: 'trait'; readonly path: readonly string[] }
  | { readonly kind: 'identifier' }
  | { readonly kind: 'key' }
  | { readonly kind: 'path'; readonly path: JsonPath; readonly isConstant: boolean }

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>='

/**
 * What is asked of the value. A value is one of: missing (null included), an integer, a float, a boolean, a text, or
 * composite (an array or object). Texts that read `-?\d+` or `-?\d+\.\d+` are numbers. Every test but `unset` is false when
 * the value is missing; every test but `set` is false for what is composite.
 */
export type Test =
  | { readonly kind: 'set' }
  | { readonly kind: 'unset' }
  /** Set, and neither an array nor an object: a path that ends in one of those leads to nothing, unlike a trait's name. */
  | { readonly kind: 'scalar' }
  /** The operand as each type reads it; undefined where it cannot be read, and then the test is false for that type. */
  | {
      readonly kind: 'compare'
      readonly comparison: Comparison
      readonly integer: bigint | undefined
      /** May be NaN or infinite. */
      readonly float: number | undefined
      readonly boolean: boolean
      /** Undefined when `semver` is meant instead. */
      readonly text: string | undefined
      /** For texts, when the operand ended in `:semver`; undefined when it is not valid. */
      readonly semver: Semver | undefined
    }
  /** Texts only, that is, no numbers. */
  | { readonly kind: 'contains'; readonly text: string; readonly isNegated: boolean }
  /** Texts, and integers in their shortest form. */
  | { readonly kind: 'in'; readonly texts: readonly string[] }
  /** Integers, floats and booleans (1 and 0); the remainder has the sign of the divisor. */
  | { readonly kind: 'modulo'; readonly divisor: number; readonly remainder: number }
  /**
   * `md5(segmentKey + ',' + value) % 9999`, hashed again while that is 9998, must be at most `mostBucket`; -1 is nobody.
   * The value is as Python prints it.
   */
  | { readonly kind: 'split'; readonly segmentKey: string; readonly mostBucket: number }
  /** The value as Python prints it, from its start. */
  | { readonly kind: 'regex'; readonly regex: PythonRegex }
