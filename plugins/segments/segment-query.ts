import type { SqlEm } from '../../src/index.ts'
import { Binder } from './binder.ts'
import { matches } from './evaluate.ts'
import type { MaterialisedSegment } from './membership.ts'
import type { PostgresDialect } from './postgres-dialect.ts'
import type { Predicate } from './predicate.ts'
import type { SegmentContext } from './segment.ts'
import type { StoredIdentity } from './stored-identity.ts'
import type { SegmentTables } from './tables.ts'
import { parseTraits } from './traits-json.ts'
import { translateSegment } from './translate.ts'

/** The environment that identities and segments belong to: Flagsmith's. */
export interface SegmentsEnvironment {
  readonly key: string
  readonly name: string
}

/** What everything that asks the tables needs to know. */
export interface SegmentsPlace {
  readonly environment: SegmentsEnvironment
  readonly tables: SegmentTables
  readonly dialect: PostgresDialect
  /** Materialised segments by key, so that they are not compiled for every identity that is saved. */
  readonly compiled: Map<string, MaterialisedSegment>
}

/** A segment as a condition on the table of identities, whose alias is `i`; parameters are question marks. */
export interface SegmentWhere {
  readonly sql: string
  readonly params: readonly unknown[]
  /** Whether it finds exactly the members. If not, it finds others as well, which the evaluator has to leave out. */
  readonly exact: boolean
}

/** @param alias the table's, in the query */
export function whereOf(
  segment: SegmentContext,
  { environment, dialect }: SegmentsPlace,
  alias = 'i',
): SegmentWhere {
  const { sql, params, exact } = translateSegment(segment, {
    evaluationContext: { environment },
    dialect,
    binder: new Binder('question'),
    identitiesAlias: alias,
    prefilter: true,
  })
  return { sql, params: params as readonly string[], exact }
}

/** Whether a stored identity is in a compiled segment: what the evaluator says. */
export function isMember(
  { identifier, key, traits }: StoredIdentity,
  predicate: Predicate,
  { environment }: SegmentsPlace,
): boolean {
  return matches(predicate, { environment, identity: { identifier, key, traits } })
}

/** A row with the columns of {@link IDENTITY_COLUMNS}. */
export interface IdentityRow {
  readonly id: string
  readonly identifier: string
  readonly identity_key: string | null
  readonly traits: string
}

/** As text: the driver would read 1.0 as 1. */
export const IDENTITY_COLUMNS = 'i.id, i.identifier, i.identity_key, i.traits::text as traits'

export function identityOf(row: IdentityRow): StoredIdentity {
  return {
    id: String(row.id),
    identifier: row.identifier,
    key: row.identity_key,
    traits: parseTraits(row.traits),
  }
}

/** How many rows of the table are read at once when the evaluator has to look at them. */
const ROWS_AT_ONCE = 2_000

/**
 * The identities that a condition finds, in the order of their ids, in batches: only so many are in memory at once.
 *
 * @param after the id after which they begin
 */
export async function* identitiesWhere(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  { sql, params }: Pick<SegmentWhere, 'sql' | 'params'>,
  {
    after,
    rowsAtOnce = ROWS_AT_ONCE,
  }: { readonly after?: string | undefined; readonly rowsAtOnce?: number } = {},
): AsyncGenerator<readonly StoredIdentity[]> {
  let last = after
  while (true) {
    const from = last === undefined ? '' : ' and i.id > ?'
    const rows: IdentityRow[] = await em.execute(
      `select ${IDENTITY_COLUMNS} from ${tables.identities} i where i.environment_id = ?${from} and (${sql}) order by i.id limit ?`,
      [environment.key, ...(last === undefined ? [] : [last]), ...params, rowsAtOnce],
    )
    if (rows.length > 0) yield rows.map(identityOf)
    if (rows.length < rowsAtOnce) return
    last = rows.at(-1)?.id
  }
}
