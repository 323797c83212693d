import type { Transaction } from '@mikro-orm/core'
import {
  CompiledQuery,
  ControlledTransaction,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryExecutor,
} from 'kysely'
import { errors } from '../../src/index.ts'
import type { MigratedEngine } from './migrated-engine.ts'

/** One connection of an engine, for as long as somebody works with it alone. */
export interface Held {
  /** What MikroORM takes for a transaction: everything that is given it runs on this connection. */
  readonly ctx: Transaction
  /** @param parameters in the way of the driver: `$1` or `?` */
  run<Row = Record<string, unknown>>(sql: string, parameters?: readonly unknown[]): Promise<Row[]>
}

/**
 * Holds one connection while `work` runs; whether and when it is in a transaction is up to `work`. A lock of the
 * session and the statements that it protects are then on the same connection: the server cannot give the lock to
 * somebody else while a statement of a process that was killed still runs.
 */
export function hold<T>(engine: MigratedEngine, work: (held: Held) => Promise<T>): Promise<T> {
  const executor = engine.connection.getClient().getExecutor()
  return executor.provideConnection(async connection => {
    const ctx = contextOn(engine, executor, connection)
    const run = async <Row>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> =>
      (await connection.executeQuery<Row>(CompiledQuery.raw(sql, [...parameters]))).rows
    try {
      return await work({ ctx: ctx as unknown as Transaction, run })
    } catch (error) {
      // Whatever is open: nobody else may get the connection so.
      await run('rollback').catch(() => {})
      throw error
    }
  })
}

/** A Kysely transaction whose begin and end are ours; MikroORM makes savepoints in it. */
function contextOn(engine: MigratedEngine, executor: QueryExecutor, connection: DatabaseConnection) {
  const quote = (name: string) => engine.platform.quoteIdentifier(name)
  const run = async (on: DatabaseConnection, sql: string): Promise<void> => {
    await on.executeQuery(CompiledQuery.raw(sql))
  }
  const nothing = async (): Promise<void> => {}
  const driver: Driver = {
    init: nothing,
    destroy: nothing,
    acquireConnection: unsupported,
    releaseConnection: unsupported,
    beginTransaction: unsupported,
    commitTransaction: unsupported,
    rollbackTransaction: unsupported,
    savepoint: (on, name) => run(on, `savepoint ${quote(name)}`),
    rollbackToSavepoint: (on, name) => run(on, `rollback to savepoint ${quote(name)}`),
    releaseSavepoint: (on, name) => run(on, `release savepoint ${quote(name)}`),
  }
  const dialect: Dialect = {
    createAdapter: unsupported,
    createDriver: unsupported,
    createQueryCompiler: unsupported,
    createIntrospector: () => engine.connection.getClient().introspection,
  }
  return new ControlledTransaction({
    config: { dialect },
    dialect,
    driver,
    executor: executor.withConnectionProvider({ provideConnection: consumer => consumer(connection) }),
    connection: { connection, release: () => {} },
  })
}

function unsupported(): never {
  throw new errors.SQLA_ERR_UNSUPPORTED('opening a connection or ending the transaction')
}

/** Stands in for a connection and writes down what it is given. */
export function recorder(onStatement: (sql: string) => void): Transaction {
  return {
    executeQuery: async (query: CompiledQuery) => {
      onStatement(query.sql)
      return { rows: [] }
    },
  } as unknown as Transaction
}
