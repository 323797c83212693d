import type { RequestTransaction } from '../transactions/request-transaction.ts'
import type { SessionStatus } from './container.ts'
import type { SqlEm } from './entity-manager.ts'

/**
 * The engines of an application by name, for the compiler. Empty until the application augments it; then only
 * these names exist on `request.db`, each with the EntityManager type of its driver.
 *
 * @example
 * ```ts
 * import type { SqlEntityManager } from '@mikro-orm/postgresql'
 *
 * declare module 'fastify-sqlassist' {
 *   interface SqlAssistEngines {
 *     reader: SqlEntityManager
 *     writer: SqlEntityManager
 *   }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications fill it
export interface SqlAssistEngines {}

type Declared = [keyof SqlAssistEngines] extends [never] ? false : true

/** The names that engines may have: any, until the application has declared its own. */
export type EngineName = Declared extends true ? keyof SqlAssistEngines & string : string

/** The EntityManager type of an engine's sessions. */
export type SessionOf<Name extends string> = Name extends keyof SqlAssistEngines
  ? SqlAssistEngines[Name]
  : SqlEm

type SessionProperties = Declared extends true
  ? { readonly [Name in keyof SqlAssistEngines]: SqlAssistEngines[Name] }
  : { readonly reader: SqlEm; readonly writer: SqlEm; readonly logger: SqlEm }

interface DbMembers {
  /** An already started one of `anyPreferences`, else the first of them that is an engine. */
  readonly any: SqlEm
  getAny(): SqlEm
  getReader(): SessionOf<'reader'>
  getWriter(): SessionOf<'writer'>
  getLogger(): SessionOf<'logger'>
  /**
   * @param name of the engine; without it the default one
   * @throws SQLA_ERR_UNKNOWN_ENGINE, SQLA_ERR_NO_DEFAULT_ENGINE
   */
  get(): SqlEm
  get<Name extends EngineName>(name: Name): SessionOf<Name>
  /** What became of each engine: `'INIT'` not used, `'START'` in use, `'END'` used and cleaned up. */
  readonly status: Readonly<Record<EngineName, SessionStatus>>
  /** Flushes and commits every transactional session of this request, in the order the engines were registered. */
  commit(): Promise<void>
  /** Rolls back every transactional session of this request and forgets its entities. */
  rollback(): Promise<void>
  /** All that this request writes, as one transaction: savepoints over all sessions, votes, other resources, `doom()`. */
  readonly transaction: RequestTransaction
  /**
   * The causal token: what this request has brought along, committed and read so far. Give it to a job's
   * `run(fn, { token })`, and the job sees all of it. Undefined without `routing.token`, or when there is nothing.
   */
  readonly token: string | undefined
  /**
   * Runs `callback` when the transactions of this request have been committed, before the response leaves. The
   * outcome stands whatever it does: an error in it is logged.
   */
  onCommit(callback: () => unknown): void
  /** Runs `callback` when it is certain that nothing of this request will be committed. */
  onRollback(callback: () => unknown): void
}

/**
 * `request.db`: the sessions of one request, by engine name.
 *
 * @example
 * ```ts
 * app.get('/users/:id', request => request.db.reader.findOneOrFail(User, request.params.id))
 * ```
 */
export type Db = DbMembers & SessionProperties
