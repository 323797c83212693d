import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Test } from 'tap'
import type { Engine } from '../../src/index.ts'
import type { Logger } from '../../src/logger.ts'
import { branchName } from '../../src/transactions/branch-name.ts'
import { Decisions } from '../../src/transactions/decisions.ts'
import { Janitor, type JanitorContext } from '../../src/transactions/janitor.ts'
import type { TestDatabase } from '../support/cluster.ts'
import { Account, type TwoDatabases, type TwoDb } from './two-databases.ts'

// What a process that died in the middle of a commit leaves behind, and a janitor that a test can call.

/** Prepares an account with the id 2, as a process of the application `application` would have. @returns the name */
export async function leaveBehind(
  t: Test,
  database: TestDatabase,
  gid: string,
  { url = database.writerUrl, account = 2 } = {},
): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('begin')
    await client.query('insert into account values ($1, 5)', [account])
    await client.query(`prepare transaction '${gid}'`)
  } finally {
    await client.end()
  }
  // A database with a prepared transaction cannot be dropped.
  t.teardown(() => database.sql(`rollback prepared '${gid}'`).catch(() => {}))
  return gid
}

/** The names that the plugin gives. */
export async function namesOf(two: Pick<TwoDatabases, 'app'>) {
  const coordinator = await decisionsOf(two).identity()
  return (engine: string, id: string = randomUUID(), application = 'app', decider = coordinator): string =>
    branchName({ application, coordinator: decider }, id, engine)
}

const decisionsOf = ({ app }: Pick<TwoDatabases, 'app'>): Decisions =>
  new Decisions(() => app.sqlAssist.engines.get('a'), 'sqlassist_decisions', 'app')

/** The names of what is prepared in both databases. */
export async function preparedIn({ a, b }: Pick<TwoDatabases, 'a' | 'b'>): Promise<string[]> {
  const rows = await a.sql<{ gid: string }>(
    'select gid from pg_prepared_xacts where database in ($1, $2) order by gid',
    [a.name, b.name],
  )
  return rows.map(({ gid }) => gid)
}

export async function decisionsIn({ a }: Pick<TwoDatabases, 'a'>) {
  return a.sql<{ id: string; outcome: string }>(
    'select id::text as id, outcome from sqlassist_decisions order by decided_at',
  )
}

/** A janitor beside the plugin's own, on the same engines. */
export function janitorOf(
  t: Test,
  { app }: Pick<TwoDatabases, 'app'>,
  context: Partial<JanitorContext> = {},
): { janitor: Janitor; decisions: Decisions; logs: { fields: object; message: string }[] } {
  const engines = (): Engine[] => [...app.sqlAssist.engines].filter(engine => engine.joins)
  const decisions = decisionsOf({ app })
  const logs: { fields: object; message: string }[] = []
  const write = (fields: object, message: string) => void logs.push({ fields, message })
  const log: Logger = { error: write, warn: write, info: write }
  const janitor = new Janitor({
    engines,
    decisions,
    application: 'app',
    log,
    warnAfter: 60_000,
    grace: 0.001,
    ...context,
  })
  t.teardown(() => janitor.close())
  return { janitor, decisions, logs }
}

/** An account in each of both. */
export async function both(db: TwoDb, a: number, b: number): Promise<void> {
  db.a.create(Account, { id: 2, balance: a })
  db.b.create(Account, { id: 2, balance: b })
}

/** What was logged at warn and above. */
export const warnings = ({ logs }: TwoDatabases) => logs.filter(({ level }) => level >= 40)

/** Nothing is prepared, decided or lent any more. */
export async function isClean(t: Test, two: TwoDatabases): Promise<void> {
  t.same(await preparedIn(two), [], 'nothing is prepared')
  t.same(await decisionsIn(two), [], 'no decision is left')
  for (const { figures } of two.app.sqlAssist.engines) t.equal(figures.used, 0, 'no connection is lent')
}
