import { createRequire } from 'node:module'
import type { CompiledQuery, QueryResult } from 'kysely'
import { kPlace } from '../live-list.ts'
import type { Lease, PoolContext, Trailer } from './connection-pool.ts'
import { LendingPool, type Settle } from './lending-pool.ts'

/** What we use of `pg`: structural, so that `pg` itself stays MikroORM's dependency and not ours. */
export interface PgClient {
  query(
    text: string,
    values: unknown[] | undefined,
    callback: (error: unknown, result: PgResult) => void,
  ): void
  query<T extends { submit(connection: unknown): void }>(query: T): T
  /** Since pg 8.17: the status byte of the last ReadyForQuery: idle, in a transaction, in a failed one. */
  getTransactionStatus(): 'I' | 'T' | 'E' | null
  release(destroy?: boolean | Error): void
  once(event: 'end', listener: () => void): unknown
  on(event: 'error', listener: () => void): unknown
  removeListener(event: 'end', listener: () => void): unknown
  processID?: number | null
}

interface PgResult {
  command: string
  rowCount: number | null
  rows: unknown[]
}

export interface PgNativePool {
  connect(callback: (error: unknown, client: PgClient | undefined) => void): void
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly options: { max: number; password?: unknown }
  readonly Client: new (
    options: object,
  ) => { connect(): Promise<void>; query(text: string): Promise<unknown>; end(): Promise<void> }
  on(event: 'connect', listener: (client: PgClient) => void): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  end(): Promise<void>
}

/** Milliseconds: whoever cancels waits for it, and there is a second way out. */
const CANCEL_CONNECT_PATIENCE = 2_000

const WRITES = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/**
 * Connections of `pg`, spoken to directly. That saves a round trip a transaction: MikroORM inlines parameters
 * and so uses the simple protocol, in which `begin;<statement>` is one message, and when BEGIN fails nothing
 * behind it runs. (Pipelining two messages would not be safe: there the statement runs, and commits, by itself.)
 */
export class PgPool extends LendingPool {
  readonly #pool: PgNativePool

  constructor(pool: PgNativePool, context: PoolContext) {
    super(context)
    this.#pool = pool
  }

  protected get max(): number {
    return this.#pool.options.max
  }

  protected get unused(): number {
    return this.#pool.idleCount
  }

  /** pg-pool lends an idle connection on the next tick; whoever comes after the idle ones has to wait. */
  protected mayWait(): boolean {
    return this.#pool.idleCount < this.#pool.waitingCount || this.#pool.idleCount === 0
  }

  protected take(settle: Settle): void {
    this.#pool.connect((error, client) => {
      if (client === undefined) {
        settle(error)
        return
      }
      const lease = new PgLease(client, this.#pool, this)
      if (!lease.inTransaction) {
        settle(undefined, lease)
        return
      }
      this.context.onDirty()
      lease.rollback().then(
        () => settle(undefined, lease),
        rollbackError => {
          lease.release(true)
          settle(rollbackError)
        },
      )
    })
  }
}

class PgLease implements Lease {
  [kPlace] = -1
  readonly #client: PgClient
  readonly pool: LendingPool
  trailer: Trailer | undefined
  readonly #native: PgNativePool
  #cancelling: Promise<void> | undefined
  #released = false

  constructor(client: PgClient, native: PgNativePool, pool: LendingPool) {
    this.#client = client
    this.#native = native
    this.pool = pool
  }

  get inTransaction(): boolean {
    // null right after connecting: the first ReadyForQuery is still being handled.
    const status = this.#client.getTransactionStatus()
    return status === 'T' || status === 'E'
  }

  execute<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.trailer === undefined
      ? (this.#query(query.sql, query.parameters) as Promise<QueryResult<R>>)
      : this.#executeWith<R>(query, this.trailer)
  }

  async begin<R>(statements: readonly string[], first?: CompiledQuery): Promise<QueryResult<R>> {
    const begin = statements.join(';')
    if (first === undefined || first.parameters.length > 0) {
      // The extended protocol takes one statement a message, and BEGIN must have worked before the next one runs.
      const begun = await this.#query(begin)
      return first === undefined ? (begun as QueryResult<R>) : this.execute(first)
    }
    try {
      return await this.#queryLast<R>(`${begin};${first.sql}`, statements.length, this.trailer)
    } catch (error) {
      // The error came before the status byte that tells whether BEGIN or `first` failed. An empty query is
      // allowed in any state and brings it.
      await this.#query('').catch(() => {})
      throw movedBack(error, begin.length + 1)
    }
  }

  commit(trailer?: Trailer): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (trailer === undefined) {
        this.#client.query('commit', undefined, (error, result) => {
          if (error) reject(error)
          else resolve(result.command !== 'ROLLBACK')
        })
        return
      }
      // When COMMIT fails, nothing behind it runs.
      this.#client.query(`commit;${trailer.sql}`, undefined, (error, result) => {
        if (error) {
          reject(error)
          return
        }
        const [commit, position] = result as unknown as PgResult[]
        trailer.receive(position?.rows[0] as Record<string, unknown>)
        resolve(commit?.command !== 'ROLLBACK')
      })
    })
  }

  async rollback(): Promise<void> {
    await this.#query('rollback')
  }

  stream<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    return readCursor(this.#client, query, chunkSize)
  }

  cancel(): Promise<void> {
    this.#cancelling ??= this.#cancel()
    return this.#cancelling
  }

  async #cancel(): Promise<void> {
    const pid = this.#client.processID
    if (!pid) return
    // A connection of its own: the pool may be exhausted by the very statements that are to be cancelled.
    const control = new this.#native.Client({
      ...this.#native.options,
      password: this.#native.options.password,
      connectionTimeoutMillis: CANCEL_CONNECT_PATIENCE,
    })
    try {
      await control.connect()
      await control.query(`select pg_cancel_backend(${Number(pid)})`)
    } catch {
      // Unreachable server, revoked right: the caller throws the connection away when its patience ends.
    } finally {
      await control.end().catch(() => {})
    }
  }

  release(broken = false): void {
    if (broken || this.#cancelling === undefined) {
      this.#giveBack(broken)
    } else {
      // A cancel that is on its way must not hit the next holder.
      void this.#cancelling.then(() => this.#giveBack(false))
    }
  }

  #giveBack(broken: boolean): void {
    if (this.#released) return
    this.#released = true
    this.pool.returned(this)
    // Whatever the caller believes: a connection inside a transaction is nobody's to reuse.
    this.#client.release(broken || this.inTransaction)
  }

  /** The extended protocol takes one statement a message, so behind bound parameters the trailer is one of its own. */
  async #executeWith<R>(query: CompiledQuery, trailer: Trailer): Promise<QueryResult<R>> {
    if (query.parameters.length === 0) return this.#queryLast<R>(query.sql, 0, trailer)
    const result = await this.#query(query.sql, query.parameters)
    const { rows } = await this.#query(trailer.sql)
    trailer.receive(rows[0] as Record<string, unknown>)
    return result as QueryResult<R>
  }

  /** Runs several statements in one message; resolves to what those behind the first `skipped` ones gave. */
  #queryLast<R>(text: string, skipped: number, trailer?: Trailer): Promise<QueryResult<R>> {
    // On a line of its own: the statement may end in a comment.
    const message = trailer === undefined ? text : `${text}\n;${trailer.sql}`
    return new Promise((resolve, reject) => {
      this.#client.query(message, undefined, (error, result) => {
        if (error) {
          reject(this.pool.statementError(error))
          return
        }
        // One result a statement. Several statements behind BEGIN give no rows, as in Kysely.
        const results = result as unknown as PgResult[]
        let end = results.length
        if (trailer !== undefined) trailer.receive(results[--end]?.rows[0] as Record<string, unknown>)
        resolve(toQueryResult(end === skipped + 1 ? results[skipped] : undefined) as QueryResult<R>)
      })
    })
  }

  #query(text: string, values?: readonly unknown[]): Promise<QueryResult<unknown>> {
    return new Promise((resolve, reject) => {
      this.#client.query(text, values as unknown[] | undefined, (error, result) => {
        if (error) reject(this.pool.statementError(error))
        else resolve(toQueryResult(result))
      })
    })
  }
}

interface PgCursor {
  submit(connection: unknown): void
  read<R>(rows: number): Promise<R[]>
  close(): Promise<void>
}
type PgCursorClass = new (text: string, values: unknown[]) => PgCursor

let cursorClass: PgCursorClass | undefined

/** `pg-cursor` belongs to @mikro-orm/postgresql, which has it as a dependency: it is found from there. */
function loadCursor(): PgCursorClass {
  cursorClass ??= createRequire(import.meta.resolve('@mikro-orm/postgresql'))('pg-cursor') as PgCursorClass
  return cursorClass
}

async function* readCursor<R>(
  client: PgClient,
  query: CompiledQuery,
  chunkSize: number,
): AsyncIterableIterator<QueryResult<R>> {
  const Cursor = loadCursor()
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>()
  client.once('end', onEnd)
  const cursor = client.query(new Cursor(query.sql, query.parameters.slice()))
  let failed = false
  try {
    for (;;) {
      const rows = await cursor.read<R>(chunkSize)
      if (rows.length === 0) return
      yield { rows }
    }
  } catch (error) {
    failed = true
    throw error
  } finally {
    // After an error there is nothing to close, and a lost connection would never answer.
    if (!failed) await Promise.race([cursor.close(), ended])
    client.removeListener('end', onEnd)
  }
}

function toQueryResult(result: PgResult | undefined): QueryResult<unknown> {
  if (result === undefined || result.rows === undefined) return { rows: [] }
  return WRITES.has(result.command) && result.rowCount !== null
    ? { numAffectedRows: BigInt(result.rowCount), rows: result.rows }
    : { rows: result.rows }
}

/** The server counts an error's position in the message that we sent; the caller knows only its own statement. */
function movedBack(error: unknown, by: number): unknown {
  const positioned = error as { position?: string }
  const position = Number(positioned.position)
  if (position > by) positioned.position = String(position - by)
  return error
}
