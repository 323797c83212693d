import type { RouteOptions } from './options.ts'
import { type SqlAssist, sqlAssist } from './plugin.ts'
import type { Db } from './sessions/db.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sqlAssist: SqlAssist
  }
  interface FastifyRequest {
    /** The database sessions of this request, by engine name. */
    db: Db
  }
  interface FastifyContextConfig {
    /** Overrides of fastify-sqlassist for this route. */
    db?: RouteOptions
  }
}

export type {
  Backend,
  ConnectionPool,
  Lease,
  PooledConnection,
  PoolFigures,
  Trailer,
} from './engines/connection-pool.ts'
export type { Engine } from './engines/engine.ts'
export { listen } from './engines/listen.ts'
export { redact } from './engines/redact.ts'
export type { ReplicaInfo } from './engines/replica-set.ts'
export { type SubstitutePool, type SubstituteScope, substitutePool } from './engines/substitute-pool.ts'
export {
  defineErrors,
  type ErrorClasses,
  type ErrorRow,
  errors,
  errorTable,
  type SqlAssistErrorCode,
} from './errors.ts'
export { type RunOnOptions, type RunOptions, runOn } from './lifecycle/run.ts'
export { observe } from './observe/channels.ts'
export type {
  Diagnostic,
  DiagnosticMessages,
  DiagnosticScope,
  FirstSqlMessage,
  InDoubtMessage,
  LeakMessage,
  OutcomeMessage,
  PoolWaitMessage,
  ReplicaMessage,
  RouteMessage,
  ServerInfo,
  SessionEndMessage,
  SessionMessage,
  TwoPhaseMessage,
} from './observe/messages.ts'
export { type SqlToken, tokensOf } from './observe/sql-text.ts'
export type { RevealedStatement, StatementMessage } from './observe/statement-message.ts'
export type {
  AutocommitOptions,
  CommitMode,
  EngineOptions,
  OnAbort,
  ReaderOptions,
  RouteOptions,
  SqlAssistOptions,
  TwoPhaseOptions,
  WriterOptions,
} from './options.ts'
export { patiently } from './patiently.ts'
export type { Engines, NamedEngine, OpenSessions, Prepared, SqlAssist } from './plugin.ts'
export { Refresher, type RefresherOptions } from './refresher.ts'
export { isServerFailure } from './routing/failures.ts'
export type { Lag } from './routing/lag.ts'
export type { Position } from './routing/position.ts'
export type { ReplicaState } from './routing/replica-state.ts'
export type {
  Consistency,
  ReplicaOptions,
  RoutingOptions,
  TokenKind,
  TokenOptions,
  TokenTransport,
} from './routing/routing-options.ts'
export { afterCommit, type CommitCertainty } from './sessions/after-commit.ts'
export type { RoutingFigures } from './sessions/causality.ts'
export type { SessionStatus } from './sessions/container.ts'
export type { Db, EngineName, SessionOf, SqlAssistEngines } from './sessions/db.ts'
export type { SqlEm } from './sessions/entity-manager.ts'
export { requestOf, sessionOf } from './sessions/lookup.ts'
export type { OpenSession } from './sessions/open-sessions.ts'
export type { DataManager } from './transactions/data-manager.ts'
export type { Decision } from './transactions/decisions.ts'
export type {
  PreparedTransaction,
  PreparedTransactions,
  Resolution,
  ResolveOptions,
  UnreachableEngine,
} from './transactions/janitor.ts'
export type { RequestTransaction, Savepoint } from './transactions/request-transaction.ts'
export { sqlAssist }
export default sqlAssist
