import type { Traits } from './segment.ts'

/** An identity as it is in the table. */
export interface StoredIdentity {
  /** The row's: a whole number, as text, as it may be greater than JavaScript's numbers. */
  readonly id: string
  readonly identifier: string
  /** Null in rows of others: the environment's key, `_` and the identifier. */
  readonly key: string | null
  readonly traits: Traits
}
