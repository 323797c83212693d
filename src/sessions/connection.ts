import type { CompiledQuery, ConnectionProvider, DatabaseConnection, QueryResult } from 'kysely'
import type { ConnectionPool, Lease, Trailer } from '../engines/connection-pool.ts'
import { errors } from '../errors.ts'

/** What a session's connection needs to know about its engine. */
export interface ConnectionContext {
  /** The engine's name, for messages. */
  readonly name: string
  readonly readOnly: boolean
  /** The statements that begin a transaction of this engine. */
  readonly begin: readonly string[]
  /** The pool that new transactions take their connection from: after a reinit it is another one. */
  readonly pool: Pick<ConnectionPool, 'acquire'>
  /** Whether a server can be asked later what has become of a transaction. */
  readonly tellsOutcomes?: boolean
  /** Asked in the round trip of COMMIT. */
  readonly commitTrailer?: Trailer | undefined
  /** Told of every statement; answers whether it may write. */
  noteStatement?(sql: string): boolean
  /** Called after a statement outside a transaction that may have written. */
  afterWrite?(lease: Lease): Promise<void>
  /** Whether a statement outside a transaction is to be run again, somewhere else. */
  repeats?(lease: Lease, error?: unknown): boolean
}

/** Who a session belongs to. */
export interface Owner {
  /** As a message names it: `POST /notes`. */
  label(): string
}

const AT_REST = Promise.resolve()

/** How long what still runs when a session ends may take to be cancelled before its connection is cut, in ms. */
const CANCEL_PATIENCE = 5_000

/**
 * What MikroORM and Kysely take for the connection of a session. It owns nothing until a statement runs, and
 * refuses everything once the session has ended.
 */
export abstract class SessionConnection implements DatabaseConnection, ConnectionProvider {
  protected readonly context: ConnectionContext
  protected readonly owner: Owner
  #closing: Promise<void> | undefined

  constructor(context: ConnectionContext, owner: Owner) {
    this.context = context
    this.owner = owner
  }

  /** Whether a connection is held right now. */
  abstract readonly holding: boolean
  /** Whether a statement or a stream is under way right now. */
  abstract readonly busy: boolean

  protected abstract run<R>(query: CompiledQuery): Promise<QueryResult<R>>
  protected abstract runStream<R>(
    query: CompiledQuery,
    chunkSize: number,
  ): AsyncIterableIterator<QueryResult<R>>
  /** The connections that are in use right now. */
  protected abstract leases(): Iterable<Lease>
  /** Stops what is under way; resolves when it has stopped. */
  protected abstract stop(): Promise<void>
  /** Ends what the connection is in the middle of, without waiting for anything but the database. */
  protected abstract end(): Promise<void>

  provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    return consumer(this)
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      this.assertUsable()
      if (this.context.readOnly) refuseWrite(query.sql, this.context.name)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.run<R>(query)
  }

  async *streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    this.assertUsable()
    yield* this.runStream<R>(query, chunkSize)
  }

  /** For Kysely's abort strategies: a signal may stop the statement on the server as well. */
  async cancelQuery(): Promise<void> {
    await Promise.all([...this.leases()].map(lease => lease.cancel()))
  }

  async collectSessionInfo(): Promise<void> {}

  /** Ends the session: what runs is cancelled, what is open is rolled back, every connection goes back. */
  close(): Promise<void> {
    this.#closing ??= this.busy ? this.#stopAndEnd() : this.holding ? this.end() : AT_REST
    return this.#closing
  }

  protected get closed(): boolean {
    return this.#closing !== undefined
  }

  protected assertUsable(): void {
    if (this.#closing !== undefined)
      throw new errors.SQLA_ERR_SESSION_CLOSED(this.context.name, this.owner.label())
  }

  protected streamingError(): Error {
    return new errors.SQLA_ERR_SESSION_STREAMING(this.context.name, this.owner.label())
  }

  /** To be called with a connection that was waited for: the session may have ended meanwhile. */
  protected assertStillWanted(lease: Lease): void {
    if (this.#closing === undefined) return
    lease.release()
    this.assertUsable()
  }

  async #stopAndEnd(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const cut = new Promise<void>(resolve => {
      timer = setTimeout(() => {
        for (const lease of [...this.leases()]) lease.release(true)
        resolve()
      }, CANCEL_PATIENCE)
    })
    try {
      await Promise.race([this.stop(), cut])
    } finally {
      clearTimeout(timer)
      await this.end()
    }
  }
}

const WRITE = /^(insert|update|delete|merge|replace|truncate|create|alter|drop|grant|revoke)\b/i

/** The obvious writes never reach the server; the hidden ones (CTEs, functions) are refused by the server. */
function refuseWrite(sql: string, engine: string): void {
  if (sql.startsWith('select ')) return
  const write = WRITE.exec(sql)
  if (write !== null) throw new errors.SQLA_ERR_READ_ONLY(engine, (write[1] as string).toUpperCase())
}
