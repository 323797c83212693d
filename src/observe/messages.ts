import type { AbstractSqlDriver, SqlEntityManager } from '@mikro-orm/sql'
import type { Logger } from '../logger.ts'
import type { ReplicaState } from '../routing/replica-state.ts'
import type { StatementMessage } from './statement-message.ts'

/** Who works with the database: a request, or a scope outside requests. The same object in all its messages. */
export interface DiagnosticScope {
  /** As a message names it: `POST /notes`, or the name of a `run` scope. */
  label(): string
  /** The Fastify request, if it is one's. */
  readonly request: unknown
  /** Whether the commit rule is at work: what is flushed now, no line of the application has asked for. */
  readonly isEnding: boolean
  readonly log: Logger
}

/** What every message has. */
export interface Diagnostic {
  /** The `app.sqlAssist` that it is about: a process may have several applications. */
  readonly source: object
}

/** The server that a connection leads to. */
export interface ServerInfo {
  /** The replica's name; `primary` for the engine's own server. */
  readonly name: string
  readonly isReplica: boolean
  readonly host: string | undefined
  readonly port: number | undefined
  readonly database: string | undefined
  /** The backend process of the connection (PostgreSQL). Behind a pooler it is not the server's. */
  readonly processId: number | undefined
}

/** About one engine's session of one scope. */
export interface SessionMessage extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly engine: string
  readonly session: SqlEntityManager<AbstractSqlDriver>
}

/** The first statement of a session has been lent a connection. */
export interface FirstSqlMessage extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly engine: string
  readonly server: ServerInfo
}

/** A transaction has ended, or could not. */
export interface SessionEndMessage extends SessionMessage {
  /** Of COMMIT or ROLLBACK, in milliseconds. */
  readonly duration: number
  /** Why it could not be done. */
  readonly error: unknown
}

/** What the commit rule has decided for a scope, before it is done. */
export interface OutcomeMessage extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly outcome: 'commit' | 'rollback'
  /** For people: `status 404`, `the request threw`, `doomed`, … */
  readonly reason: string
}

/** Where a read goes. */
export interface RouteMessage extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly engine: string
  /** The replica's name, or `primary`. */
  readonly server: string
  /** For people: why there. */
  readonly reason: string
}

/** A replica's state has changed. */
export interface ReplicaMessage extends Diagnostic {
  readonly engine: string
  readonly replica: string
  readonly from: ReplicaState
  readonly to: ReplicaState
  readonly reason: string | undefined
}

/** Somebody was lent a connection, or waited for one in vain. */
export interface PoolWaitMessage extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly engine: string
  /** Milliseconds. */
  readonly duration: number
  readonly error: unknown
}

/** A step of a commit in two phases. */
export interface TwoPhaseMessage extends Diagnostic {
  readonly scope: DiagnosticScope
  readonly step: 'prepare' | 'decide' | 'commit' | 'rollback'
  /** The engine that it was done on. */
  readonly engine: string
  /** The name of the prepared transaction; of a decision, its id. */
  readonly id: string
  /** Milliseconds. */
  readonly duration: number
  readonly error: unknown
}

/** What became of a COMMIT that got no answer. */
export interface InDoubtMessage extends Diagnostic {
  readonly engine: string
  readonly outcome: 'committed' | 'aborted' | 'unknown'
}

/**
 * Something was not given back as it should be. `dirty-connection`: a connection came out of the pool inside a transaction that
 * somebody had left open. `cut-session`: what a session still ran when it ended could not be stopped, and its connection was cut.
 * `late-drain`: sessions outlived `drainTimeout`.
 */
export interface LeakMessage extends Diagnostic {
  readonly engine: string
  readonly kind: 'dirty-connection' | 'cut-session' | 'late-drain'
}

/** The messages by the name of their channel. */
export interface DiagnosticMessages {
  'sqlassist:session:start': SessionMessage
  'sqlassist:session:first-sql': FirstSqlMessage
  'sqlassist:session:commit': SessionEndMessage
  'sqlassist:session:rollback': SessionEndMessage
  'sqlassist:session:close': SessionMessage
  'sqlassist:statement:start': StatementMessage
  'sqlassist:statement:end': StatementMessage
  'sqlassist:statement:error': StatementMessage
  'sqlassist:outcome': OutcomeMessage
  'sqlassist:route': RouteMessage
  'sqlassist:replica': ReplicaMessage
  'sqlassist:pool:wait': PoolWaitMessage
  'sqlassist:two-phase': TwoPhaseMessage
  'sqlassist:in-doubt': InDoubtMessage
  'sqlassist:leak': LeakMessage
}
