import type { FastifyInstance } from 'fastify'
import { type Db, type RunOptions, type SqlAssist, substitutePool } from '../../src/index.ts'
import { type Database, databasesOf } from './databases.ts'
import { errors } from './errors.ts'
import { SharedConnection } from './shared-connection.ts'
import { SharedPool } from './shared-pool.ts'

/** The databases of an application, as one test has them; see {@link testDb}. */
export interface TestDb extends AsyncDisposable {
  /**
   * `app.sqlAssist.run` inside the shared transaction: for what a test needs to find, and for looking at what it has left.
   *
   * @throws SQLA_ERR_TEST_OVER after `rollback()`, where it would be saved for good
   */
  run<T>(fn: (db: Db) => T | Promise<T>, options?: RunOptions): Promise<T>
  /**
   * Takes everything back, and gives the engines their own connections again. Once; again it does nothing.
   *
   * @throws SQLA_ERR_TEST_ENDED when a statement has ended the shared transaction, SQLA_ERR_TEST_REPEAT; after everything is given
   *   back
   */
  rollback(): Promise<void>
}

/** The applications that have one. */
const active = new WeakSet<SqlAssist>()

/**
 * Begins a transaction that everything shares which the application does from now on: what requests commit is seen by later ones,
 * through every engine of the same database, and `rollback()` makes it as if nothing had happened. One at a time for each
 * application; every test begins its own.
 *
 * @param app after `app.ready()`
 * @throws SQLA_ERR_TEST_APP, SQLA_ERR_TEST_ALREADY, SQLA_ERR_TEST_DATABASE when an engine is not one of PostgreSQL,
 *   SQLA_ERR_POOL_TIMEOUT
 *
 * @example
 * ```ts
 * test('a note is listed', async () => {
 *   await using db = await testDb(app)
 *   await app.inject({ method: 'POST', url: '/notes', payload: { text: 'Hello' } })
 *   const notes = await app.inject('/notes')
 *   assert.equal(notes.json().length, 1)
 * })
 * ```
 */
export async function testDb(app: FastifyInstance): Promise<TestDb> {
  const { sqlAssist } = app as Partial<FastifyInstance>
  if (sqlAssist === undefined) {
    throw new errors.SQLA_ERR_TEST_APP('register it, and await app.ready() before')
  }
  if (active.has(sqlAssist)) throw new errors.SQLA_ERR_TEST_ALREADY()
  active.add(sqlAssist)
  const shared = new SharedDatabases(sqlAssist)
  try {
    await shared.open()
  } catch (error) {
    await shared.rollback()
    throw error
  }
  return shared
}

class SharedDatabases implements TestDb {
  readonly #sqlAssist: SqlAssist
  readonly #connections: SharedConnection[] = []
  readonly #restore: (() => void)[] = []
  #opening: Promise<void> | undefined
  #ending: Promise<void> | undefined
  /** Whether what went wrong has been told; closing the application tells nobody. */
  #isTold = false

  constructor(sqlAssist: SqlAssist) {
    this.#sqlAssist = sqlAssist
  }

  open(): Promise<void> {
    this.#opening = this.#open()
    return this.#opening
  }

  async #open(): Promise<void> {
    for (const database of await databasesOf(this.#sqlAssist.engines)) await this.#share(database)
  }

  async run<T>(fn: (db: Db) => T | Promise<T>, options?: RunOptions): Promise<T> {
    if (this.#ending !== undefined) {
      const names = this.#sqlAssist.engines.names().join(', ')
      throw new errors.SQLA_ERR_TEST_OVER(options?.name ?? 'run()', names)
    }
    return this.#sqlAssist.run(fn, options)
  }

  rollback(): Promise<void> {
    this.#ending ??= this.#end()
    const isFirst = !this.#isTold
    this.#isTold = true
    return isFirst ? this.#ending.then(() => this.#tellProblems()) : this.#ending
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback()
  }

  async #share({ through, engines }: Database): Promise<void> {
    const lease = await through.pool.acquire()
    const connection = new SharedConnection(lease)
    this.#connections.push(connection)
    await lease.begin(['begin'])
    const close = (): Promise<void> => {
      this.#ending ??= this.#end()
      return this.#ending
    }
    for (const engine of engines) {
      this.#restore.push(substitutePool(engine, new SharedPool(engine, connection, close)))
    }
  }

  async #end(): Promise<void> {
    // The application may be closed meanwhile: what is begun after that must end as well.
    await this.#opening?.catch(() => {})
    for (const restore of this.#restore) restore()
    await Promise.all(this.#connections.map(connection => connection.end()))
    active.delete(this.#sqlAssist)
  }

  #tellProblems(): void {
    const [problem] = this.#connections.flatMap(({ problems }) => problems)
    if (problem !== undefined) throw problem
  }
}
