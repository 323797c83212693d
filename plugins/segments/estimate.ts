import { errors as coreErrors, type SqlEm } from '../../src/index.ts'
import { compileSegment } from './compile.ts'
import { count } from './count.ts'
import { resolve, type SegmentOrKey, type SegmentsSource } from './resolve.ts'
import type { SegmentContext } from './segment.ts'
import {
  IDENTITY_COLUMNS,
  type IdentityRow,
  identityOf,
  isMember,
  type SegmentsPlace,
  whereOf,
} from './segment-query.ts'

/** How exact an estimate shall be. */
export interface EstimateOptions {
  /** How many blocks of 8 KB of the table it reads. Default 2,000. A table of less than twice as many is counted. */
  readonly blocks?: number
}

/** How many are in a segment, roughly. */
export interface SegmentEstimate {
  readonly count: number
  /** In 19 of 20 cases the true count is no further away than this. */
  readonly error: number
  /** How many rows it has looked at. */
  readonly sampled: number
  /** Whether all of them were counted; the error then is 0. */
  readonly exact: boolean
}

/** Of the normal distribution: 19 of 20 cases are within so many standard deviations. */
const Z = 1.96

/**
 * Counts the members in some blocks of the table that chance has chosen (TABLESAMPLE SYSTEM). Rows of one block are often
 * alike, so the error comes from how different the blocks are.
 */
export async function estimate(
  em: SqlEm,
  source: SegmentsSource,
  given: SegmentOrKey,
  { blocks = 2_000 }: EstimateOptions = {},
): Promise<SegmentEstimate> {
  if (!(Number.isInteger(blocks) && blocks >= 10)) {
    throw new coreErrors.SQLA_ERR_INVALID_OPTION('blocks', 'must be a whole number, 10 or more')
  }
  const { segment } = await resolve(em, source, given)
  const total = await blocksOf(em, source)
  if (total < 2 * blocks) return counted(em, source, segment)
  const share = blocks / total
  return extrapolated(await sampleBlocks(em, source, segment, share), total, share)
}

async function counted(em: SqlEm, source: SegmentsSource, segment: SegmentContext): Promise<SegmentEstimate> {
  const { environment, tables } = source
  const exact = await count(em, source, segment)
  const [row]: { count: string }[] = await em.execute(
    `select count(*) as count from ${tables.identities} where environment_id = ?`,
    [environment.key],
  )
  return { count: exact, error: 0, sampled: Number(row?.count), exact: true }
}

async function blocksOf(em: SqlEm, { tables }: SegmentsPlace): Promise<number> {
  const [row]: { blocks: string }[] = await em.execute(
    "select pg_relation_size(?::regclass) / current_setting('block_size')::bigint as blocks",
    [tables.identities],
  )
  return Number(row?.blocks)
}

/** What the blocks of a sample have. */
export interface BlockSample {
  /** Blocks with a row, of any environment. */
  readonly blocks: number
  readonly rows: number
  /** Members in all of them. */
  readonly hits: number
  /** The sum of the squares of each block's members. */
  readonly squares: number
}

async function sampleBlocks(
  em: SqlEm,
  place: SegmentsPlace,
  segment: SegmentContext,
  share: number,
): Promise<BlockSample> {
  const { environment, tables } = place
  const where = whereOf(segment, place)
  // The same blocks for both statements.
  const seed = Math.floor(Math.random() * 2 ** 31)
  const from = `from ${tables.identities} i tablesample system (${share * 100}) repeatable (${seed})`
  const block = '(i.ctid::text::point)[0]'
  const [row]: Record<keyof BlockSample, string>[] = await em.execute(
    'select count(*) as blocks, coalesce(sum(n), 0) as rows, coalesce(sum(hits), 0) as hits, coalesce(sum(hits * hits), 0) as squares ' +
      `from (select count(*) as n, count(*) filter (where i.environment_id = ? and (${where.sql})) as hits ${from} group by ${block}) as blocks`,
    [environment.key, ...where.params],
  )
  const found = { blocks: Number(row?.blocks), rows: Number(row?.rows) }
  if (where.exact) return { ...found, hits: Number(row?.hits), squares: Number(row?.squares) }
  const rows: (IdentityRow & { block: string })[] = await em.execute(
    `select ${block}::text as block, ${IDENTITY_COLUMNS} ${from} where i.environment_id = ? and (${where.sql})`,
    [environment.key, ...where.params],
  )
  const predicate = compileSegment(segment)
  const perBlock = new Map<string, number>()
  for (const row of rows) {
    if (isMember(identityOf(row), predicate, place))
      perBlock.set(row.block, (perBlock.get(row.block) ?? 0) + 1)
  }
  const hits = [...perBlock.values()]
  return {
    ...found,
    hits: hits.reduce((sum, n) => sum + n, 0),
    squares: hits.reduce((sum, n) => sum + n * n, 0),
  }
}

/**
 * From a sample to the table.
 *
 * @param total how many blocks the table has
 * @param share the chance of each block to be in the sample
 */
export function extrapolated(
  { blocks, rows, hits, squares }: BlockSample,
  total: number,
  share: number,
): SegmentEstimate {
  const expected = total * share
  // Far fewer blocks than were asked for: a part of the table is empty, as after many rows were deleted.
  const isFull = blocks > expected - 3 * Math.sqrt(expected)
  const scale = isFull ? total / Math.max(blocks, 1) : 1 / share
  const unseen = 1 - share
  // With a full table the number of blocks is known, and only how they differ counts; otherwise that number varies as well.
  const spread = isFull && blocks > 1 ? ((squares - hits ** 2 / blocks) * blocks) / (blocks - 1) : squares
  const error = Math.max(Z * scale * Math.sqrt(Math.max(spread, 0) * unseen), scale * ofFew(hits))
  // The last block is not full, and the sample may or may not have it.
  const oneBlock = hits / Math.max(blocks, 1)
  return { count: Math.round(hits * scale), error: Math.ceil(error + oneBlock), sampled: rows, exact: false }
}

/** A few members, or none, say little of how blocks differ: how many more there could be by chance (Poisson). */
function ofFew(hits: number): number {
  return hits < 30 ? Z ** 2 / 2 + Z * Math.sqrt(hits + Z ** 2 / 4) : 0
}
