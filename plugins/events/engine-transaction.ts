import { TransactionContext, TransactionEventBroadcaster } from '@mikro-orm/core'
import {
  type CompiledQuery,
  ControlledTransaction,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  CompiledQuery as Query,
  type QueryResult,
} from 'kysely'
import { errors as coreErrors, type Engine, type SqlEm } from '../../src/index.ts'

type Lease = Awaited<ReturnType<Engine['pool']['acquire']>>

/**
 * Runs `work` in a transaction on a connection of the engine's pool, with its patience. (MikroORM's own keeps the place
 * of a connection that was lost in the middle for ever, and takes a COMMIT for one that was answered with ROLLBACK.)
 *
 * @throws SQLA_ERR_COMMIT_ROLLED_BACK when a statement had failed and its error was swallowed
 * @throws SQLA_ERR_POOL_TIMEOUT
 */
export async function inTransaction<R>(engine: Engine, work: (em: SqlEm) => Promise<R>): Promise<R> {
  const lease = await engine.pool.acquire()
  const connection = new TransactionConnection(engine, lease)
  try {
    await lease.begin(engine.begin)
    const em = engine.orm.em.fork({ disableContextResolution: true }) as SqlEm
    const transaction = transactionOn(engine, connection)
    em.setTransactionContext(transaction)
    return await TransactionContext.create(em, async () => {
      const orm = em.getConnection('write')
      const events = new TransactionEventBroadcaster(em, { topLevelTransaction: true })
      try {
        const result = await work(em)
        await orm.commit(transaction, events)
        return result
      } catch (error) {
        // What cannot be rolled back is thrown away, and the server rolls back.
        if (lease.inTransaction) await orm.rollback(transaction, events).catch(() => {})
        throw error
      }
    })
  } finally {
    connection.end()
    lease.release()
  }
}

/** One statement at a time, and none once the transaction is over: the connection is somebody else's then. */
class TransactionConnection implements DatabaseConnection {
  readonly #engine: Engine
  readonly #lease: Lease
  #running: Promise<unknown> = Promise.resolve()
  #isOver = false

  constructor(engine: Engine, lease: Lease) {
    this.#engine = engine
    this.#lease = lease
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#next(() => this.#lease.execute<R>(query))
  }

  async *streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    await this.#next(async () => {})
    yield* this.#lease.stream<R>(query, chunkSize)
  }

  commit(): Promise<void> {
    return this.#next(async () => {
      try {
        if (await this.#lease.commit()) return
      } catch (error) {
        throw this.#engine.orm.em
          .getPlatform()
          .getExceptionConverter()
          .convertException(error as Error)
      }
      throw new coreErrors.SQLA_ERR_COMMIT_ROLLED_BACK(this.#engine.name)
    })
  }

  rollback(): Promise<void> {
    return this.#next(() => this.#lease.rollback())
  }

  end(): void {
    this.#isOver = true
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#running.then(() => {
      if (this.#isOver) throw new coreErrors.SQLA_ERR_SESSION_CLOSED(this.#engine.name, 'transaction()')
      return work()
    })
    this.#running = result.catch(() => {})
    return result
  }
}

type Controlled = ControlledTransaction<unknown, string[]>

/** What MikroORM takes for the context of a transaction: Kysely's own, over our connection. */
function transactionOn(engine: Engine, connection: TransactionConnection): Controlled {
  const client = engine.orm.driver.getConnection('write').getClient()
  const platform = engine.orm.em.getPlatform()
  const run = async (sql: string, name: string): Promise<void> => {
    await connection.executeQuery(Query.raw(`${sql} ${platform.quoteIdentifier(name)}`))
  }
  const driver: Driver = {
    init: async () => {},
    destroy: async () => {},
    acquireConnection: unsupported,
    releaseConnection: unsupported,
    beginTransaction: unsupported,
    commitTransaction: () => connection.commit(),
    rollbackTransaction: () => connection.rollback(),
    savepoint: (_connection, name) => run('savepoint', name),
    rollbackToSavepoint: (_connection, name) => run('rollback to savepoint', name),
    releaseSavepoint: (_connection, name) => run('release savepoint', name),
  }
  const dialect: Dialect = {
    createAdapter: unsupported,
    createDriver: unsupported,
    createQueryCompiler: unsupported,
    createIntrospector: () => client.introspection,
  }
  return new ControlledTransaction({
    config: { dialect },
    dialect,
    driver,
    executor: client
      .getExecutor()
      .withConnectionProvider({ provideConnection: consumer => consumer(connection) }),
    connection: { connection, release: () => {} },
  })
}

function unsupported(): never {
  throw new coreErrors.SQLA_ERR_UNSUPPORTED('opening a connection')
}
