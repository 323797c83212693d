import type { SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'
import { assertSaveable, findSavedOf } from './saved-segments.ts'
import type { SegmentContext } from './segment.ts'
import type { SegmentsPlace } from './segment-query.ts'

/** A segment, or the key of one that was saved or is defined in code. */
export type SegmentOrKey = SegmentContext | string

/** What is asked, and where. */
export interface SegmentsSource extends SegmentsPlace {
  /** The segments that are defined in code, by key. */
  readonly defined: ReadonlyMap<string, SegmentContext>
}

/** A segment to be asked of the tables. */
export interface ResolvedSegment {
  readonly segment: SegmentContext
  /** Whether its members are written down. Never when it was given as a segment: that may be another one of the same key. */
  readonly materialised: boolean
}

/**
 * What a caller means. What is saved is read from the database, as the process may not have heard of it yet.
 *
 * @throws SQLA_ERR_SEGMENT_INVALID, SQLA_ERR_SEGMENT_UNKNOWN
 */
export async function resolve(
  em: SqlEm,
  source: SegmentsSource,
  given: SegmentOrKey,
): Promise<ResolvedSegment> {
  return (await resolver(em, source, [given]))(given)
}

/** The same for several, which are read at once. @returns it throws what {@link resolve} does, for each of them */
export async function resolver(
  em: SqlEm,
  source: SegmentsSource,
  all: readonly SegmentOrKey[],
): Promise<(given: SegmentOrKey) => ResolvedSegment> {
  const keys = all.filter(one => typeof one === 'string' && !source.defined.has(one)) as string[]
  const saved = await findSavedOf(em, source, keys)
  return given => {
    if (typeof given !== 'string') {
      assertSaveable(given)
      return { segment: given, materialised: false }
    }
    const defined = source.defined.get(given)
    if (defined !== undefined) return { segment: defined, materialised: false }
    const found = saved.get(given)
    if (found === undefined) throw new errors.SQLA_ERR_SEGMENT_UNKNOWN(given)
    return found
  }
}
