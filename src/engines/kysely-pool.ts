import { CompiledQuery, type DatabaseConnection, type QueryExecutor, type QueryResult } from 'kysely'
import { kPlace } from '../live-list.ts'
import type { Backend, Lease, PoolContext, Trailer } from './connection-pool.ts'
import { LendingPool, type ListedLease, type Settle } from './lending-pool.ts'

const UNKNOWN_BACKEND: Backend = {
  host: undefined,
  port: undefined,
  database: undefined,
  processId: undefined,
}
const ROLLBACK = CompiledQuery.raw('rollback')
const COMMIT = CompiledQuery.raw('commit')

/**
 * Connections of any driver that Kysely knows, held through its public `provideConnection`: the connection is
 * ours until the promise that our callback returned settles.
 */
export class KyselyPool extends LendingPool {
  readonly #executor: QueryExecutor
  readonly #rollbackTells: boolean
  protected readonly max: number | undefined
  /** Nothing tells. */
  protected readonly unused = undefined

  /**
   * @param max connections that the driver may open, as far as it is known
   * @param rollbackTells whether ROLLBACK outside a transaction is an error, as in SQLite
   */
  constructor(
    executor: QueryExecutor,
    max: number | undefined,
    rollbackTells: boolean,
    context: PoolContext,
  ) {
    super(context)
    this.#executor = executor
    this.max = max
    this.#rollbackTells = rollbackTells
  }

  protected mayWait(): boolean {
    return true
  }

  protected take(settle: Settle): void {
    this.#executor
      .provideConnection(
        connection =>
          new Promise<void>(giveBack => {
            const lease = new KyselyLease(connection, this, this.context.guard === 'always', giveBack)
            this.#leaveForeignTransaction(lease).then(
              () => settle(undefined, lease),
              error => {
                lease.release()
                settle(error)
              },
            )
          }),
      )
      .catch(settle)
  }

  /**
   * These drivers do not tell whether a connection is inside a transaction, and BEGIN in MySQL would commit
   * what somebody left open: so roll back first. SQLite answers an error when there was nothing to roll back,
   * which is the answer that we hope for; MySQL never tells, so there the warning is missing.
   */
  async #leaveForeignTransaction(lease: Lease): Promise<void> {
    try {
      await lease.rollback()
    } catch (error) {
      if (this.#rollbackTells) return
      throw error
    }
    if (this.#rollbackTells) this.context.onDirty()
  }
}

class KyselyLease implements ListedLease {
  [kPlace] = -1
  readonly guarded: boolean
  readonly #connection: DatabaseConnection
  readonly pool: LendingPool
  trailer: Trailer | undefined
  readonly #giveBack: () => void
  #released = false
  inTransaction = false
  lentAt = 0
  /** The driver does not tell. */
  readonly backend = UNKNOWN_BACKEND

  constructor(connection: DatabaseConnection, lender: LendingPool, guarded: boolean, giveBack: () => void) {
    this.#connection = connection
    this.guarded = guarded
    this.pool = lender
    this.#giveBack = giveBack
  }

  get connection(): object {
    return this.#connection
  }

  async execute<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const result = await this.#connection.executeQuery<R>(query)
    if (this.trailer !== undefined) await this.#ask(this.trailer)
    return result
  }

  async begin<R>(statements: readonly string[], first?: CompiledQuery): Promise<QueryResult<R>> {
    for (const statement of statements) await this.#connection.executeQuery(CompiledQuery.raw(statement))
    this.inTransaction = true
    return first === undefined ? { rows: [] } : this.execute<R>(first)
  }

  /** Ends with ROLLBACK: what a database without read-only transactions let through is undone. */
  async guard<R>(statements: readonly string[], query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      return await this.begin<R>(statements, query)
    } finally {
      if (this.inTransaction) await this.rollback().catch(() => {})
    }
  }

  async commit(trailer?: Trailer): Promise<boolean> {
    await this.#connection.executeQuery(COMMIT)
    this.inTransaction = false
    if (trailer !== undefined) await this.#ask(trailer)
    return true
  }

  async prepare(gid: string): Promise<boolean> {
    await this.#connection.executeQuery(
      CompiledQuery.raw(`prepare transaction '${gid.replaceAll("'", "''")}'`),
    )
    this.inTransaction = false
    // Kysely does not tell whether the server has answered with ROLLBACK.
    const { rows } = await this.#connection.executeQuery(
      CompiledQuery.raw('select 1 from pg_prepared_xacts where gid = $1', [gid]),
    )
    return rows.length > 0
  }

  async rollback(): Promise<void> {
    await this.#connection.executeQuery(ROLLBACK)
    this.inTransaction = false
  }

  stream<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    return this.#connection.streamQuery<R>(query, chunkSize)
  }

  /** How messages are made here is the driver's business, so the question is one of its own. */
  async #ask(trailer: Trailer): Promise<void> {
    const { rows } = await this.#connection.executeQuery(CompiledQuery.raw(trailer.sql))
    trailer.receive(rows[0] as Record<string, unknown>, this)
  }

  async cancel(): Promise<void> {
    try {
      await this.#connection.collectSessionInfo?.()
      await this.#connection.cancelQuery?.(async () => {})
    } catch {
      // As for pg: the caller's patience is the limit.
    }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.pool.returned(this)
    this.#giveBack()
  }
}
