import { errors as coreErrors, type SqlEm } from '../../src/index.ts'
import { compileSegment } from './compile.ts'
import { resolve, type SegmentOrKey, type SegmentsSource } from './resolve.ts'
import type { SegmentContext } from './segment.ts'
import {
  IDENTITY_COLUMNS,
  type IdentityRow,
  identitiesWhere,
  identityOf,
  isMember,
  type SegmentsPlace,
  whereOf,
} from './segment-query.ts'
import type { StoredIdentity } from './stored-identity.ts'

const MOST = 10_000

/**
 * Some members, each with the same chance, in no order. It looks at all of them.
 *
 * @param size how many; there may be fewer
 */
export async function sample(
  em: SqlEm,
  source: SegmentsSource,
  given: SegmentOrKey,
  size: number,
): Promise<StoredIdentity[]> {
  if (!(Number.isInteger(size) && size >= 1 && size <= MOST)) {
    throw new coreErrors.SQLA_ERR_INVALID_OPTION('size', `must be a whole number from 1 to ${MOST}`)
  }
  const { segment } = await resolve(em, source, given)
  const where = whereOf(segment, source)
  if (!where.exact) return sampleByEvaluator(em, source, segment, size)
  const { environment, tables } = source
  // The traits of those that are not chosen are not sorted along.
  const rows: IdentityRow[] = await em.execute(
    `select ${IDENTITY_COLUMNS} from ${tables.identities} i where i.environment_id = ? and i.id in (` +
      `select i.id from ${tables.identities} i where i.environment_id = ? and (${where.sql}) order by random() limit ?)`,
    [environment.key, environment.key, ...where.params, size],
  )
  return rows.map(identityOf)
}

/** A reservoir: the n-th member replaces one of the chosen with the chance that it must have. */
async function sampleByEvaluator(
  em: SqlEm,
  place: SegmentsPlace,
  segment: SegmentContext,
  size: number,
): Promise<StoredIdentity[]> {
  const predicate = compileSegment(segment)
  const chosen: StoredIdentity[] = []
  let seen = 0
  for await (const batch of identitiesWhere(em, place, whereOf(segment, place))) {
    for (const identity of batch) {
      if (!isMember(identity, predicate, place)) continue
      seen += 1
      if (chosen.length < size) {
        chosen.push(identity)
        continue
      }
      const index = Math.floor(Math.random() * seen)
      if (index < size) chosen[index] = identity
    }
  }
  return chosen
}
