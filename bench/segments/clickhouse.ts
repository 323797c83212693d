import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClickHouseDialect, type SegmentContext, translateSegment } from 'fastify-sqlassist/segments'
import { query } from '../lib/database.ts'
import type { Apps } from './apps.ts'
import { ENVIRONMENT } from './identities.ts'
import { EQUAL, QUESTIONS } from './questions.ts'
import type { Pair } from './turns.ts'

/** ClickHouse in this process, by the npm package chdb. */
interface ClickHouse {
  query(sql: string, format?: string): string
  cleanup(): void
}

/** @returns undefined when chdb is neither installed here nor where CHDB_PATH says */
function openClickHouse(path: string): ClickHouse | undefined {
  const { CHDB_PATH } = process.env
  const places = [import.meta.url, ...(CHDB_PATH === undefined ? [] : [join(CHDB_PATH, 'package.json')])]
  for (const place of places) {
    try {
      const { Session } = createRequire(place)('chdb') as { Session: new (path: string) => ClickHouse }
      return new Session(path)
    } catch (error) {
      if ((error as { code?: string }).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return undefined
}

/** One thread: PostgreSQL has one process for a scan here as well. */
const SETTINGS = 'settings max_threads = 1'

/**
 * The scans once more, in ClickHouse: a table of columns in this process against a table of rows in another one. Counts that
 * are not the same in both are not compared.
 *
 * @returns no pairs without chdb
 */
export async function withClickHouse<R>(
  { scanning }: Apps,
  url: string,
  say: (text: string) => void,
  measure: (pairs: Pair[]) => Promise<R>,
): Promise<R | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-segments-'))
  try {
    const clickHouse = openClickHouse(join(directory, 'clickhouse'))
    if (clickHouse === undefined) {
      say('  skipped: no chdb, neither installed nor in CHDB_PATH')
      return undefined
    }
    try {
      // PostgreSQL's processes belong to somebody else.
      await chmod(directory, 0o777)
      await copyIdentities(clickHouse, url, join(directory, 'identities.tsv'))
      say(`  ClickHouse ${clickHouse.query('select version()', 'TabSeparated').trim()} has the identities`)
      return await measure(await pairsOf(scanning, clickHouse, say))
    } finally {
      clickHouse.cleanup()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function copyIdentities(clickHouse: ClickHouse, url: string, file: string): Promise<void> {
  const columns = 'environment_id, id, identifier, identity_key, traits'
  await query(url, [`copy (select ${columns} from identities order by environment_id, id) to '${file}'`])
  clickHouse.query('create database bench')
  clickHouse.query('use bench')
  clickHouse.query(new ClickHouseDialect({ table: 'identities' }).schemaDdl)
  // Texts that look like dates stay texts.
  clickHouse.query(
    `insert into identities select * from file('${file}', TabSeparated, 'environment_id String, id UInt64, identifier String, identity_key String, traits JSON')
     settings input_format_try_infer_dates = 0, input_format_try_infer_datetimes = 0`,
  )
  clickHouse.query('optimize table identities final')
  await rm(file)
}

async function pairsOf(
  app: Apps['scanning'],
  clickHouse: ClickHouse,
  say: (text: string) => void,
): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (const segment of [EQUAL, ...QUESTIONS.map(question => question.segment)]) {
    const sql = countSql(segment)
    if (sql === undefined) {
      say(`  ClickHouse has no SQL for: ${segment.key}`)
      continue
    }
    const [ours, theirs] = [await app.segments.count(segment), count(clickHouse, sql)]
    if (ours !== theirs) {
      say(`  not compared: ${segment.key}: ${ours} in PostgreSQL, ${theirs} in ClickHouse`)
      continue
    }
    pairs.push({
      bench: 'segments-clickhouse',
      name: `${segment.key}: in ClickHouse`,
      ours: () => app.segments.count(segment),
      theirs: () => count(clickHouse, sql),
      target: null,
    })
  }
  return pairs
}

/** @returns undefined for what has no SQL in ClickHouse */
function countSql(segment: SegmentContext): string | undefined {
  const where = translateSegment(segment, {
    evaluationContext: { environment: ENVIRONMENT },
    dialect: new ClickHouseDialect(),
  })
  if (where === null) return undefined
  return `select count() from identities i where i.environment_id = '${ENVIRONMENT.key}' and ${where.sql} ${SETTINGS}`
}

function count(clickHouse: ClickHouse, sql: string): number {
  return Number(clickHouse.query(sql, 'TabSeparated'))
}
