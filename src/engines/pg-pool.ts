import type { CompiledQuery, QueryResult } from 'kysely'
import { kPlace } from '../live-list.ts'
import { isServerFailure } from '../routing/failures.ts'
import { type CancellableClient, requestCancel } from './cancel-request.ts'
import type { Backend, Lease, PoolContext, PooledConnection, Trailer } from './connection-pool.ts'
import { LendingPool, type ListedLease, type Settle } from './lending-pool.ts'
import { loadPgModule } from './pg-modules.ts'
import { isRefusedParameter } from './startup.ts'

/** What we use of `pg`: structural, so that `pg` itself stays MikroORM's dependency and not ours. */
export interface PgClient extends CancellableClient {
  readonly database?: string
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
  on(event: 'connect' | 'remove', listener: (client: PgClient) => void): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  removeListener(event: 'remove', listener: (client: PgClient) => void): unknown
  end(): Promise<void>
}

/** Milliseconds: whoever cancels waits for it, and there is a second way out. */
const CANCEL_PATIENCE = 2_000

const WRITES = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/**
 * Connections of `pg`, spoken to directly. That saves a round trip a transaction: MikroORM inlines parameters
 * and so uses the simple protocol, in which `begin;<statement>` is one message, and when BEGIN fails nothing
 * behind it runs. (Pipelining two messages would not be safe: there the statement runs, and commits, by itself.)
 */
export class PgPool extends LendingPool {
  readonly #pool: PgNativePool
  /** Whether its connections are what they asked to be; undefined until one of them has been asked. */
  #isReadOnly: boolean | undefined
  #hasTold = false
  /** The clients that have been lent and not been closed. */
  readonly #clients = new Set<PgClient>()
  /** Heard from the pool: a listener on each client would be many. */
  readonly #forget = (client: PgClient): void => {
    this.#clients.delete(client)
  }

  constructor(pool: PgNativePool, context: PoolContext) {
    super(context)
    this.#pool = pool
    pool.on('remove', this.#forget)
  }

  override close(): void {
    this.#pool.removeListener('remove', this.#forget)
  }

  protected get max(): number {
    return this.#pool.options.max
  }

  protected get unused(): number {
    return this.#pool.idleCount
  }

  /** pg-pool lends an idle connection on the next tick; whoever comes after the idle ones has to wait. */
  protected mayWait(): boolean {
    return this.#pool.idleCount < this.#pool.waitingCount || this.#pool.idleCount === 0 || this.#hasToAsk
  }

  protected take(settle: Settle): void {
    this.#connect(settle, true)
  }

  #connect(settle: Settle, mayRepeat: boolean): void {
    this.#pool.connect((error, client) => {
      if (client === undefined) {
        // What answers next may be another server, or the same one behind a pooler.
        this.#isReadOnly = undefined
        if (mayRepeat && isRefusedParameter(error)) this.#connect(settle, false)
        else settle(error)
        return
      }
      this.#clients.add(client)
      const lease = new PgLease(client, this)
      const fail = (failure: unknown): void => {
        lease.release(true)
        settle(failure)
      }
      if (!lease.inTransaction) {
        this.#lend(lease, settle, fail)
        return
      }
      this.context.onDirty()
      lease.rollback().then(() => this.#lend(lease, settle, fail), fail)
    })
  }

  protected override idleBackends(): Pick<PooledConnection, 'processId'>[] {
    return [...this.#clients].map(({ processID }) => ({ processId: processID ?? undefined }))
  }

  get #hasToAsk(): boolean {
    return this.context.guard === 'unless read-only' && this.#isReadOnly === undefined
  }

  #lend(lease: PgLease, settle: Settle, fail: (error: unknown) => void): void {
    const { guard } = this.context
    if (!this.#hasToAsk) {
      lease.guarded = guard === 'always' || (guard !== undefined && this.#isReadOnly === false)
      settle(undefined, lease)
      return
    }
    lease.whyNotReadOnly().then(reason => {
      this.#isReadOnly = reason === undefined
      lease.guarded = reason !== undefined
      if (reason !== undefined && !this.#hasTold) this.context.onGuarded?.(reason)
      this.#hasTold ||= reason !== undefined
      settle(undefined, lease)
    }, fail)
  }
}

class PgLease implements ListedLease {
  [kPlace] = -1
  readonly #client: PgClient
  readonly pool: LendingPool
  trailer: Trailer | undefined
  guarded = false
  lentAt = 0
  /** Resolves to whether it is over for certain. */
  #cancelling: Promise<boolean> | undefined
  #released = false
  /** The server has said goodbye on it: it ends at any moment. */
  #isOver = false

  constructor(client: PgClient, pool: LendingPool) {
    this.#client = client
    this.pool = pool
  }

  get connection(): object {
    return this.#client
  }

  get backend(): Backend {
    const { host, port, database, processID } = this.#client
    return { host, port, database, processId: processID ?? undefined }
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
      return await this.#queryLast<R>(`${begin};${first.sql}`, statements.length)
    } catch (error) {
      // The error came before the status byte that tells whether BEGIN or `first` failed. An empty query is
      // allowed in any state and brings it.
      await this.#query('').catch(() => {})
      throw movedBack(error, begin.length + 1)
    }
  }

  /** When `query` fails, nothing behind it runs, and the transaction is still open. */
  async guard<R>(statements: readonly string[], query: CompiledQuery): Promise<QueryResult<R>> {
    const begin = statements.join(';')
    const isOneMessage = query.parameters.length === 0
    try {
      if (isOneMessage) return await this.#queryLast<R>(`${begin};${query.sql}`, statements.length, 'commit')
      await this.#query(begin)
      const result = await this.execute<R>(query)
      await this.#query('commit')
      return result
    } catch (error) {
      // A connection on which that fails is not clean, and is thrown away when it is given back.
      await this.rollback().catch(() => {})
      throw isOneMessage ? movedBack(error, begin.length + 1) : error
    }
  }

  /** Asks the server whether the connection is read-only by itself. @returns why it is not */
  async whyNotReadOnly(): Promise<string | undefined> {
    const { rows } = await this.#query(
      "select pg_backend_pid() as pid, current_setting('default_transaction_read_only') as read_only",
    )
    const { pid, read_only: readOnly } = rows[0] as { pid: number; read_only: string }
    // Whatever the setting is there now: server connections are shared, and another client may change it.
    if (pid !== this.#client.processID) return 'a pooler stands before the server'
    return readOnly === 'on' ? undefined : 'default_transaction_read_only is off'
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
        tell(trailer, position, this)
        resolve(commit?.command !== 'ROLLBACK')
      })
    })
  }

  prepare(gid: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      // The statement takes no parameters.
      this.#client.query(`prepare transaction '${gid.replaceAll("'", "''")}'`, undefined, (error, result) => {
        if (error) reject(error)
        else resolve(result.command !== 'ROLLBACK')
      })
    })
  }

  async rollback(): Promise<void> {
    await this.#query('rollback')
  }

  async *stream<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    let left: 'early' | 'failed' | 'at the end' = 'early'
    try {
      yield* readCursor<R>(this.#client, query, chunkSize)
      left = 'at the end'
    } catch (error) {
      left = 'failed'
      throw error
    } finally {
      // A message of its own: until the cursor is closed, nothing else runs on the connection.
      if (this.trailer !== undefined && left !== 'failed') {
        const asked = this.#ask(this.trailer)
        await (left === 'early' ? asked.catch(() => {}) : asked)
      }
    }
  }

  async cancel(): Promise<void> {
    this.#cancelling ??= requestCancel(this.#client, CANCEL_PATIENCE)
    const cancelling = this.#cancelling
    // Whoever has the connection for long may have to cancel another statement, too.
    if ((await cancelling) && this.#cancelling === cancelling) this.#cancelling = undefined
  }

  release(broken = false): void {
    if (broken || this.#cancelling === undefined) {
      this.#giveBack(broken)
    } else {
      // A cancel that is on its way must not hit the next holder.
      void this.#cancelling.then(isOver => this.#giveBack(!isOver))
    }
  }

  #giveBack(broken: boolean): void {
    if (this.#released) return
    this.#released = true
    this.pool.returned(this)
    // Whatever the caller believes: a connection inside a transaction is nobody's to reuse.
    this.#client.release(broken || this.#isOver || this.inTransaction)
  }

  /** The extended protocol takes one statement a message, so behind bound parameters the trailer is one of its own. */
  async #executeWith<R>(query: CompiledQuery, trailer: Trailer): Promise<QueryResult<R>> {
    if (query.parameters.length === 0) return this.#queryLast<R>(query.sql, 0)
    const result = await this.#query(query.sql, query.parameters)
    await this.#ask(trailer)
    return result as QueryResult<R>
  }

  async #ask(trailer: Trailer): Promise<void> {
    tell(trailer, await this.#query(trailer.sql), this)
  }

  /**
   * Runs several statements in one message, the trailer and `last` behind them; resolves to what those behind the
   * first `skipped` ones gave.
   */
  #queryLast<R>(text: string, skipped: number, last?: string): Promise<QueryResult<R>> {
    const { trailer } = this
    // On a line of its own: the statement may end in a comment.
    let message = trailer === undefined ? text : `${text}\n;${trailer.sql}`
    if (last !== undefined) message += `\n;${last}`
    return new Promise((resolve, reject) => {
      this.#client.query(message, undefined, (error, result) => {
        if (error) {
          reject(this.#failed(error))
          return
        }
        // One result a statement (none for a mere comment). Several statements behind BEGIN give no rows, as in Kysely.
        const results = (Array.isArray(result) ? result : [result]) as PgResult[]
        let end = last === undefined ? results.length : results.length - 1
        if (trailer !== undefined) tell(trailer, results[--end], this)
        resolve(toQueryResult(end === skipped + 1 ? results[skipped] : undefined) as QueryResult<R>)
      })
    })
  }

  #failed(error: unknown): unknown {
    const { severity } = error as { severity?: unknown }
    if (severity === 'FATAL' || isServerFailure(error)) this.#isOver = true
    return this.pool.statementError(error)
  }

  #query(text: string, values?: readonly unknown[]): Promise<QueryResult<unknown>> {
    return new Promise((resolve, reject) => {
      this.#client.query(text, values as unknown[] | undefined, (error, result) => {
        if (error) reject(this.#failed(error))
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

function loadCursor(): PgCursorClass {
  cursorClass ??= loadPgModule('pg-cursor') as PgCursorClass
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

/** Inside pg's own callbacks nobody would catch an error, and what has been committed stays committed. */
function tell(trailer: Trailer, answer: { rows: unknown[] } | undefined, lease: Lease): void {
  try {
    trailer.receive(answer?.rows[0] as Record<string, unknown>, lease)
  } catch (error) {
    process.emitWarning(error as Error)
  }
}
