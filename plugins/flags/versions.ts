import { errors } from './errors.ts'
import type { FlagData } from './flag-data.ts'

/**
 * What a change stands on. Two editors have the same flag before them; the second one to save is told.
 *
 * @returns what the flag had; undefined when it is new
 * @throws SQLA_ERR_FLAG_CONFLICT (409)
 */
export function baseOf(
  name: string,
  before: FlagData | undefined,
  expected: number | undefined,
): FlagData | undefined {
  // A tombstone is in nobody's way: a new flag may have its name, and has nothing else of it.
  const base = expected === 0 && before?.deleted ? undefined : before
  const version = base?.version ?? 0
  if (expected !== undefined && expected !== version) {
    throw new errors.SQLA_ERR_FLAG_CONFLICT(name, version, expected)
  }
  return base
}
