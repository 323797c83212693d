import { createHash } from 'node:crypto'
import { errors as coreErrors, type SqlEm } from '../../src/index.ts'
import { resolver, type SegmentOrKey, type SegmentsSource } from './resolve.ts'
import type { SegmentContext } from './segment.ts'
import { type SegmentWhere, whereOf } from './segment-query.ts'
import { COPY, copyOf, type Plan, planOf, rowsOf, type Trial, tried, undone } from './trial.ts'

/** How advice is found. */
export interface AdviseOptions {
  /** How many rows of the table are copied for trying. Default 50,000. */
  readonly rows?: number
}

/** What an index would do for one segment, as PostgreSQL's planner reckons on the copy. */
export interface SegmentSaving {
  readonly segment: string
  /** The planner's cost of counting the segment without the index, scaled to the whole table. */
  readonly costBefore: number
  /** With it, and with the statistics that are advised for this segment, if there are any. */
  readonly costAfter: number
  /** Which part of that the index saves: 0.9 is nine tenths. */
  readonly saves: number
}

/** An index that would make counting segments cheaper. */
export interface IndexAdvice {
  readonly kind: 'gin' | 'partial'
  readonly ddl: string
  /** About how large it would be. */
  readonly bytes: number
  readonly segments: readonly SegmentSaving[]
}

/** Statistics that would let the planner know how many are in a segment. */
export interface StatisticsAdvice {
  readonly kind: 'statistics'
  readonly ddl: string
  readonly segment: string
  /** Rows of the whole table: what the planner believes now, what it would believe, and what the copy says. */
  readonly rowsBefore: number
  readonly rowsAfter: number
  readonly rows: number
}

/** What would help. */
export interface SegmentAdvice {
  readonly indexes: readonly IndexAdvice[]
  readonly statistics: readonly StatisticsAdvice[]
  /** How many rows were copied for trying, and how many the table has, about. */
  readonly sampled: number
  readonly rows: number
}

/** Less is not worth an index that every change has to write to. */
const WORTH = 0.5
/** What costs less than this part of reading the whole table is quick enough. */
const QUICK = 0.2
/** How far the planner may be off before it needs statistics. */
const OFF = 10

interface Asked {
  readonly segment: SegmentContext
  readonly where: SegmentWhere
  readonly before: Plan
}

/**
 * Tries out what would make segments cheaper to count: in a transaction that is rolled back, on a temporary copy of a part
 * of the table, it creates each index and asks the planner. What is advised was seen to work there.
 */
export async function adviseIndexes(
  em: SqlEm,
  source: SegmentsSource,
  given: readonly SegmentOrKey[],
  { rows = 50_000 }: AdviseOptions = {},
): Promise<SegmentAdvice> {
  if (!(Number.isInteger(rows) && rows >= 1_000 && rows <= 1_000_000)) {
    throw new coreErrors.SQLA_ERR_INVALID_OPTION('rows', 'must be a whole number from 1,000 to 1,000,000')
  }
  return undone(em, inner => tryOut(inner, source, given, rows))
}

async function tryOut(
  em: SqlEm,
  source: SegmentsSource,
  given: readonly SegmentOrKey[],
  rows: number,
): Promise<SegmentAdvice> {
  const trial = await copyOf(em, source, rows)
  const everybody = await planOf(trial, { sql: 'true', params: [], exact: true })
  const asked: Asked[] = []
  const resolveOne = await resolver(em, source, given)
  for (const one of given) {
    const { segment } = resolveOne(one)
    const where = whereOf(segment, source)
    asked.push({ segment, where, before: await planOf(trial, where) })
  }
  const statistics: StatisticsAdvice[] = []
  for (const one of asked) statistics.push(...(await statisticsFor(trial, one)))
  const slow = asked.filter(({ before }) => before.cost > QUICK * everybody.cost)
  const indexes = await indexesFor(trial, slow, new Set(statistics.map(({ segment }) => segment)))
  return { indexes, statistics, sampled: trial.sampled, rows: Math.round(trial.sampled * trial.scale) }
}

/** Something that could be created. */
interface Candidate<Kind> {
  readonly kind: Kind
  /** A part of its name. */
  readonly suffix: string
  /**
   * What creates it.
   *
   * @param table as it is written in SQL
   * @param alias how its columns are qualified: by its name without a schema
   */
  ddl(name: string, table: string, alias: string): string
}

type IndexCandidate = Candidate<IndexAdvice['kind']>

const GIN: IndexCandidate = {
  kind: 'gin',
  suffix: 'traits',
  ddl: (name, table) => `create index ${name} on ${table} using gin (traits jsonb_path_ops)`,
}

/**
 * Only the rows of one segment, in the order of `members`. The planner uses it where a query asks for the same conditions.
 *
 * @returns undefined when there is nothing that an index can be on
 */
function partialIndex(trial: Trial, segment: SegmentContext): IndexCandidate | undefined {
  if (expressionsOf(trial, segment, COPY).length === 0) return undefined
  return {
    kind: 'partial',
    suffix: suffixOf(segment),
    ddl: (name, table, alias) =>
      `create index ${name} on ${table} (environment_id, id) where ${expressionsOf(trial, segment, alias).join(' and ')}`,
  }
}

/** @returns undefined when there is nothing that statistics can be on */
function expressionStatistics(trial: Trial, segment: SegmentContext): Candidate<'statistics'> | undefined {
  if (expressionsOf(trial, segment, COPY).length === 0) return undefined
  return {
    kind: 'statistics',
    suffix: `${suffixOf(segment)}_stats`,
    ddl: (name, table, alias) => {
      const expressions = expressionsOf(trial, segment, alias).slice(0, MOST_EXPRESSIONS)
      return `create statistics ${name} on ${expressions.join(', ')} from ${table}`
    },
  }
}

/** PostgreSQL's limit. */
const MOST_EXPRESSIONS = 8

/**
 * What all members fulfil, as far as indexes and statistics can be on it: PostgreSQL has none on a subquery, and needs none on
 * a constant.
 */
function expressionsOf({ em, source }: Trial, segment: SegmentContext, alias: string): string[] {
  const parts = partsOf(segment).map(part => inlined(em, source, part, alias))
  return [...new Set(parts)]
    .filter(sql => !/\(select\b/.test(sql) && sql !== 'true' && sql !== 'false')
    .map(sql => `(${sql})`)
}

/** What must hold all at once: the planner looks at each by itself. */
function partsOf(segment: SegmentContext): SegmentContext[] {
  return (segment.rules ?? []).flatMap(rule => {
    const conditions = rule.conditions ?? []
    const areAlone = rule.type === 'ALL' && (rule.rules ?? []).length === 0
    const rules = areAlone ? conditions.map(condition => ({ ...rule, conditions: [condition] })) : [rule]
    return rules.map(one => ({ ...segment, rules: [one] }))
  })
}

function suffixOf({ key }: SegmentContext): string {
  // Two keys may differ in other characters only.
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 8)
  return `${key.replace(/[^A-Za-z0-9]+/g, '_').slice(0, 20)}_${hash}`
}

/** The same text that MikroORM makes of a query and its parameters: only then do index and query have the same condition. */
function inlined(em: SqlEm, source: SegmentsSource, segment: SegmentContext, alias: string): string {
  const { sql, params } = whereOf(segment, source, alias)
  return em.getPlatform().formatQuery(sql, params)
}

/**
 * One index for many segments first; then, for those that it does not help, one each.
 *
 * @param described segments for which statistics are advised: their own index is tried together with these
 */
async function indexesFor(
  trial: Trial,
  asked: readonly Asked[],
  described: ReadonlySet<string>,
): Promise<IndexAdvice[]> {
  const advice: IndexAdvice[] = []
  const general = await tryIndex(trial, GIN, asked)
  if (general !== undefined) advice.push(general)
  const helped = new Set(general?.segments.map(({ segment }) => segment))
  for (const one of asked) {
    const { segment } = one
    if (helped.has(segment.key)) continue
    const statistics = described.has(segment.key) ? expressionStatistics(trial, segment) : undefined
    const own = await tryIndex(trial, partialIndex(trial, segment), [one], statistics)
    if (own !== undefined) advice.push(own)
  }
  return advice
}

async function tryIndex(
  trial: Trial,
  candidate: IndexCandidate | undefined,
  asked: readonly Asked[],
  statistics?: Candidate<'statistics'>,
): Promise<IndexAdvice | undefined> {
  if (candidate === undefined) return undefined
  const { scale } = trial
  const name = `${COPY}_index`
  return tried(trial, async inner => {
    await inner.em.execute(candidate.ddl(name, COPY, COPY))
    if (statistics !== undefined) {
      await inner.em.execute(statistics.ddl(`${COPY}_statistics`, COPY, COPY))
      await inner.em.execute(`analyze ${COPY}`)
    }
    const segments: SegmentSaving[] = []
    for (const { segment, where, before } of asked) {
      const after = await planOf(inner, where)
      const saves = 1 - after.cost / before.cost
      if (!after.usesIndex || saves < WORTH) continue
      segments.push({
        segment: segment.key,
        costBefore: Math.round(before.cost * scale),
        costAfter: Math.round(after.cost * scale),
        saves,
      })
    }
    if (segments.length === 0) return undefined
    const [size]: { bytes: string }[] = await inner.em.execute(
      'select pg_relation_size(?::regclass) as bytes',
      [name],
    )
    const bytes = Math.round(Number(size?.bytes) * scale)
    return { kind: candidate.kind, ddl: ddlOf(trial, candidate), bytes, segments }
  })
}

/** Statistics on the conditions themselves, for a segment of which the planner believes something else than what is there. */
async function statisticsFor(trial: Trial, { segment, where, before }: Asked): Promise<StatisticsAdvice[]> {
  const rows = await rowsOf(trial, where)
  if (offBy(before.rows, rows) < OFF) return []
  const candidate = expressionStatistics(trial, segment)
  if (candidate === undefined) return []
  const after = await tried(trial, async inner => {
    await inner.em.execute(candidate.ddl(`${COPY}_statistics`, COPY, COPY))
    await inner.em.execute(`analyze ${COPY}`)
    return planOf(inner, where)
  })
  if (after === undefined || offBy(after.rows, rows) > offBy(before.rows, rows) / 2) return []
  const ofTable = (n: number) => Math.round(n * trial.scale)
  return [
    {
      kind: candidate.kind,
      ddl: ddlOf(trial, candidate),
      segment: segment.key,
      rowsBefore: ofTable(before.rows),
      rowsAfter: ofTable(after.rows),
      rows: ofTable(rows),
    },
  ]
}

/** How many times one is the other. */
function offBy(a: number, b: number): number {
  const [low, high] = [a, b].sort((x, y) => x - y)
  return Math.max(high ?? 1, 1) / Math.max(low ?? 1, 1)
}

function ddlOf({ source }: Trial, candidate: Candidate<string>): string {
  const { identities, identitiesName } = source.tables
  const name = `${identitiesName}_${candidate.suffix}`.slice(0, 63)
  return candidate.ddl(`"${name}"`, identities, identitiesName)
}
