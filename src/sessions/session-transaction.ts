import {
  Command,
  CompiledQuery,
  ControlledTransaction,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryExecutor,
  type QueryResult,
  Transaction,
} from 'kysely'
import { errors } from '../errors.ts'
import type { SessionConnection } from './connection.ts'
import type { StatementConnection } from './statement-connection.ts'
import type { TransactionConnection, UnitConnection } from './transaction-connection.ts'

// biome-ignore lint/suspicious/noExplicitAny: the tables of a database that only the application knows
type AnyDatabase = any
type Controlled = ControlledTransaction<AnyDatabase, string[]>

/** What an engine's transactions are built from; one per engine, shared by all its sessions. */
export interface TransactionParts {
  readonly executor: QueryExecutor
  readonly dialect: Dialect
  readonly driver: Driver
  /** Gives an error that the database threw the class that MikroORM has for it. */
  readonly convertError: (error: unknown) => unknown
}

/** For the parts of Kysely's interfaces that make connections: a session has one already. */
export function unsupported(): never {
  throw new errors.SQLA_ERR_UNSUPPORTED('opening a connection')
}

/**
 * The savepoint half of a Kysely driver. Connections are not its business: a session's connection is its own
 * provider.
 *
 * @param quote quotes an identifier in the engine's dialect
 */
export function savepointDriver(quote: (identifier: string) => string): Driver {
  const run = async (connection: DatabaseConnection, sql: string): Promise<void> => {
    await connection.executeQuery(CompiledQuery.raw(sql))
  }
  return {
    init: async () => {},
    destroy: async () => {},
    acquireConnection: unsupported,
    releaseConnection: unsupported,
    beginTransaction: unsupported,
    commitTransaction: unsupported,
    rollbackTransaction: unsupported,
    savepoint: (connection, name) => run(connection, `savepoint ${quote(name)}`),
    rollbackToSavepoint: (connection, name) => run(connection, `rollback to savepoint ${quote(name)}`),
    releaseSavepoint: (connection, name) => run(connection, `release savepoint ${quote(name)}`),
  }
}

/**
 * A Kysely transaction over a session's connection: what MikroORM takes for its transaction context and
 * `getKysely()` hands out. It exists before there is a connection, and outlives commit and rollback.
 *
 * It has the methods of a `ControlledTransaction` without being one from the start: that one's constructor costs
 * more, and leaves behind a closure that V8 allocates among the old objects, which keeps all that the transaction
 * leads to until the next full collection. Only savepoints need one.
 */
abstract class SessionTransaction<C extends SessionConnection> extends Transaction<AnyDatabase> {
  protected readonly parts: TransactionParts
  readonly sessionConnection: C
  #controlled: Controlled | undefined

  constructor(parts: TransactionParts, connection: C) {
    super({
      config: { dialect: parts.dialect },
      dialect: parts.dialect,
      driver: parts.driver,
      executor: parts.executor.withConnectionProvider(connection),
    })
    this.parts = parts
    this.sessionConnection = connection
  }

  abstract commit(): Command<void>
  abstract rollback(): Command<void>

  /** It begins again after either, so it is never over. */
  get isCommitted(): boolean {
    return false
  }

  get isRolledBack(): boolean {
    return false
  }

  savepoint(name: string): Command<Controlled> {
    return this.#withSavepoints().savepoint(name)
  }

  rollbackToSavepoint(name: string): Command<Controlled> {
    return this.#withSavepoints().rollbackToSavepoint(name) as never
  }

  releaseSavepoint(name: string): Command<Controlled> {
    return this.#withSavepoints().releaseSavepoint(name) as never
  }

  /** MikroORM's statements come compiled; without an abort signal there is nothing for Kysely's executor to do. */
  override executeQuery<R>(
    query: Parameters<Transaction<AnyDatabase>['executeQuery']>[0],
    options?: Parameters<Transaction<AnyDatabase>['executeQuery']>[1],
  ): Promise<QueryResult<R>> {
    return options?.signal === undefined && 'sql' in query && this.parts.executor.plugins.length === 0
      ? this.sessionConnection.executeQuery<R>(query as CompiledQuery)
      : (super.executeQuery(query, options) as Promise<QueryResult<R>>)
  }

  protected command(work: () => Promise<void>): Command<void> {
    return new Command(async () => {
      try {
        await work()
      } catch (error) {
        throw this.parts.convertError(error)
      }
    })
  }

  #withSavepoints(): Controlled {
    const { dialect, driver } = this.parts
    this.#controlled ??= new ControlledTransaction({
      config: { dialect },
      dialect,
      driver,
      executor: this.getExecutor(),
      connection: { connection: this.sessionConnection, release: () => {} },
    })
    return this.#controlled
  }
}

/** The transaction of a session: begins with its first statement, begins again after commit or rollback. */
export class LazyTransaction extends SessionTransaction<TransactionConnection> {
  override commit(): Command<void> {
    return this.command(() => this.sessionConnection.commit())
  }

  override rollback(): Command<void> {
    return this.command(() => this.sessionConnection.rollback())
  }
}

/**
 * The transaction context of a session without a transaction (read-only, autocommit). MikroORM nests into a
 * context by asking it for a savepoint; here the answer is a transaction of its own.
 */
export class NoTransaction extends SessionTransaction<StatementConnection> {
  override savepoint(name: string): Command<Controlled> {
    return new Command(
      async () =>
        new UnitTransaction(this.parts, this.sessionConnection.openUnit(), name) as unknown as Controlled,
    )
  }

  override commit(): Command<void> {
    return new Command(async () => {})
  }

  override rollback(): Command<void> {
    return new Command(async () => {})
  }
}

/** A whole transaction that looks like a savepoint: releasing it commits, rolling back to it rolls back. */
class UnitTransaction extends LazyTransaction {
  readonly #name: string

  constructor(parts: TransactionParts, connection: UnitConnection, name: string) {
    super(parts, connection)
    this.#name = name
  }

  override releaseSavepoint(name: string): Command<Controlled> {
    if (name !== this.#name) return super.releaseSavepoint(name)
    return this.command(() => this.sessionConnection.commit()) as unknown as Command<Controlled>
  }

  override rollbackToSavepoint(name: string): Command<Controlled> {
    if (name !== this.#name) return super.rollbackToSavepoint(name)
    return this.command(() => this.sessionConnection.rollback()) as unknown as Command<Controlled>
  }
}
