import type { SqlEm } from '../../src/index.ts'
import { compileSegment } from './compile.ts'
import { type ResolvedSegment, resolve, resolver, type SegmentOrKey, type SegmentsSource } from './resolve.ts'
import type { SegmentContext } from './segment.ts'
import { identitiesWhere, isMember, type SegmentsPlace, type SegmentWhere, whereOf } from './segment-query.ts'

/** How many are in a segment, or why that cannot be said. */
export type SegmentCount =
  | { readonly segment: SegmentOrKey; readonly count: number; readonly error?: undefined }
  | { readonly segment: SegmentOrKey; readonly error: Error; readonly count?: undefined }

/** PostgreSQL has at most 1,664 columns in a result, and a query that is much longer takes long to plan. */
const COUNTS_AT_ONCE = 200

/** How many are in a segment. */
export async function count(em: SqlEm, source: SegmentsSource, given: SegmentOrKey): Promise<number> {
  const resolved = await resolve(em, source, given)
  if (resolved.materialised) {
    const written = await countMaterialised(em, source, resolved.segment.key)
    if (written !== undefined) return written
  }
  const where = whereOf(resolved.segment, source)
  if (!where.exact) return (await countByEvaluator(em, source, [{ ...resolved, where }]))[0] ?? 0
  const [row]: { count: string }[] = await em.execute(countSql(source, where.sql), [
    source.environment.key,
    ...where.params,
  ])
  return Number(row?.count)
}

/** What {@link count} runs. */
export function countSql({ tables }: SegmentsPlace, where: string): string {
  return `select count(*) as count from ${tables.identities} i where i.environment_id = ? and (${where})`
}

/**
 * How many are in each of several segments, in one scan of the table (another one when the evaluator has to help). What is
 * wrong with one segment is said in its place, and spoils no other.
 */
export async function countMany(
  em: SqlEm,
  source: SegmentsSource,
  given: readonly SegmentOrKey[],
): Promise<SegmentCount[]> {
  const results: SegmentCount[] = []
  const exact: Asked[] = []
  const inexact: Asked[] = []
  const resolveOne = await resolver(em, source, given)
  for (const [place, one] of given.entries()) {
    try {
      const resolved = resolveOne(one)
      const written = resolved.materialised
        ? await countMaterialised(em, source, resolved.segment.key)
        : undefined
      if (written !== undefined) {
        results[place] = { segment: one, count: written }
        continue
      }
      const where = whereOf(resolved.segment, source)
      ;(where.exact ? exact : inexact).push({ ...resolved, where, place })
    } catch (error) {
      // What the database says concerns all of them.
      if (!isOfSegment(error)) throw error
      results[place] = { segment: one, error }
    }
  }
  const counts = [await countByScan(em, source, exact), await countByEvaluator(em, source, inexact)].flat()
  for (const [index, { place }] of [...exact, ...inexact].entries()) {
    results[place] = { segment: given[place] as SegmentOrKey, count: counts[index] ?? 0 }
  }
  return results
}

interface Asked extends ResolvedSegment {
  readonly where: SegmentWhere
  /** In the list of the caller. */
  readonly place: number
}

function isOfSegment(error: unknown): error is Error {
  const { code } = error as { code?: unknown }
  return code === 'SQLA_ERR_SEGMENT_INVALID' || code === 'SQLA_ERR_SEGMENT_UNKNOWN'
}

async function countByScan(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  asked: readonly Asked[],
): Promise<number[]> {
  const counts: number[] = []
  for (let at = 0; at < asked.length; at += COUNTS_AT_ONCE) {
    const some = asked.slice(at, at + COUNTS_AT_ONCE)
    const columns = some.map(({ where }, index) => `count(*) filter (where ${where.sql}) as c${index}`)
    const [row]: Record<string, string>[] = await em.execute(
      `select ${columns.join(', ')} from ${tables.identities} i where i.environment_id = ?`,
      [...some.flatMap(({ where }) => where.params), environment.key],
    )
    counts.push(...some.map((_, index) => Number(row?.[`c${index}`])))
  }
  return counts
}

/** In one pass over whoever may be in one of them. */
async function countByEvaluator(
  em: SqlEm,
  place: SegmentsPlace,
  asked: readonly { readonly segment: SegmentContext; readonly where: SegmentWhere }[],
): Promise<number[]> {
  const counts = asked.map(() => 0)
  if (asked.length === 0) return counts
  const either = {
    sql: asked.map(({ where }) => `(${where.sql})`).join(' or '),
    params: asked.flatMap(({ where }) => where.params),
  }
  const predicates = asked.map(({ segment }) => compileSegment(segment))
  for await (const batch of identitiesWhere(em, place, either)) {
    for (const [index, predicate] of predicates.entries()) {
      counts[index] = (counts[index] ?? 0) + batch.filter(one => isMember(one, predicate, place)).length
    }
  }
  return counts
}

/** @returns undefined when somebody has ended its materialisation in between */
export async function countMaterialised(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  key: string,
): Promise<number | undefined> {
  const [row]: { count: string }[] = await em.execute(
    `select (select count(*) from ${tables.members} m where m.environment_id = s.environment_id and m.segment_key = s.key) as count ` +
      `from ${tables.segments} s where s.environment_id = ? and s.key = ? and s.materialised`,
    [environment.key, key],
  )
  return row === undefined ? undefined : Number(row.count)
}
