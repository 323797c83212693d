import type { SqlEm } from '../../src/index.ts'
import { compileSegment } from './compile.ts'
import { errors } from './errors.ts'
import { turnOffJit } from './jit.ts'
import type { Predicate } from './predicate.ts'
import type { SegmentContext } from './segment.ts'
import { identitiesWhere, isMember, type SegmentsPlace, whereOf } from './segment-query.ts'
import type { StoredIdentity } from './stored-identity.ts'

// Who is in the segments that are materialised: a row of `segment_members` for each. Whoever changes an identity changes its
// rows in the same transaction. Two locks keep that right, both until the transaction ends:
//
// - the lock of the definitions: whoever saves, deletes or fills segments waits for the others who do.
// - the lock of the identities: changes of identities share it; filling a segment has it alone. So a segment is filled from
//   all the changes that were made before, and every later change sees that it has to look after this segment as well.
//
// Always in this order, so that nobody waits in a circle.

/** For whoever saves, deletes or fills segments, before anything else. */
export async function lockDefinitions(em: SqlEm, place: SegmentsPlace): Promise<void> {
  await lock(em, place, 'pg_advisory_xact_lock', 'definitions')
}

/** For whoever changes identities. */
export async function lockForIdentities(em: SqlEm, place: SegmentsPlace): Promise<void> {
  await lock(em, place, 'pg_advisory_xact_lock_shared', 'identities')
}

/** For whoever changes which segments are materialised, or what they are. */
export async function lockAllIdentities(em: SqlEm, place: SegmentsPlace): Promise<void> {
  await lock(em, place, 'pg_advisory_xact_lock', 'identities')
}

/** @throws SQLA_ERR_SEGMENT_STORAGE in a transaction that cannot see what was committed while it waited for the lock */
async function lock(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  how: string,
  what: string,
): Promise<void> {
  const [row]: { isolation: string }[] = await em.execute(
    `select ${how}(hashtextextended(?, 0)), current_setting('transaction_isolation') as isolation`,
    [`${tables.members} ${environment.key} ${what}`],
  )
  if (row?.isolation === 'read committed') return
  throw new errors.SQLA_ERR_SEGMENT_STORAGE(
    `its transaction is '${row?.isolation}'; what changes identities and segments must be 'read committed', to see what others have committed`,
  )
}

/** A segment whose members are written down, ready to be asked of identities. */
export interface MaterialisedSegment {
  readonly key: string
  /** As it is in the database. */
  readonly data: string
  readonly predicate: Predicate
}

/** The segments that are materialised; asked after {@link lockForIdentities}, these are all of them until the transaction ends. */
export async function materialisedSegments(
  em: SqlEm,
  { environment, tables, compiled }: SegmentsPlace,
): Promise<MaterialisedSegment[]> {
  const rows: { key: string; data: string }[] = await em.execute(
    `select key, data::text as data from ${tables.segments} where environment_id = ? and materialised`,
    [environment.key],
  )
  return rows.map(({ key, data }) => {
    const known = compiled.get(key)
    if (known?.data === data) return known
    const segment = { key, data, predicate: compileSegment(JSON.parse(data) as SegmentContext) }
    compiled.set(key, segment)
    return segment
  })
}

/** Fills a segment anew. The caller has {@link lockAllIdentities}. */
export async function fill(em: SqlEm, place: SegmentsPlace, segment: SegmentContext): Promise<number> {
  await turnOffJit(em)
  const { environment, tables } = place
  await clear(em, place, segment.key)
  const where = whereOf(segment, place)
  if (!where.exact) return fillByEvaluator(em, place, segment)
  const [row]: { count: string }[] = await em.execute(
    `with filled as (insert into ${tables.members} (environment_id, segment_key, identity_id) ` +
      `select ?, ?, i.id from ${tables.identities} i where i.environment_id = ? and (${where.sql}) returning 1) ` +
      'select count(*) as count from filled',
    [environment.key, segment.key, environment.key, ...where.params],
  )
  return Number(row?.count)
}

async function fillByEvaluator(em: SqlEm, place: SegmentsPlace, segment: SegmentContext): Promise<number> {
  const predicate = compileSegment(segment)
  let count = 0
  for await (const batch of identitiesWhere(em, place, whereOf(segment, place))) {
    const members = batch.filter(identity => isMember(identity, predicate, place))
    await add(
      em,
      place,
      members.map(({ id }) => ({ key: segment.key, id })),
    )
    count += members.length
  }
  return count
}

/** Takes everybody out of a segment. The caller has {@link lockAllIdentities}. */
export async function clear(em: SqlEm, { environment, tables }: SegmentsPlace, key: string): Promise<void> {
  await em.execute(`delete from ${tables.members} where environment_id = ? and segment_key = ?`, [
    environment.key,
    key,
  ])
}

interface Member {
  readonly key: string
  readonly id: string
}

/** Puts identities that have just been saved into the segments that they are in now, and takes them out of the others. */
export async function keepCurrent(
  em: SqlEm,
  place: SegmentsPlace,
  segments: readonly MaterialisedSegment[],
  identities: readonly StoredIdentity[],
): Promise<void> {
  const inside: Member[] = []
  const outside: Member[] = []
  for (const identity of identities) {
    for (const segment of segments) {
      const list = isMember(identity, segment.predicate, place) ? inside : outside
      list.push({ key: segment.key, id: identity.id })
    }
  }
  await add(em, place, inside)
  await remove(em, place, outside)
}

/** For an identity that has just been deleted. */
export async function removeFromSegments(
  em: SqlEm,
  place: SegmentsPlace,
  segments: readonly MaterialisedSegment[],
  id: string,
): Promise<void> {
  await remove(
    em,
    place,
    segments.map(({ key }) => ({ key, id })),
  )
}

/** How many rows one statement adds or removes. */
const ROWS_AT_ONCE = 10_000

async function add(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  members: readonly Member[],
): Promise<void> {
  for (const chunk of chunksOf(members)) {
    await em.execute(
      `insert into ${tables.members} (environment_id, segment_key, identity_id) ` +
        'select ?, v.key, v.id from jsonb_to_recordset(?::jsonb) as v (key text, id bigint) on conflict do nothing',
      [environment.key, JSON.stringify(chunk)],
    )
  }
}

async function remove(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  members: readonly Member[],
): Promise<void> {
  for (const chunk of chunksOf(members)) {
    // Not a join: of a table that was just filled, and not analyzed yet, PostgreSQL would read all rows.
    const byKey = Map.groupBy(chunk, ({ key }) => key)
    const either = [...byKey].map(() => '(segment_key = ? and identity_id in (?))').join(' or ')
    await em.execute(`delete from ${tables.members} where environment_id = ? and (${either})`, [
      environment.key,
      ...[...byKey].flatMap(([key, some]) => [key, some.map(({ id }) => id)]),
    ])
  }
}

function* chunksOf(members: readonly Member[]): Generator<readonly Member[]> {
  for (let at = 0; at < members.length; at += ROWS_AT_ONCE) yield members.slice(at, at + ROWS_AT_ONCE)
}
