import type { SqlEm } from '../../src/index.ts'
import { countSql } from './count.ts'
import { resolve, type SegmentOrKey, type SegmentsSource } from './resolve.ts'
import { whereOf } from './segment-query.ts'

/** How the members of a segment are counted. */
export interface SegmentExplanation {
  /** The query; parameters are question marks. */
  readonly sql: string
  readonly params: readonly unknown[]
  /** PostgreSQL's plan for it, which was not run. */
  readonly plan: string
  /** Whether the query says it all. If not, the evaluator looks at each row that its condition finds. */
  readonly exact: boolean
}

export async function explain(
  em: SqlEm,
  source: SegmentsSource,
  given: SegmentOrKey,
): Promise<SegmentExplanation> {
  const { segment } = await resolve(em, source, given)
  const where = whereOf(segment, source)
  const sql = countSql(source, where.sql)
  const params = [source.environment.key, ...where.params]
  const rows: { 'QUERY PLAN': string }[] = await em.execute(`explain ${sql}`, params)
  return { sql, params, plan: rows.map(row => row['QUERY PLAN']).join('\n'), exact: where.exact }
}
