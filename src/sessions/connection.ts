import type { CompiledQuery, ConnectionProvider, DatabaseConnection, QueryResult } from 'kysely'
import type { ConnectionPool, Lease, Trailer } from '../engines/connection-pool.ts'
import { errors } from '../errors.ts'
import { poolWaits, sessionFirstSql } from '../observe/channels.ts'
import type { DiagnosticScope, LeakMessage, ServerInfo } from '../observe/messages.ts'
import { type CommentOf, commented } from '../observe/sql-comment.ts'
import type { StatementOrigin } from '../observe/statement-message.ts'

/** What a session's connection needs to know about its engine. */
export interface ConnectionContext {
  /** The engine's name, for messages. */
  readonly name: string
  /** For diagnostics: the engine behind it. */
  readonly engine: ObservedEngine
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

/** What diagnostic messages say of an engine. */
export interface ObservedEngine {
  readonly source: object
  readonly dialect: string
  /** What is written behind a scope's statements; undefined without `sqlComments`. */
  readonly commentOf?: CommentOf | undefined
  serverOf(lease: Lease): ServerInfo
  noteLeak(kind: LeakMessage['kind']): void
}

/** A connection that a session holds. */
export interface HeldConnection {
  /** The replica's name; `primary` for the engine's own server. */
  readonly server: string
  /** The process that serves it (PostgreSQL). */
  readonly processId: number | undefined
  /** When it was lent, in milliseconds of `performance.now()`. */
  readonly since: number
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
  protected readonly owner: DiagnosticScope
  #hasBegun = false
  #closing: Promise<void> | undefined

  constructor(context: ConnectionContext, owner: DiagnosticScope) {
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

  /** The connections that it holds right now. */
  connections(): HeldConnection[] {
    const { engine } = this.context
    return [...this.leases()].map(lease => ({
      server: engine.serverOf(lease).name,
      processId: lease.backend.processId,
      since: lease.lentAt,
    }))
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

  /** A connection for the next statement. */
  protected acquire(): Promise<Lease> {
    return poolWaits.hasSubscribers || sessionFirstSql.hasSubscribers
      ? this.#observedAcquire()
      : this.context.pool.acquire()
  }

  async #observedAcquire(): Promise<Lease> {
    const { owner: scope, context } = this
    const { name, engine } = context
    const from = performance.now()
    const tell = (error: unknown): void => {
      if (!poolWaits.hasSubscribers) return
      poolWaits.publish({
        source: engine.source,
        scope,
        engine: name,
        duration: performance.now() - from,
        error,
      })
    }
    let lease: Lease
    try {
      lease = await context.pool.acquire()
    } catch (error) {
      tell(error)
      throw error
    }
    tell(undefined)
    if (!this.#hasBegun && sessionFirstSql.hasSubscribers) {
      this.#hasBegun = true
      sessionFirstSql.publish({ source: engine.source, scope, engine: name, server: engine.serverOf(lease) })
    }
    return lease
  }

  /** A statement as it is sent: with the comment that `sqlComments` asks for. */
  protected commented(query: CompiledQuery): CompiledQuery {
    const { engine } = this.context
    const { commentOf } = engine
    // Asking an engine for its dialect is work, and every statement passes here.
    return commentOf === undefined ? query : commented(query, commentOf(this.owner), engine.dialect)
  }

  /** What a message says of a statement on one of its connections. */
  protected originOf(lease: Lease, inTransaction: boolean): StatementOrigin {
    const { name, engine } = this.context
    const { source, dialect } = engine
    return { source, scope: this.owner, engine: name, server: engine.serverOf(lease), dialect, inTransaction }
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
        this.context.engine.noteLeak('cut-session')
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
