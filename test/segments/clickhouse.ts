import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Binder } from '../../plugins/segments/binder.ts'
import { ClickHouseDialect } from '../../plugins/segments/clickhouse-dialect.ts'
import type { Identity, SegmentContext } from '../../plugins/segments/segment.ts'
import { stringifyTraits } from '../../plugins/segments/traits-json.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { ENVIRONMENT } from './identities-table.ts'

// ClickHouse inside of this process, by the npm package `chdb`. It is large, so it is no dependency: it is used when it is
// installed, or where CHDB_PATH says (a directory with node_modules in it).

export const dialect = new ClickHouseDialect()

/** An identities table in a real ClickHouse. */
export interface ClickHouse {
  query(sql: string): string
  /** Replaces all identities; their ids are their places, from 0 on. */
  store(identities: readonly Identity[]): void
  /** The same, with the traits as JSON. */
  storeJson(traits: readonly string[]): void
  /** For each identity and each condition: `t`, `f`, or `N` for what must never be, NULL. */
  verdicts(conditions: readonly string[], binder?: Binder): string[]
}

interface Session {
  query(sql: string, format: string): string
  queryBind(sql: string, params: object, format: string): string
  close(): void
}

const NO_DATES = 'input_format_try_infer_dates = 0, input_format_try_infer_datetimes = 0'

/** Runs a suite with an empty identities table, or says that it skipped. */
export async function onClickHouse(
  t: Test,
  suite: (t: Test, clickHouse: ClickHouse) => void | Promise<void>,
): Promise<void> {
  const session = openSession()
  if (session === undefined) {
    t.pass('SKIPPED: chdb is not installed and CHDB_PATH is not set, so nothing of this ran on ClickHouse')
    return
  }
  t.teardown(() => session.close())
  const clickHouse = withTable(session)
  t.comment(`ClickHouse ${clickHouse.query('select version()').trim()}`)
  await suite(t, clickHouse)
}

/** The conditions of segments; `undefined` for those that have no exact SQL. */
export function conditionsOf(segments: readonly SegmentContext[], binder?: Binder): (string | undefined)[] {
  return segments.map(
    segment =>
      translateSegment(segment, {
        evaluationContext: { environment: ENVIRONMENT },
        dialect,
        ...(binder && { binder }),
      })?.sql,
  )
}

function openSession(): Session | undefined {
  const places = [import.meta.url]
  const { CHDB_PATH } = process.env
  if (CHDB_PATH !== undefined) places.unshift(join(CHDB_PATH, 'package.json'))
  for (const place of places) {
    try {
      const { Session } = createRequire(place)('chdb') as { Session: new () => Session }
      return new Session()
    } catch (error) {
      if ((error as { code?: string }).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return undefined
}

function withTable(session: Session): ClickHouse {
  const query = (sql: string) => session.query(sql, 'TabSeparated')
  query(`set ${NO_DATES}`)
  query('create database segments')
  query('use segments')
  query(dialect.schemaDdl)

  // As JSON, so that what the SQL is escaped with has no part in it.
  const storeRows = (rows: readonly (readonly [identifier: string, key: string, traits: string])[]) => {
    query('truncate table IDENTITIES')
    const lines = rows.map(([identifier, key, traits], id) => {
      const columns = JSON.stringify({ environment_id: 'e', id, identifier, identity_key: key })
      return `${columns.slice(0, -1)},"traits":${traits}}`
    })
    query(`insert into IDENTITIES format JSONEachRow ${lines.join('\n')}`)
  }

  return {
    query,
    store: identities =>
      storeRows(
        identities.map(({ identifier, key, traits }) => [
          identifier,
          key ?? '',
          stringifyTraits(traits ?? {}),
        ]),
      ),
    storeJson: traits => storeRows(traits.map((json, id) => [`id${id}`, '', json])),
    verdicts: (conditions, binder) => {
      // Each condition is written once: it takes longer to read than to answer.
      const columns = conditions.map(condition => `ifNull(toString(toUInt8(${condition})), 'N')`)
      const sql = `select concat('', ${columns.join(', ')}) from IDENTITIES i order by id`
      const found = binder ? session.queryBind(sql, binder.params, 'TabSeparated') : query(sql)
      return found.trimEnd().replaceAll('1', 't').replaceAll('0', 'f').split('\n')
    },
  }
}
