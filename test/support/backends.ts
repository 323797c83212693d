import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Options } from '@mikro-orm/core'
import * as mariadb from '@mikro-orm/mariadb'
import * as postgresql from '@mikro-orm/postgresql'
import * as sqlite from '@mikro-orm/sqlite'
import type { Test } from 'tap'
import type { SqlOrm } from '../../src/engines/orm.ts'
import { testDatabase } from './cluster.ts'

// The databases that a contract suite runs on. Each test file has a database of its own on each of them.

export type BackendName = 'PostgreSQL' | 'PostgreSQL 15' | 'MariaDB' | 'SQLite'

/** An empty database of one test file. */
export interface TestBackend {
  readonly name: BackendName
  readonly dialect: 'postgresql' | 'mysql' | 'sqlite'
  /** A fresh configuration of MikroORM for it. */
  options(more?: Partial<Options>): Options
  /** An instance, open, which `t` closes. */
  orm(t: Test, more: Partial<Options>): Promise<SqlOrm>
}

type Init = (options: never) => Promise<unknown>

function backend(
  name: BackendName,
  dialect: TestBackend['dialect'],
  options: (more?: Partial<Options>) => unknown,
  init: Init,
): TestBackend {
  return {
    name,
    dialect,
    options: more => options(more) as Options,
    async orm(t, more) {
      const orm = (await init(options(more) as never)) as SqlOrm
      t.teardown(() => orm.close(true))
      return orm
    },
  }
}

/** Opens every database that there is here; what is missing is said, with the reason. */
const OPENERS: Record<BackendName, (t: Test) => Promise<TestBackend | string>> = {
  async PostgreSQL(t) {
    const database = await testDatabase(t)
    return backend(
      'PostgreSQL',
      'postgresql',
      more => postgresql.defineConfig({ clientUrl: database.superUrl, ...more } as never),
      (options => postgresql.MikroORM.init(options)) as Init,
    )
  },
  async 'PostgreSQL 15'(t) {
    const clientUrl = process.env.POSTGRES_15_URL
    if (clientUrl === undefined) return 'POSTGRES_15_URL is not set'
    const dbName = `sqlassist_${randomBytes(6).toString('hex')}`
    await admin(
      t,
      (options => postgresql.MikroORM.init(options)) as Init,
      { clientUrl },
      dbName,
      ' with (force)',
    )
    return backend(
      'PostgreSQL 15',
      'postgresql',
      more => postgresql.defineConfig({ clientUrl, dbName, ...more } as never),
      (options => postgresql.MikroORM.init(options)) as Init,
    )
  },
  async MariaDB(t) {
    const clientUrl = process.env.MARIADB_URL
    if (clientUrl === undefined) return 'MARIADB_URL is not set'
    const dbName = `sqlassist_${randomBytes(6).toString('hex')}`
    await admin(
      t,
      (options => mariadb.MikroORM.init(options)) as Init,
      { clientUrl, dbName: 'mysql' },
      dbName,
      '',
    )
    return backend(
      'MariaDB',
      'mysql',
      more => mariadb.defineConfig({ clientUrl, dbName, ...more } as never),
      (options => mariadb.MikroORM.init(options)) as Init,
    )
  },
  async SQLite(t) {
    const directory = await mkdtemp(join(tmpdir(), 'sqlassist-sqlite-'))
    t.teardown(() => rm(directory, { recursive: true }))
    return backend(
      'SQLite',
      'sqlite',
      more => sqlite.defineConfig({ dbName: join(directory, 'test.db'), ...more } as never),
      (options => sqlite.MikroORM.init(options)) as Init,
    )
  },
}

/** Makes a database, and drops it when `t` is torn down. */
async function admin(t: Test, init: Init, options: object, dbName: string, force: string): Promise<void> {
  const orm = (await init({
    ...options,
    entities: [],
    discovery: { warnWhenNoEntities: false },
  } as never)) as SqlOrm
  await orm.em.getConnection().execute(`create database ${dbName}`)
  t.teardown(async () => {
    await orm.em.getConnection().execute(`drop database ${dbName}${force}`)
    await orm.close(true)
  })
}

/** Databases that the package does not bring along. */
const OTHERS: readonly BackendName[] = ['PostgreSQL 15', 'MariaDB']

/** `npm run test:databases` has the others alone: what runs everywhere has run with `npm test`. */
function isWanted(name: BackendName): boolean {
  return process.env.TEST_DATABASES !== 'others' || OTHERS.includes(name)
}

/**
 * Runs a suite on every database that there is here, and says which were skipped and why.
 *
 * @example
 * ```ts
 * await onEveryBackend(t, (t, backend) => {
 *   t.test('…', async t => { const orm = await backend.orm(t, { entities: [Item] }) })
 * })
 * ```
 */
export async function onEveryBackend(
  t: Test,
  suite: (t: Test, backend: TestBackend) => void | Promise<void>,
  names: readonly BackendName[] = Object.keys(OPENERS) as BackendName[],
): Promise<void> {
  for (const name of names.filter(isWanted)) {
    await t.test(name, async t => {
      const opened = await OPENERS[name](t)
      if (typeof opened === 'string') {
        t.comment(`SKIPPED: ${opened}, so this did not run on ${name}`)
        t.pass(`skipped: ${opened}`)
        return
      }
      await suite(t, opened)
    })
  }
}
