import { DriverException } from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'
import { countSql } from './count.ts'
import type { SegmentsSource } from './resolve.ts'
import type { SegmentWhere } from './segment-query.ts'

// A place to try indexes and statistics: a temporary copy of a part of the table of identities, in a transaction that is
// always rolled back.

/** The copy, as it is written in SQL. */
export const COPY = 'sqlassist_segments_trial'

/** A copy of a part of the table, and what is needed to ask it. */
export interface Trial {
  readonly em: SqlEm
  readonly source: SegmentsSource
  /** How many rows were copied. */
  readonly sampled: number
  /** The table's rows for each of the copy's. */
  readonly scale: number
}

/** What the planner would do. */
export interface Plan {
  readonly cost: number
  /** How many rows it believes that it counts. */
  readonly rows: number
  readonly usesIndex: boolean
}

/** A table of less is copied as a whole: 8 MB. */
const SMALL = 1_000
/** What is believed of a table that was never analyzed. */
const ROWS_OF_BLOCK = 50

/**
 * Copies about so many rows, of blocks that chance has chosen, with the indexes and statistics that the table has. They keep
 * their order, on which the planner's costs depend.
 */
export async function copyOf(em: SqlEm, source: SegmentsSource, rows: number): Promise<Trial> {
  const { identities } = source.tables
  const [size]: { blocks: string; rows: string }[] = await em.execute(
    "select pg_relation_size(oid) / current_setting('block_size')::bigint as blocks, reltuples::bigint as rows from pg_class where oid = ?::regclass",
    [identities],
  )
  const blocks = Number(size?.blocks)
  const known = Number(size?.rows) < 0 ? blocks * ROWS_OF_BLOCK : Number(size?.rows)
  const share = blocks < SMALL ? 1 : Math.min(1, rows / Math.max(known, 1))
  const part = share < 1 ? ` tablesample system (${share * 100})` : ''
  await em.execute(
    `create temporary table ${COPY} (like ${identities} including indexes including statistics) on commit drop`,
  )
  await em.execute(`insert into ${COPY} select * from ${identities}${part} order by environment_id, id`)
  // What a GIN index has not sorted in yet makes it look expensive.
  await em.execute(`reindex table ${COPY}`)
  await em.execute(`analyze ${COPY}`)
  const [copied]: { count: string }[] = await em.execute(`select count(*) as count from ${COPY}`)
  return { em, source, sampled: Number(copied?.count), scale: 1 / share }
}

/** How the planner would count a condition on the copy. */
export async function planOf({ em, source }: Trial, where: SegmentWhere): Promise<Plan> {
  const sql = countSql({ ...source, tables: { ...source.tables, identities: COPY } }, where.sql)
  const rows: { 'QUERY PLAN': unknown }[] = await em.execute(`explain (format json) ${sql}`, [
    source.environment.key,
    ...where.params,
  ])
  const said = rows[0]?.['QUERY PLAN']
  const [{ Plan: top }] = (typeof said === 'string' ? JSON.parse(said) : said) as [{ Plan: PlanNode }]
  return { cost: top['Total Cost'], rows: scannedBy(top), usesIndex: indexesOf(top).length > 0 }
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Total Cost': number
  readonly 'Plan Rows': number
  readonly 'Index Name'?: string
  readonly Plans?: readonly PlanNode[]
}

/** What goes into the count. */
function scannedBy(top: PlanNode): number {
  return top.Plans?.[0]?.['Plan Rows'] ?? top['Plan Rows']
}

function indexesOf(node: PlanNode): string[] {
  const own = node['Index Name'] === undefined ? [] : [node['Index Name']]
  return [...own, ...(node.Plans ?? []).flatMap(indexesOf)]
}

/** How many rows of the copy a condition finds. */
export async function rowsOf({ em, source }: Trial, where: SegmentWhere): Promise<number> {
  const sql = countSql({ ...source, tables: { ...source.tables, identities: COPY } }, where.sql)
  const [row]: { count: string }[] = await em.execute(sql, [source.environment.key, ...where.params])
  return Number(row?.count)
}

/** Rolls a transaction back. */
class Undone extends Error {}

/** Does something in a transaction, or in a part of one, and undoes it. */
export async function undone<R>(em: SqlEm, work: (em: SqlEm) => Promise<R>): Promise<R> {
  let result: { readonly value: R } | undefined
  await em
    .transactional(async inner => {
      result = { value: await work(inner as SqlEm) }
      throw new Undone()
    })
    .catch(error => {
      if (!(error instanceof Undone)) throw error
    })
  return (result as { readonly value: R } | undefined)?.value as R
}

/** The same for what PostgreSQL may refuse, such as an index on a condition with a subquery. @returns then undefined */
export async function tried<R>(trial: Trial, work: (trial: Trial) => Promise<R>): Promise<R | undefined> {
  return undone(trial.em, em => work({ ...trial, em })).catch(error => {
    if (error instanceof DriverException) return undefined
    throw error
  })
}
