import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type SegmentsOptions, segments } from '../../plugins/segments/plugin.ts'
import type { Operator, SegmentContext } from '../../plugins/segments/segment.ts'
import sqlAssist, { type SqlAssistOptions } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'

// Applications with the plugin `segments`, on a real PostgreSQL.

export const ENVIRONMENT = { key: 'env', name: 'Production' }

/** A suite that runs on the PostgreSQLs that there are here. */
export function onPostgres(
  t: Test,
  suite: (t: Test, backend: TestBackend) => void | Promise<void>,
): Promise<void> {
  return onEveryBackend(t, suite, ['PostgreSQL', 'PostgreSQL 15'])
}

export interface TestApp {
  readonly app: FastifyInstance
  readonly logs: { msg: string; segment?: string }[]
  /** Runs SQL by itself. */
  sql<Row = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<Row[]>
}

let places = 0

/** An application with tables of its own, which are empty; the same `place` gives the same ones. */
export async function appOn(
  t: Test,
  backend: TestBackend,
  {
    place = newPlace(),
    routes,
    assist,
    ...options
  }: Partial<SegmentsOptions> & {
    place?: string
    routes?: (app: FastifyInstance) => void
    assist?: Partial<SqlAssistOptions>
  } = {},
): Promise<TestApp> {
  const logs: { msg: string }[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => logs.push(JSON.parse(line)) } } })
  t.teardown(() => app.close())
  const engine = () => ({
    orm: backend.options({
      entities: [],
      discovery: { warnWhenNoEntities: false },
      logger: () => {},
      pool: { min: 0, max: 8 },
      driverOptions: { application_name: place },
    }),
  })
  await app.register(sqlAssist, {
    engines: { writer: engine(), reader: { ...engine(), readOnly: true } } as never,
    commitMode: 'autocommit',
    ...assist,
  })
  await app.register(segments, {
    environment: ENVIRONMENT,
    createTables: true,
    ttl: 60_000,
    tables: tablesOf(place),
    ...options,
  })
  routes?.(app)
  await app.ready()
  const sql = (text: string, params: readonly unknown[] = []) =>
    app.sqlAssist.engines
      .get('writer')
      .orm.em.fork()
      .execute(text, params as unknown[])
  return { app, logs, sql: sql as TestApp['sql'] }
}

/** A prefix for tables that nobody else has. */
export function newPlace(): string {
  return `p${places++}`
}

/** A segment with one condition. */
export function where(
  property: string,
  operator: Operator,
  value: string | string[] | null = null,
  key = `${property} ${operator}`,
): SegmentContext {
  return { key, name: key, rules: [{ type: 'ALL', conditions: [{ property, operator, value }] }] }
}

/** Both conditions. */
export function both(a: SegmentContext, b: SegmentContext): SegmentContext {
  const key = `${a.key} and ${b.key}`
  return { key, name: key, rules: [...(a.rules ?? []), ...(b.rules ?? [])] }
}

/** Milliseconds until something is so. */
export async function until(is: () => boolean | Promise<boolean>, patience = 5_000): Promise<number> {
  const begin = performance.now()
  while (!(await is())) {
    if (performance.now() - begin > patience) return Number.POSITIVE_INFINITY
    await sleep(2)
  }
  return performance.now() - begin
}

/** Rows of numbered identities: `n` from 1, `country` one of `countries`, `age` n % 100, made by the database. */
export async function fill(app: TestApp, place: string, rows: number, countries = 5): Promise<void> {
  await app.sql(
    `insert into ${place}_identities (environment_id, identifier, identity_key, traits)
     select 'env', 'u' || n, 'env_u' || n, jsonb_build_object('n', n, 'country', 'c' || n % ?::int, 'age', n % 100, 'version', '1.' || n % 10 || '.0')
     from generate_series(1, ?::int) as n`,
    [countries, rows],
  )
  await app.sql(`analyze ${place}_identities`)
}

/** Their names. */
export function tablesOf(place: string): { identities: string; segments: string; members: string } {
  return { identities: `${place}_identities`, segments: `${place}_segments`, members: `${place}_members` }
}
