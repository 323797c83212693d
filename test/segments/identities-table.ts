import pg from 'pg'
import type { Test } from 'tap'
import type { Binder } from '../../plugins/segments/binder.ts'
import { isContextInSegment } from '../../plugins/segments/evaluate.ts'
import { PostgresDialect } from '../../plugins/segments/postgres-dialect.ts'
import type { EvaluationContext, Identity, SegmentContext } from '../../plugins/segments/segment.ts'
import { stringifyTraits } from '../../plugins/segments/traits-json.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { onEveryBackend } from '../support/backends.ts'

// A table of identities on a real PostgreSQL, and what segments find in it.

export const ENVIRONMENT = { key: 'e', name: 'e' }

export interface Postgres {
  readonly client: pg.Client
  readonly dialect: PostgresDialect
}

/** Runs a suite on every PostgreSQL that there is here, with an empty identities table. */
export async function onEveryPostgres(
  t: Test,
  suite: (t: Test, postgres: Postgres) => void | Promise<void>,
): Promise<void> {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const { clientUrl, dbName } = backend.options()
      const url = new URL(String(clientUrl))
      if (dbName !== undefined) url.pathname = `/${dbName}`
      // Many segments in one query are long to compile, and here the rows are few.
      const client = new pg.Client({ connectionString: url.href, options: '-c jit=off' })
      await client.connect()
      t.teardown(() => client.end())
      const dialect = new PostgresDialect({ version: backend.name === 'PostgreSQL' ? 18 : 15 })
      await client.query(dialect.schemaDdl)
      await suite(t, { client, dialect })
    },
    ['PostgreSQL', 'PostgreSQL 15'],
  )
}

/** Puts identities into the empty table; their ids are their places, from 0 on. */
export async function store(client: pg.Client, identities: readonly Identity[]): Promise<void> {
  await client.query('truncate identities')
  const rows = identities.map(({ identifier, key, traits }, id) => [
    id,
    identifier,
    key ?? null,
    stringifyTraits(traits ?? {}),
  ])
  await client.query(
    `insert into identities (environment_id, id, identifier, identity_key, traits)
     select $1, id, identifier, identity_key, traits::jsonb
     from unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) as row (id, identifier, identity_key, traits)`,
    [ENVIRONMENT.key, ...[0, 1, 2, 3].map(column => rows.map(row => row[column]))],
  )
}

/** For each identity, in their order, and each condition: `t`, `f`, or `N` for what must never be, NULL. */
export async function verdicts(
  client: pg.Client,
  conditions: readonly string[],
  values: readonly string[] = [],
): Promise<string[]> {
  const found = await client.query({
    text: `select array_to_string(array[${conditions.join(', ')}]::boolean[], '', 'N') as found from identities i order by id`,
    values: [...values],
  })
  return found.rows.map(row => row.found)
}

export interface Asked {
  readonly postgres: Postgres
  readonly segments: readonly SegmentContext[]
  readonly binder?: Binder
}

/** The conditions of segments; `undefined` for those that have no exact SQL. */
export function conditionsOf({ postgres, segments, binder }: Asked): (string | undefined)[] {
  return segments.map(
    segment =>
      translateSegment(segment, {
        evaluationContext: { environment: ENVIRONMENT },
        dialect: postgres.dialect,
        ...(binder && { binder }),
      })?.sql,
  )
}

export function contextOf(identity: Identity): EvaluationContext {
  return { environment: ENVIRONMENT, identity }
}

/** What the evaluator says, in the form of {@link verdicts}. */
export function evaluated(identity: Identity, segments: readonly SegmentContext[]): string {
  const context = contextOf(identity)
  return segments.map(segment => (isContextInSegment(context, segment) ? 't' : 'f')).join('')
}

/** A segment of one condition. */
export function segmentOf(condition: Record<string, unknown>, key = 'seg'): SegmentContext {
  return { key, name: key, rules: [{ type: 'ALL', conditions: [condition as never] }] }
}
