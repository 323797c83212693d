import type { EntityMetadata } from '@mikro-orm/core'

/**
 * How many values a statement may have at most: SQLite's limit as it is built by default, and half of what 16 bits
 * say on the wire of PostgreSQL and MySQL. (MikroORM writes most values into the SQL itself; the server parses them
 * all the same.)
 *
 * @see https://www.sqlite.org/limits.html#max_variable_number
 */
const VALUES_AT_ONCE = 32_766

/** More rows in one statement save no time, cost memory, and leave the client idle while the server works. */
export const ROWS_AT_ONCE = 5_000

/** How many keys one statement names. */
export function keysAtOnce(meta: EntityMetadata): number {
  const columns = meta.getPrimaryProps().reduce((sum, { fieldNames }) => sum + fieldNames.length, 0)
  return Math.min(ROWS_AT_ONCE, Math.floor(VALUES_AT_ONCE / columns))
}

export function* chunksOf<V>(values: readonly V[], size: number): Generator<readonly V[]> {
  for (let at = 0; at < values.length; at += size) yield values.slice(at, at + size)
}
