/** A page of a list that is counted: what `toSchema` answers with. */
export interface OffsetPage<T> {
  readonly items: T[]
  /** How many rows there are on all pages. */
  readonly total: number
  /** How many rows were asked for at most. */
  readonly limit: number
  /** How many rows were left out before this page. */
  readonly offset: number
}

/** A page of a list that goes on from a row, not from a number of rows. */
export interface CursorPage<T> {
  readonly items: T[]
  /** How many rows were asked for at most. */
  readonly limit: number
  /** Asks for the page behind this one; null when there was none. */
  readonly next: string | null
  /** Asks for the page before this one; null when there was none. */
  readonly previous: string | null
}

/** The JSON schema of an {@link OffsetPage} whose items have this schema, for `schema.response`. */
export function offsetPageSchema(item: object): object {
  return {
    type: 'object',
    required: ['items', 'total', 'limit', 'offset'],
    properties: {
      items: { type: 'array', items: item },
      total: { type: 'integer', description: 'how many rows there are on all pages' },
      limit: { type: 'integer' },
      offset: { type: 'integer' },
    },
  }
}

/** The JSON schema of a {@link CursorPage} whose items have this schema, for `schema.response`. */
export function cursorPageSchema(item: object): object {
  const cursor = { type: ['string', 'null'] }
  return {
    type: 'object',
    required: ['items', 'limit', 'next', 'previous'],
    properties: {
      items: { type: 'array', items: item },
      limit: { type: 'integer' },
      next: { ...cursor, description: 'the cursor of the page behind this one' },
      previous: { ...cursor, description: 'the cursor of the page before this one' },
    },
  }
}
