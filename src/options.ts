import type { IsolationLevel, MikroORM, Options as MikroOrmOptions } from '@mikro-orm/core'
import { errors } from './errors.ts'
import type { DiagnosticScope } from './observe/messages.ts'
import {
  boolean,
  type Check,
  check,
  describe,
  milliseconds,
  names,
  object,
  oneOf,
  property,
  string,
} from './option-checks.ts'
import {
  CONSISTENCIES,
  type Consistency,
  type ReplicaOptions,
  type RoutingOptions,
  resolveRouting,
  validateReplicas,
} from './routing/routing-options.ts'

/** Which responses commit a request's transactions. */
export type CommitMode = 'manual' | 'autocommit' | 'autocommit_include_redirect'

/** Whether a request whose client has gone away may still commit. */
export type OnAbort = 'rollback' | 'commit'

// biome-ignore lint/suspicious/noExplicitAny: any SQL driver's instance or configuration is welcome
type AnyOrm = MikroORM<any, any, any>
// biome-ignore lint/suspicious/noExplicitAny: see above
type AnyOrmOptions = Omit<Partial<MikroOrmOptions<any, any, any>>, 'clientUrl'> & {
  /**
   * Several servers (a list, or libpq's `postgresql://user@a:5432,b:5432/db`), of which the engine uses the one that
   * accepts writes, and follows a promotion. PostgreSQL.
   */
  clientUrl?: string | readonly string[]
}

interface EngineOptionsBase {
  /**
   * A MikroORM configuration, from which the plugin opens (and closes) its own instance, or an instance that
   * the application owns and closes.
   */
  orm: AnyOrm | AnyOrmOptions
  /** The engine that `engines.get()` answers without a name. At most one engine has it. */
  default?: boolean
  /** Overrides the plugin's commit mode for this engine. */
  commitMode?: CommitMode
  /**
   * Creates the tables that are missing when the application starts; never changes or drops one. Default false.
   * `SQLASSIST_NO_CREATE_ALL=1` in the environment switches it off, as `sqlassist database` does.
   */
  createAll?: boolean
  /** How long a statement waits for a free connection, in milliseconds. Default 10,000. */
  acquireTimeout?: number
  /** How long `reinit` and closing wait for running sessions before they cut their connections, in ms. Default 10,000. */
  drainTimeout?: number
}

/** An engine whose sessions run in a transaction that the commit rule ends. */
export interface WriterOptions extends EngineOptionsBase {
  readOnly?: false
  autocommit?: false
  snapshot?: never
  replicas?: never
  /** Isolation level of every transaction. Default: the server's. */
  isolationLevel?: IsolationLevel | `${IsolationLevel}`
  /**
   * Whether its sessions are a part of the request's transaction (`request.db.transaction`). Default true. Without, only
   * `request.db.<engine>.commit()` commits them, and the commit rule leaves them alone; what is left is rolled back.
   */
  join?: boolean
}

/** An engine that is only read from: no transaction, writes are refused before they reach the server and by it. */
export interface ReaderOptions extends EngineOptionsBase {
  readOnly: true
  autocommit?: false
  /** Whether all reads of one request see one REPEATABLE READ snapshot. Default false. */
  snapshot?: boolean
  /**
   * The servers to read from; `orm` then says how to log in. Reads that need the newest data go to the server of
   * `routing.primary` with that login. PostgreSQL; see docs/routing.md.
   */
  replicas?: readonly ReplicaOptions[]
  isolationLevel?: never
  join?: never
  createAll?: false
}

/** An engine each of whose flushes commits by itself, whatever becomes of the request: logs, audit trails. */
export interface AutocommitOptions extends EngineOptionsBase {
  readOnly?: false
  autocommit: true
  snapshot?: never
  replicas?: never
  join?: never
  isolationLevel?: IsolationLevel | `${IsolationLevel}`
}

/** How one named engine behaves. */
export type EngineOptions = WriterOptions | ReaderOptions | AutocommitOptions

/** Options of the plugin. */
export interface SqlAssistOptions {
  /** Name → engine. At least one; more can be added later with `app.sqlAssist.engines.add`. */
  engines: Record<string, EngineOptions>
  /** Which responses commit. Default `'manual'`: only what the handler commits itself. */
  commitMode?: CommitMode
  /** What a request whose client went away before the response does. Default `'rollback'`. */
  onAbort?: OnAbort
  /** How long a handler may go on after its client has gone before its sessions are closed, in ms. Default 10,000. */
  abortGrace?: number
  /** The property of the request. Default `'db'`. */
  requestProperty?: string
  /** The engines that `request.db.any` looks for, in this order. Default `['reader', 'writer']`. */
  anyPreferences?: readonly string[]
  /** Whether the global `orm.em` of every engine is the request's session inside a handler. Default false. */
  requestContext?: boolean
  /** Where reads go when an engine has `replicas`. */
  routing?: RoutingOptions
  /**
   * Whether what a request has written to several databases is committed in two phases, so that it is committed in all of them or in
   * none, whatever crashes. PostgreSQL with `max_prepared_transactions` above 0. Default false; see docs/transactions.md.
   */
  twoPhase?: boolean | TwoPhaseOptions
  /**
   * Whether each statement of a session ends with a comment that says whose it is, for the tools that read the database's log
   * (https://google.github.io/sqlcommenter/spec): with `true` the route's pattern and the `traceparent` of the request, of a `run`
   * scope its name as `action`. A function is asked once for each request or scope. A statement that has a comment keeps it. Default
   * false.
   *
   * @example
   * ```ts
   * sqlComments: ({ request }) => ({ application: 'shop', route: (request as FastifyRequest | undefined)?.routeOptions.url })
   * ```
   */
  sqlComments?: boolean | ((scope: DiagnosticScope) => Record<string, string | undefined>)
}

/** How commits in two phases are done. */
export interface TwoPhaseOptions {
  /** The engine that keeps the decisions. Best one that most of these requests write to. Default: the first that joins. */
  coordinator?: string
  /** Its table of decisions, `name` or `schema.name`; created when it is missing. Default `'sqlassist_decisions'`. */
  table?: string
  /**
   * A part of the names of the prepared transactions: processes that say the same finish each other's work, so they must mean the same
   * databases by the names of their engines. Up to 64 of A–Z, a–z, 0–9, `_`, `.`, `-`. Default `'app'`.
   */
  application?: string
  /** Prepared transactions that are older, one's own or not, are warned of in the log, in milliseconds. Default 60,000. */
  warnAfter?: number
}

/** The options with their defaults. */
export interface ResolvedTwoPhase {
  readonly coordinator: string | undefined
  readonly table: string
  readonly application: string
  readonly warnAfter: number
}

/** Options of one route: `config: { db: { … } }`. */
export interface RouteOptions {
  /** Overrides the commit mode of engine and plugin for this route. */
  commitMode?: CommitMode
  /** Overrides the plugin's `onAbort` for this route. */
  onAbort?: OnAbort
  /** Overrides `routing.consistency` for this route. */
  consistency?: Consistency
  /**
   * How often the handler runs again, from the beginning in a new transaction, when the database reports a serialization
   * failure or a deadlock. Only what it does through `request.db` is undone, and it must return its answer instead of sending
   * it. Default 0.
   */
  retry?: number
}

const COMMIT_MODES: readonly unknown[] = ['manual', 'autocommit', 'autocommit_include_redirect']
const ON_ABORT: readonly unknown[] = ['rollback', 'commit']
const ISOLATION_LEVELS: readonly unknown[] = [
  'read uncommitted',
  'read committed',
  'snapshot',
  'repeatable read',
  'serializable',
]

const PLUGIN_OPTIONS: Record<string, Check> = {
  engines: object,
  commitMode: oneOf(COMMIT_MODES),
  onAbort: oneOf(ON_ABORT),
  abortGrace: milliseconds,
  requestProperty: property,
  anyPreferences: names,
  requestContext: boolean,
  routing: object,
  twoPhase: value => (typeof value === 'boolean' ? undefined : object(value)),
  sqlComments: value =>
    typeof value === 'boolean' || typeof value === 'function'
      ? undefined
      : `must be true, false or a function of a scope, not ${describe(value)}`,
}

const TWO_PHASE_OPTIONS: Record<string, Check> = {
  coordinator: string,
  table: value =>
    typeof value === 'string' && /^[A-Za-z_]\w{0,62}(\.[A-Za-z_]\w{0,62})?$/.test(value)
      ? undefined
      : `must be the name of a table, or schema.name, of letters, digits and _, not ${describe(value)}`,
  application: value =>
    typeof value === 'string' && /^[\w.-]{1,64}$/.test(value)
      ? undefined
      : `must have 1 to 64 characters of A–Z, a–z, 0–9, _, . and -, not ${describe(value)}`,
  warnAfter: milliseconds,
}

const ENGINE_OPTIONS: Record<string, Check> = {
  orm: object,
  default: boolean,
  readOnly: boolean,
  autocommit: boolean,
  snapshot: boolean,
  commitMode: oneOf(COMMIT_MODES),
  isolationLevel: oneOf(ISOLATION_LEVELS),
  createAll: boolean,
  acquireTimeout: milliseconds,
  drainTimeout: milliseconds,
  replicas: () => undefined,
  join: boolean,
}

const ROUTE_OPTIONS: Record<string, Check> = {
  commitMode: oneOf(COMMIT_MODES),
  onAbort: oneOf(ON_ABORT),
  consistency: oneOf(CONSISTENCIES),
  retry: value =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 20
      ? undefined
      : `must be a whole number from 0 to 20, not ${describe(value)}`,
}

/** Fastify adds these to the options of every plugin. */
const FASTIFY_OPTIONS = new Set(['prefix', 'logLevel', 'logSerializers'])

/**
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function validatePluginOptions(options: SqlAssistOptions): void {
  const problem = object(options)
  if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION('the options', problem)
  check(PLUGIN_OPTIONS, options, '', FASTIFY_OPTIONS)
  if (options.engines === undefined || Object.keys(options.engines).length === 0) {
    throw new errors.SQLA_ERR_INVALID_OPTION('engines', 'needs at least one engine')
  }
  resolveRouting(options.routing)
  resolveTwoPhase(options.twoPhase)
}

/**
 * @returns undefined when it is off
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function resolveTwoPhase(options: SqlAssistOptions['twoPhase']): ResolvedTwoPhase | undefined {
  if (options === undefined || options === false) return undefined
  const given = options === true ? {} : options
  check(TWO_PHASE_OPTIONS, given, 'twoPhase.')
  const { coordinator, table = 'sqlassist_decisions', application = 'app', warnAfter = 60_000 } = given
  return { coordinator, table, application, warnAfter }
}

/**
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function validateEngineOptions(name: string, options: EngineOptions): void {
  const prefix = `engines.${name}`
  const problem = object(options)
  if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(prefix, problem)
  check(ENGINE_OPTIONS, options, `${prefix}.`)
  const contradiction = contradictionOf(options as unknown as Record<string, unknown>)
  if (contradiction !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(prefix, contradiction)
  const { replicas } = options as ReaderOptions
  if (replicas !== undefined) validateReplicas(`${prefix}.replicas`, replicas)
}

/**
 * @param route as a message names it: `POST /notes`
 * @param hasToken whether there is `routing.token`
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function validateRouteOptions(route: string, options: RouteOptions, hasToken: boolean): void {
  const problem = object(options)
  if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(`config.db of ${route}`, problem)
  check(ROUTE_OPTIONS, options, `config.db of ${route}: `)
  if (options.consistency === 'session' && !hasToken) {
    throw new errors.SQLA_ERR_INVALID_OPTION(
      `config.db of ${route}: consistency`,
      "'session' needs routing.token, whose { secret } signs what tells a client's next read what it must see",
    )
  }
}

function contradictionOf(options: Record<string, unknown>): string | undefined {
  if (options.orm === undefined) return 'needs orm: a MikroORM configuration or instance'
  if (options.readOnly && options.autocommit) return 'is readOnly or autocommit, not both'
  if (options.join !== undefined && (options.readOnly || options.autocommit)) {
    return "join says whether a transaction is a part of the request's; a readOnly or autocommit engine has none"
  }
  if (options.snapshot && !options.readOnly) return 'snapshot needs readOnly'
  if (options.replicas !== undefined && !options.readOnly)
    return 'replicas are read from, so they need readOnly'
  if (options.createAll && options.readOnly) return 'createAll writes, so it cannot go with readOnly'
  if (options.isolationLevel !== undefined && options.readOnly) {
    return 'isolationLevel does not go with readOnly; snapshot gives reads one REPEATABLE READ snapshot'
  }
  return undefined
}
