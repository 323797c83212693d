import { errors as coreErrors, type SqlEm } from '../../src/index.ts'
import { compileSegment } from './compile.ts'
import { errors } from './errors.ts'
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

/** Which part of the members. */
export interface MembersOptions {
  /** `next` of the page before. */
  readonly after?: string | undefined
  /** How many identities. Default 100, at most 10,000. */
  readonly limit?: number | undefined
}

/** A page of members, in the order of their ids. */
export interface MembersPage {
  readonly identities: readonly StoredIdentity[]
  /** For `after` of the next page; null when this is the last one. */
  readonly next: string | null
}

const MOST = 10_000

/** A page of who is in a segment. The last page costs what the first one does: a page begins where the id says. */
export async function members(
  em: SqlEm,
  source: SegmentsSource,
  given: SegmentOrKey,
  options: MembersOptions = {},
): Promise<MembersPage> {
  const { after, limit } = checked(options)
  const { segment } = await resolve(em, source, given)
  const found = await firstMembers(em, source, segment, after, limit + 1)
  return pageOf(found, limit)
}

/**
 * A page of who is in a segment that is materialised, read from the table of members.
 *
 * @throws SQLA_ERR_SEGMENT_NOT_MATERIALISED
 */
export async function membersOf(
  em: SqlEm,
  source: SegmentsSource,
  key: string,
  options: MembersOptions = {},
): Promise<MembersPage> {
  const { after, limit } = checked(options)
  const { environment, tables } = source
  const { materialised } = await resolve(em, source, key)
  if (!materialised) throw new errors.SQLA_ERR_SEGMENT_NOT_MATERIALISED(key)
  const from = after === undefined ? '' : ' and m.identity_id > ?'
  const rows: IdentityRow[] = await em.execute(
    `select ${IDENTITY_COLUMNS} from ${tables.members} m join ${tables.identities} i on i.environment_id = m.environment_id and i.id = m.identity_id ` +
      `where m.environment_id = ? and m.segment_key = ?${from} order by m.identity_id limit ?`,
    [environment.key, key, ...(after === undefined ? [] : [after]), limit + 1],
  )
  return pageOf(rows.map(identityOf), limit)
}

/** The first members after an id; also where the evaluator has to look at them. */
async function firstMembers(
  em: SqlEm,
  place: SegmentsPlace,
  segment: SegmentContext,
  after: string | undefined,
  limit: number,
): Promise<StoredIdentity[]> {
  const where = whereOf(segment, place)
  const predicate = compileSegment(segment)
  const found: StoredIdentity[] = []
  const batches = identitiesWhere(em, place, where, where.exact ? { after, rowsAtOnce: limit } : { after })
  for await (const batch of batches) {
    found.push(...(where.exact ? batch : batch.filter(one => isMember(one, predicate, place))))
    if (found.length >= limit) break
  }
  return found.slice(0, limit)
}

/** @param found one more than the page has, if there is one */
function pageOf(found: readonly StoredIdentity[], limit: number): MembersPage {
  const identities = found.slice(0, limit)
  return { identities, next: found.length > limit ? (identities.at(-1)?.id ?? null) : null }
}

function checked({ after, limit = 100 }: MembersOptions): { after: string | undefined; limit: number } {
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= MOST)) {
    throw new coreErrors.SQLA_ERR_INVALID_OPTION('limit', `must be a whole number from 1 to ${MOST}`)
  }
  if (after !== undefined && !/^\d{1,18}$/.test(after)) {
    throw new coreErrors.SQLA_ERR_INVALID_OPTION('after', 'must be `next` of a page')
  }
  return { after, limit }
}
