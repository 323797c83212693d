import { type SqlAssist, tokensOf } from '../../../src/index.ts'
import { OWN_SCOPE } from '../own-scope.ts'
import type { StatementRecord } from '../records.ts'
import { isCut, withNulls, withValues } from './values.ts'

/** What a server is asked to say of a statement. */
export type Way =
  | {
      /** `analyze` runs it, `plain` does not, `generic` does not even know its values. */
      readonly is: 'analyze' | 'plain' | 'generic'
      readonly label: string
      readonly note: string
      /** What is sent. */
      readonly sql: string
    }
  | { readonly is: 'none'; readonly reason: string }

/** Milliseconds. */
const TIMEOUT = 5_000

/** Words that make a statement more than a read, wherever they are. A column of such a name is quoted, or costs it the ANALYZE. */
const WRITES = new Set(['insert', 'update', 'delete', 'merge', 'into', 'share'])
/** Functions whose effects outlive a transaction that is rolled back. */
const EFFECTS =
  /^(pg_(try_)?advisory|pg_terminate|pg_cancel|pg_reload|pg_rotate|pg_switch|pg_promote|pg_create|pg_drop|pg_copy|pg_logical|pg_replication|pg_stat_reset|pg_wal_replay|pg_sleep|pg_file|dblink|lo_|nextval|setval)/

/** Whether a statement can be explained, and how far that may go. */
export function waysToExplain(statement: StatementRecord, parameters: boolean): Way {
  const { dialect, sql } = statement
  const whole = parameters ? withValues(statement) : undefined
  const text = whole ?? sql
  if (isCut(text)) return none('It was too long to be kept whole, so it cannot be explained.')
  const kind = kindOf(text, dialect)
  if (kind === undefined) {
    return none('Only a single SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE or MERGE can be explained.')
  }
  switch (dialect) {
    case 'postgresql':
      return wayOfPostgres(text, kind, whole !== undefined)
    case 'sqlite':
      return plain('EXPLAIN QUERY PLAN', `explain query plan ${whole ?? withNulls(text, dialect)}`)
    case 'mysql':
    case 'mariadb':
      return whole === undefined
        ? none('Without its values it cannot be explained: the option `parameters` keeps them.')
        : plain('EXPLAIN', `explain ${text}`)
    default:
      return none(`How ${dialect} explains statements is not known here.`)
  }
}

function none(reason: string): Way {
  return { is: 'none', reason }
}

function plain(label: string, sql: string, note = 'is not run'): Way {
  return { is: 'plain', label, note, sql }
}

function wayOfPostgres(text: string, kind: 'read' | 'write', hasValues: boolean): Way {
  if (!hasValues) {
    return {
      is: 'generic',
      label: 'EXPLAIN (GENERIC_PLAN)',
      note: 'is not run; the plan without values, which are not kept',
      sql: `explain (generic_plan, format text, costs) ${text}`,
    }
  }
  if (kind === 'write') {
    return plain('EXPLAIN', `explain (format text, verbose off, costs) ${text}`, 'is not run: it may write')
  }
  return {
    is: 'analyze',
    label: 'EXPLAIN ANALYZE',
    note: 'runs it again, in a read-only transaction that is rolled back',
    sql: `explain (format text, verbose off, costs, buffers, analyze) ${text}`,
  }
}

/** @returns undefined for what is no single statement that has a plan */
function kindOf(sql: string, dialect: string): 'read' | 'write' | undefined {
  const tokens = tokensOf(sql, dialect).filter(({ kind }) => kind !== 'space' && kind !== 'comment')
  const words = tokens.flatMap(({ kind, text }) =>
    kind === 'word' || kind === 'identifier' ? [{ kind, text: bare(text) }] : [],
  )
  const end = tokens.findIndex(({ kind, text }) => kind === 'symbol' && text.includes(';'))
  if (end !== -1 && end !== tokens.length - 1) return undefined
  const first = tokens.find(({ kind, text }) => kind !== 'symbol' || !/^\(+$/.test(text))
  switch (first?.kind === 'word' ? first.text.toLowerCase() : '') {
    case 'select':
    case 'values':
    case 'table':
    case 'with':
      return words.some(({ kind, text }) => (kind === 'word' && WRITES.has(text)) || EFFECTS.test(text))
        ? 'write'
        : 'read'
    case 'insert':
    case 'update':
    case 'delete':
    case 'merge':
    case 'replace':
      return 'write'
    default:
      return undefined
  }
}

function bare(word: string): string {
  return word.replace(/^["`[]|["`\]]$/g, '').toLowerCase()
}

/** Ends the transaction of {@link planOf} in the way in which nothing of it stays. */
const ROLLBACK = Symbol('rollback')

/**
 * Asks the engine of a statement for its plan. What is run is in a read-only transaction, which is rolled back.
 *
 * @returns the lines of the plan
 * @throws what the database throws
 */
export async function planOf(
  sqlAssist: SqlAssist,
  { engine, dialect }: StatementRecord,
  sql: string,
): Promise<string[]> {
  let plan: string[] = []
  await sqlAssist
    .run(
      // Without transactions of its own the session opens one here, whatever kind of engine it is.
      db =>
        db.get(engine).transactional(async em => {
          if (dialect === 'postgresql') {
            await em.execute('set transaction read only')
            await em.execute(`set local statement_timeout = ${TIMEOUT}`)
          }
          const rows = await em.execute<Record<string, unknown>[]>(sql)
          plan = rows.map(row => linesOf(row, dialect))
          throw ROLLBACK
        }),
      { name: OWN_SCOPE, autocommit: true, commitMode: 'manual' },
    )
    .catch(error => {
      if (error !== ROLLBACK) throw error
    })
  return plan
}

function linesOf(row: Record<string, unknown>, dialect: string): string {
  if (dialect === 'postgresql') return String(row['QUERY PLAN'])
  if (dialect === 'sqlite') return String(row.detail)
  return Object.entries(row)
    .map(([name, value]) => `${name}: ${value ?? '–'}`)
    .join('   ')
}
