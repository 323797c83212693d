import type { CompiledQuery } from 'kysely'
import type { Diagnostic, DiagnosticScope, ServerInfo } from './messages.ts'
import { withoutValues } from './sql-text.ts'

/** A statement as it was sent. */
export interface RevealedStatement {
  /** The SQL, with the values that MikroORM writes into it. */
  readonly text: string
  /** The parameters that were bound beside it. */
  readonly parameters: readonly unknown[]
}

/** Where a statement comes from, and where it goes. */
export interface StatementOrigin extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly engine: string
  readonly server: ServerInfo
  readonly dialect: string
  readonly inTransaction: boolean
}

/**
 * One statement of a session: the same object when it starts and when it ends or fails. It shows no values unless it is asked for
 * them, so that whoever prints it prints no secret.
 */
export class StatementMessage implements StatementOrigin {
  readonly source: object
  readonly scope: DiagnosticScope
  readonly engine: string
  readonly server: ServerInfo
  /** `postgresql`, `mysql`, `mariadb`, `sqlite`. */
  readonly dialect: string
  /** Whether it runs in the transaction of its session. */
  readonly inTransaction: boolean
  /** When it was sent, in milliseconds of `performance.now()`. */
  readonly startedAt: number
  /** Milliseconds until its answer; of a stream, until it was read to its end. Undefined while it runs. */
  duration: number | undefined
  /** How many rows it returned, or changed where it returns none; undefined while it runs and when it failed. */
  rows: number | undefined
  /** Undefined unless it has failed. */
  error: unknown
  readonly #query: CompiledQuery
  #sql: string | undefined

  constructor(about: StatementOrigin, query: CompiledQuery) {
    this.source = about.source
    this.scope = about.scope
    this.engine = about.engine
    this.server = about.server
    this.dialect = about.dialect
    this.inTransaction = about.inTransaction
    this.startedAt = performance.now()
    this.#query = query
  }

  /** The SQL with `$1`, `$2` … in the place of every value. Statements that differ only in their values are the same. */
  get sql(): string {
    this.#sql ??= withoutValues(this.#query.sql, this.dialect)
    return this.#sql
  }

  /** The statement with its values, which may be anything that users have typed: passwords, addresses. */
  reveal(): RevealedStatement {
    return { text: this.#query.sql, parameters: this.#query.parameters }
  }
}
