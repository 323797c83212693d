/** What a condition compares with. */
export type Operator =
  | 'EQUAL'
  | 'NOT_EQUAL'
  | 'GREATER_THAN'
  | 'GREATER_THAN_INCLUSIVE'
  | 'LESS_THAN'
  | 'LESS_THAN_INCLUSIVE'
  | 'CONTAINS'
  | 'NOT_CONTAINS'
  | 'IN'
  | 'IS_SET'
  | 'IS_NOT_SET'
  | 'MODULO'
  | 'PERCENTAGE_SPLIT'
  | 'REGEX'

/** One question about an identity or its environment. */
export interface Condition {
  /** A trait's name, or a JSONPath (RFC 9535) that begins with `$.`; blank for PERCENTAGE_SPLIT: the identity's key. */
  readonly property?: string | null
  readonly operator: Operator
  /** Lists are for IN. IS_SET and IS_NOT_SET need none. */
  readonly value?: string | readonly unknown[] | null
}

/** Conditions and nested rules are two groups; both must hold. An empty group holds. */
export interface Rule {
  readonly type: 'ALL' | 'ANY' | 'NONE'
  readonly conditions?: readonly Condition[] | null
  readonly rules?: readonly Rule[] | null
}

/** A segment as Flagsmith's engine takes it. Without rules nobody is in it. */
export interface SegmentContext {
  readonly key: string
  readonly name: string
  readonly rules?: readonly Rule[] | null
}

/**
 * A trait's value. JSON numbers that JavaScript cannot hold exactly (`1.0`, which is a float and not the integer 1;
 * 12345678901234567890) are what `JSON.rawJSON` makes; {@link parseTraits} keeps them.
 */
export type TraitValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | RawJson
  | readonly unknown[]
  | { readonly [key: string]: unknown }

/** What `JSON.rawJSON` makes. */
export interface RawJson {
  readonly rawJSON: string
}

/** A trait's name → its value. */
export type Traits = Readonly<Record<string, TraitValue | undefined>>

/** Whoever may be in a segment. */
export interface Identity {
  readonly identifier: string
  /** Default: the environment's key, `_` and the identifier. */
  readonly key?: string | null
  readonly traits?: Traits | null
}

/** What a segment is evaluated in: Flagsmith's evaluation context. Paths may lead to all of it. */
export interface EvaluationContext {
  readonly environment: { readonly key: string; readonly name: string }
  readonly identity?: Identity | null
  readonly [key: string]: unknown
}
