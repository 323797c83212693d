import { CompiledQuery, type QueryResult } from 'kysely'
import type { Backend, ConnectionPool, Lease, Trailer } from '../../src/index.ts'
import type { SharedConnection } from './shared-connection.ts'
import type { SharedTransaction } from './shared-transaction.ts'

const READ_ONLY = /\bread only\b/i

/** The shared connection, as one session holds it. */
export class SharedLease implements Lease {
  trailer: Trailer | undefined
  lentAt = performance.now()
  /** The shared connection itself keeps readers from writing. */
  readonly guarded = false
  readonly #shared: SharedConnection
  readonly #engine: string
  readonly #readOnly: boolean
  readonly #onRelease: (lease: SharedLease) => void
  #transaction: SharedTransaction | undefined
  #isReleased = false

  constructor(
    shared: SharedConnection,
    engine: string,
    readOnly: boolean,
    onRelease: (lease: SharedLease) => void,
  ) {
    this.#shared = shared
    this.#engine = engine
    this.#readOnly = readOnly
    this.#onRelease = onRelease
  }

  get pool(): ConnectionPool {
    return this.#shared.lease.pool
  }

  get connection(): object {
    return this.#shared.lease.connection
  }

  get backend(): Backend {
    return this.#shared.lease.backend
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined && !this.#transaction.isOver
  }

  async execute<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const result = await this.#run<R>(query)
    if (this.trailer !== undefined) await this.#ask(this.trailer)
    return result
  }

  /** The isolation level is that of the transaction that all share. */
  async begin<R>(statements: readonly string[], first?: CompiledQuery): Promise<QueryResult<R>> {
    const readOnly = this.#readOnly || statements.some(statement => READ_ONLY.test(statement))
    this.#transaction = await this.#shared.begin(this, this.#engine, readOnly)
    return first === undefined ? { rows: [] } : this.execute<R>(first)
  }

  guard<R>(_statements: readonly string[], query: CompiledQuery): Promise<QueryResult<R>> {
    return this.execute<R>(query)
  }

  async commit(trailer?: Trailer): Promise<boolean> {
    const transaction = this.#transaction
    const isCommitted = transaction === undefined || (await this.#shared.commit(this, transaction))
    if (trailer !== undefined) await this.#ask(trailer)
    return isCommitted
  }

  /** Nothing is prepared on a shared connection: each engine's commit is a savepoint's. */
  prepare(): Promise<boolean> {
    return this.commit()
  }

  async rollback(): Promise<void> {
    if (this.#transaction !== undefined) await this.#shared.rollback(this, this.#transaction)
  }

  /** Reads all rows before it gives the first: whoever reads them may ask something else meanwhile, on the same connection. */
  async *stream<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    const { rows } = await this.execute<R>(query)
    for (let from = 0; from < rows.length; from += chunkSize)
      yield { rows: rows.slice(from, from + chunkSize) }
  }

  cancel(): Promise<void> {
    return this.#shared.cancel(this)
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    if (!this.inTransaction) this.#onRelease(this)
    else
      void this.rollback()
        .catch(() => {})
        .then(() => this.#onRelease(this))
  }

  #run<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const speaker = {
      engine: this.#engine,
      readOnly: this.#readOnly,
      transaction: this.inTransaction ? this.#transaction : undefined,
    }
    return this.#shared.run<R>(this, speaker, query)
  }

  async #ask(trailer: Trailer): Promise<void> {
    const { rows } = await this.#run<Record<string, unknown>>(CompiledQuery.raw(trailer.sql))
    if (rows[0] !== undefined) trailer.receive(rows[0], this)
  }
}
