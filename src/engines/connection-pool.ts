import type { CompiledQuery, QueryResult } from 'kysely'

/**
 * A connection that one holder has for itself until it gives it back. The two implementations differ in what
 * the driver lets us do: {@link PgPool} talks to `pg` itself, {@link KyselyPool} to any driver through Kysely.
 */
export interface Lease {
  /** The pool that it came from. */
  readonly pool: ConnectionPool
  /** The same object as long as it is the same connection, whoever holds it. */
  readonly connection: object
  /** Asked behind every statement on it, in the same message where the protocol allows it. */
  trailer: Trailer | undefined
  /** Where the connection leads to, as far as the driver tells. */
  readonly backend: Backend
  /** When it was lent, in milliseconds of `performance.now()`. */
  lentAt: number
  /** Whether statements outside a transaction go through {@link guard}: see {@link PoolContext.guard}. */
  readonly guarded: boolean
  /** Whether a transaction is open on it; what a failed `begin` or `commit` left behind is told apart by this. */
  readonly inTransaction: boolean
  execute<R>(query: CompiledQuery): Promise<QueryResult<R>>
  /**
   * Runs the statements that begin a transaction, then `first`; in one round trip where the protocol allows it.
   * When the beginning fails, `first` did not run.
   */
  begin<R>(statements: readonly string[], first?: CompiledQuery): Promise<QueryResult<R>>
  /**
   * Runs one statement in a transaction that ends with it, in one round trip where the protocol allows it.
   *
   * @param statements that begin a read-only transaction
   */
  guard<R>(statements: readonly string[], query: CompiledQuery): Promise<QueryResult<R>>
  /**
   * Ends the transaction. Resolves to `false` when the server answered COMMIT with ROLLBACK.
   *
   * @param trailer asked behind COMMIT, in the same message
   */
  commit(trailer?: Trailer): Promise<boolean>
  /**
   * Ends the transaction without an outcome: the server keeps it under a name until `commit prepared` or `rollback prepared`
   * (PostgreSQL). Resolves to `false` when the server answered with ROLLBACK.
   *
   * @param gid the name
   */
  prepare(gid: string): Promise<boolean>
  rollback(): Promise<void>
  stream<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>>
  /** Asks the server to stop what this connection is doing. Never rejects: it is best effort by nature. */
  cancel(): Promise<void>
  /** Gives the connection back; with `broken` it is thrown away instead of being lent to somebody else. */
  release(broken?: boolean): void
}

/** The server's end of a connection. */
export interface Backend {
  readonly host: string | undefined
  readonly port: number | undefined
  readonly database: string | undefined
  /** The process that serves it (PostgreSQL). */
  readonly processId: number | undefined
}

/** One of a pool's connections. */
export interface PooledConnection {
  readonly processId: number | undefined
  readonly inUse: boolean
  /** When it was lent, in milliseconds of `performance.now()`. */
  readonly since: number | undefined
}

/** A question that travels with what is sent anyway: where the server's log is now. */
export interface Trailer {
  readonly sql: string
  /** Its answer: one row, and the connection that it came on. */
  receive(row: Record<string, unknown>, lease: Lease): void
}

/** Where an engine's connections come from. */
export interface ConnectionPool {
  /**
   * @throws SQLA_ERR_POOL_TIMEOUT when none becomes free within the engine's `acquireTimeout`
   */
  acquire(): Promise<Lease>
  figures(): PoolFigures
  /** Its connections, as far as they are known: those that are lent, and with `pg` those that have been. */
  connections(): PooledConnection[]
  /** Resolves when nobody holds or waits for a connection any more. */
  idle(): Promise<void>
  /** Throws away the connections that are still held: their holders' statements fail. */
  abandon(): void
  /** Tells those who wait for a connection that it is in vain. */
  turnAway(error: Error): void
  /** Nobody uses it any more: what it listens to is let go. */
  close(): void
}

/** See {@link PoolContext.guard}. */
export type Guard = 'always' | 'unless read-only'

/** How busy a pool is. */
export interface PoolFigures {
  /** Connections that sessions hold right now. */
  readonly used: number
  /** Sessions that wait for a connection. */
  readonly waiting: number
  /** Connections the pool may open; undefined where the driver does not tell. */
  readonly max: number | undefined
  /** Open connections that nobody holds; undefined where the driver does not tell. */
  readonly idle: number | undefined
}

export const NO_FIGURES: PoolFigures = { used: 0, waiting: 0, max: undefined, idle: undefined }

export function sumOf(a: PoolFigures, b: PoolFigures): PoolFigures {
  const add = (x: number | undefined, y: number | undefined): number | undefined =>
    x === undefined || y === undefined ? undefined : x + y
  return {
    used: a.used + b.used,
    waiting: a.waiting + b.waiting,
    max: add(a.max, b.max),
    idle: add(a.idle, b.idle),
  }
}

/** What both pools need to know about the engine that they serve. */
export interface PoolContext {
  readonly engine: string
  /** How long a session waits for a connection, in milliseconds. */
  readonly acquireTimeout: number
  /** Called when a connection came out of the pool with somebody else's transaction still open. */
  readonly onDirty: () => void
  /**
   * Whether every statement outside a transaction needs a read-only one around it: `always` where the connections
   * cannot be read-only, because the pool belongs to the application, which may write through it; `unless read-only`
   * where they asked to be, and a pooler may have kept the server from hearing of it.
   */
  readonly guard?: Guard | undefined
  /** Called once when it turned out that the connections are not read-only, with the reason. */
  readonly onGuarded?: (reason: string) => void
  /** The error of whoever asks for a connection, when it is known that there cannot be one. */
  readonly refuse?: () => Error | undefined
  /** Told of an error of connecting; what it answers is thrown. */
  readonly onConnectError?: (error: unknown) => unknown
  /** Told of an error of a statement (not of COMMIT, whose outcome is another matter); what it answers is thrown. */
  readonly onStatementError?: (error: unknown) => unknown
}
