import { setTimeout as sleep } from 'node:timers/promises'
import type { EntityManager, IsolationLevel } from '@mikro-orm/core'
import { CompiledQuery, type Kysely } from 'kysely'
import { errors } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { leaks } from '../observe/channels.ts'
import type { LeakMessage, ServerInfo } from '../observe/messages.ts'
import type { CommentOf } from '../observe/sql-comment.ts'
import type { CommitMode, EngineOptions } from '../options.ts'
import type { Routing } from '../routing/routing-options.ts'
import {
  type ConnectionPool,
  type Guard,
  type Lease,
  NO_FIGURES,
  type PoolContext,
  type PoolFigures,
  sumOf,
} from './connection-pool.ts'
import { createMissingTables, isCreateAllOff, missingTablesSql } from './create-tables.ts'
import { drain } from './drain.ts'
import { nativePool, openPool } from './open-pool.ts'
import {
  bringsOwnClient,
  connectionOf,
  type Dialect,
  dialectOf,
  isOrmInstance,
  openOrm,
  platformOf,
  type SqlOrm,
} from './orm.ts'
import { type PgNativePool, PgPool } from './pg-pool.ts'
import type { Primary } from './primary.ts'
import { messageOf, redact, redactedCause } from './redact.ts'
import type { ReplicaInfo, ReplicaSet } from './replica-set.ts'
import { type EngineConnection, OWN_SERVER, serverInfoOf } from './server-info.ts'
import {
  assertCanHaveReplicas,
  findServers,
  hasReplicas,
  openReplicas,
  primaryRules,
  type ServersContext,
} from './servers.ts'
import { isRefusedParameter } from './startup.ts'
import type { SubstitutePool } from './substitute-pool.ts'

/** Milliseconds. Fastify gives a plugin 10 s to load, and its own error would not name the engine. */
const START_PATIENCE = 8_000
const CLOSE_PATIENCE = 1_000

/** What an engine needs from the application that it lives in. */
export interface EngineEnvironment {
  readonly log: Logger
  /** What diagnostic messages name as their source. */
  readonly source: object
  /** What is written behind a scope's statements; undefined when nothing is. */
  readonly commentOf?: CommentOf | undefined
  /** With `requestContext`: what the global `orm.em` of the engine stands for right now. */
  readonly currentEntityManager?: (engine: string) => EntityManager | undefined
  readonly routing: Routing
  /** Whether positions in the log matter: some engine has replicas. */
  readonly tracksPositions: boolean
  /** The primary that replicas replay, once its engine has found it. */
  readonly primary: () => Promise<Primary>
}

/** One named database: a MikroORM instance, its pool, and the way its sessions behave. */
export class Engine {
  readonly name: string
  readonly options: EngineOptions
  readonly readOnly: boolean
  readonly autocommit: boolean
  /** Whether its sessions run in one transaction each, rather than every statement by itself. */
  readonly hasTransaction: boolean
  /** Whether its sessions are a part of a request's transaction, which commits or rolls back all of them. */
  readonly joins: boolean
  readonly commitMode: CommitMode | undefined
  /** How long a statement waits for a connection, in milliseconds. */
  readonly acquireTimeout: number
  /** Whether the plugin opened it from a configuration, and so closes it. */
  readonly owned: boolean
  readonly #environment: EngineEnvironment
  /** Clients that a reinit has replaced and whose pool may still be in use. */
  readonly #retired: Kysely<unknown>[] = []
  #draining: Promise<void> | undefined
  /** For {@link substitutePool}. */
  substitute: SubstitutePool | undefined
  #orm: SqlOrm | undefined
  #pool: ConnectionPool | undefined
  #begin: readonly string[] = []
  #reiniting: Promise<void> | undefined
  /** Which of the engine's own servers accepts writes; for replicas, that of `routing.primary`. */
  #primary: Primary | undefined
  #replicaSet: ReplicaSet | undefined
  #system: string | undefined
  #ownsPrimary = false
  /** Whether its own connections go wherever the primary is. */
  #follows = false
  #native: PgNativePool | undefined
  readonly #onDirty = (): void => {
    this.#environment.log.warn(
      { engine: this.name },
      'a connection came out of the pool inside a transaction that somebody left open; it was rolled back',
    )
    this.noteLeak('dirty-connection')
  }
  readonly #onGuarded = (reason: string, replica?: string): void =>
    this.#environment.log.info(
      { engine: this.name, ...(replica === undefined ? {} : { replica }), reason },
      'connections are not read-only by themselves; every statement runs in a read-only transaction',
    )

  constructor(name: string, options: EngineOptions, environment: EngineEnvironment) {
    this.name = name
    this.options = options
    this.readOnly = options.readOnly ?? false
    this.autocommit = options.autocommit ?? false
    this.hasTransaction = !this.autocommit && (!this.readOnly || (options.snapshot ?? false))
    this.joins = this.hasTransaction && !this.readOnly && options.join !== false
    this.commitMode = options.commitMode
    this.acquireTimeout = options.acquireTimeout ?? 10_000
    this.owned = !isOrmInstance(options.orm)
    this.#environment = environment
  }

  /** The MikroORM instance; its lifecycle belongs to the plugin, or to the application that gave it. */
  get orm(): SqlOrm {
    if (this.#orm === undefined)
      throw new errors.SQLA_ERR_ENGINE_START(this.name, 'it has not been started yet')
    return this.#orm
  }

  /** The pool that new transactions take their connection from. */
  get pool(): EnginePool {
    if (this.#pool === undefined) throw new errors.SQLA_ERR_CLOSED(`Engine '${this.name}'`)
    return this.substitute ?? this.#pool
  }

  /** How busy its pools are, those of its replicas included; nothing is, once the engine has been closed. */
  get figures(): PoolFigures {
    if (this.substitute !== undefined) return this.substitute.figures()
    const figures = this.#pool?.figures() ?? NO_FIGURES
    return this.#replicaSet === undefined
      ? figures
      : [figures, ...this.#replicaSet.pools().map(pool => pool.figures())].reduce(sumOf)
  }

  /**
   * Its open connections, those to its replicas included, as far as they are known: those that are lent, and with `pg` those that have
   * been. For pages and figures.
   */
  connections(): EngineConnection[] {
    const own = ((this.substitute ?? this.#pool)?.connections() ?? []).map(connection => ({
      server: OWN_SERVER,
      ...connection,
    }))
    return [...own, ...(this.#replicaSet?.connections() ?? [])]
  }

  /** The servers that it reads from, and how each of them is; empty when it has no `replicas`. */
  get replicas(): readonly ReplicaInfo[] {
    return this.#replicaSet?.list() ?? []
  }

  /** For sessions: where a read may go. */
  get replicaSet(): ReplicaSet | undefined {
    return this.#replicaSet
  }

  /** The cluster that it writes to, when anybody needs to know; see {@link Position}. */
  get system(): string | undefined {
    return this.#system
  }

  get dialect(): Dialect {
    return dialectOf(platformOf(this.orm))
  }

  /** Whether its server can be asked later what has become of a transaction; see `pg_xact_status`. */
  get tellsOutcomes(): boolean {
    return this.#pool instanceof PgPool && !this.readOnly && this.substitute === undefined
  }

  /** What diagnostic messages name as their source. */
  get source(): object {
    return this.#environment.source
  }

  /** What is written behind a scope's statements; undefined without `sqlComments`. */
  get commentOf(): CommentOf | undefined {
    return this.#environment.commentOf
  }

  /** For sessions: the engine itself, where what stands between them and it is asked. */
  get engine(): this {
    return this
  }

  /** The server that a connection of this engine's leads to. */
  serverOf({ pool, backend }: Lease): ServerInfo {
    return serverInfoOf(this.orm, this.#replicaSet?.find(pool)?.server.name, backend)
  }

  /** For those who see that something was not given back. */
  noteLeak(kind: LeakMessage['kind']): void {
    if (leaks.hasSubscribers) leaks.publish({ source: this.source, engine: this.name, kind })
  }

  /** The statements that begin a transaction of this engine. */
  get begin(): readonly string[] {
    return this.#begin
  }

  beginStatements(options: {
    isolationLevel?: IsolationLevel | undefined
    readOnly?: boolean | undefined
  }): string[] {
    return platformOf(this.orm).getBeginTransactionSQL(
      options as { isolationLevel?: IsolationLevel; readOnly?: boolean },
    )
  }

  /**
   * Opens the instance and proves that the server answers.
   *
   * @throws SQLA_ERR_INVALID_OPTION, or SQLA_ERR_ENGINE_START with the engine's name and, redacted, what the driver
   *   said
   */
  async start(): Promise<void> {
    try {
      await withinPatience(this.#start())
    } catch (error) {
      if (this.#ownsPrimary) this.#primary?.close()
      await this.#replicaSet?.close()
      // A pool that is still connecting to a server that does not answer ends when it has given up.
      await Promise.race([this.#closeOrm().catch(() => {}), sleep(CLOSE_PATIENCE, undefined, { ref: false })])
      if (error instanceof errors.SQLA_ERR_INVALID_OPTION) throw error
      throw new errors.SQLA_ERR_ENGINE_START(this.name, redact(messageOf(error)), {
        cause: redactedCause(error),
      })
    }
  }

  async #start(): Promise<void> {
    const { orm, isolationLevel, snapshot, createAll } = this.options
    if (hasReplicas(this.options)) assertCanHaveReplicas(this.name, orm)
    this.#orm = isOrmInstance(orm) ? orm : await this.#open()
    const context = this.#environment.currentEntityManager
    if (context !== undefined) this.#orm.config.set('context', () => context(this.name))
    this.#begin = this.beginStatements({
      isolationLevel: snapshot
        ? ('repeatable read' as IsolationLevel)
        : (isolationLevel as IsolationLevel | undefined),
      readOnly: this.readOnly,
    })
    const connection = connectionOf(this.#orm)
    await unlessRefused(() => connection.connect())
    // As in reinit: a Kysely that never ran anything would not close its pool.
    await unlessRefused(() => connection.getClient().executeQuery(SELECT_ONE))
    this.#pool = await this.#openPool()
    if (createAll && !isCreateAllOff()) await createMissingTables(this.#orm)
    if (this.#environment.tracksPositions && this.dialect === 'postgresql') await this.#findPlace()
  }

  /**
   * Creates the tables of its entities that are missing; never changes or drops one. What `createAll` does at start.
   *
   * @param options `dryRun`: only say what it would do
   * @returns the SQL that was run, or would be; empty when nothing is missing
   * @throws SQLA_ERR_READ_ONLY
   */
  async createMissingTables(options: { dryRun?: boolean } = {}): Promise<string> {
    if (this.readOnly) throw new errors.SQLA_ERR_READ_ONLY(this.name, 'creating tables')
    return options.dryRun ? missingTablesSql(this.orm) : createMissingTables(this.orm)
  }

  /** Opens the instance where the server is that the engine needs. */
  async #open(): Promise<SqlOrm> {
    const { config, address, primary, ownsPrimary } = await findServers(this.#serversContext)
    this.#primary = primary
    this.#ownsPrimary = ownsPrimary
    const orm = await openOrm(this.name, config, {
      readOnly: this.readOnly,
      acquireTimeout: this.acquireTimeout,
      address,
    })
    this.#follows = address !== undefined
    if (this.#follows) primary?.onMove(() => this.#follow())
    primary?.onAbsent((error, isSilent) => {
      this.#pool?.turnAway(error)
      if (isSilent) this.#pool?.abandon()
    })
    return orm
  }

  /** Finds out which cluster the engine writes to, and opens its replicas. */
  async #findPlace(): Promise<void> {
    const connection = connectionOf(this.orm)
    const { rows } = await connection
      .getClient()
      .executeQuery<Place>(
        CompiledQuery.raw(
          'select system_identifier::text as system, pg_is_in_recovery() as standby from pg_control_system()',
        ),
      )
    const { system, standby } = rows[0] as Place
    this.#system = system
    if (this.#primary === undefined || !hasReplicas(this.options)) return
    if (standby) {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        `engines.${this.name}.orm`,
        'points at a standby; with replicas it must be the primary, or say nothing of a server. List the standby in `replicas`',
      )
    }
    if (system !== this.#primary.system) {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        `engines.${this.name}.orm`,
        'points at another cluster than that of routing.primary, whose writes the replicas replay',
      )
    }
    this.#native = await nativePool(connection)
    this.#replicaSet = await openReplicas(
      this.#serversContext,
      this.#primary,
      () => this.#native as PgNativePool,
      pool => this.#drain(pool),
      this.#onDirty,
      this.#onGuarded,
    )
  }

  get #serversContext(): ServersContext {
    const { log, source, routing, primary, tracksPositions } = this.#environment
    return {
      name: this.name,
      options: this.options,
      acquireTimeout: this.acquireTimeout,
      log,
      source,
      routing,
      isPrimary: tracksPositions && this.name === routing.primary,
      primary,
    }
  }

  /** Who knows which server accepts writes; undefined when nobody needs to. */
  get primary(): Primary | undefined {
    return this.#primary
  }

  /**
   * For the time after a fork, or whenever the pool must be another one: new statements take a fresh pool at
   * once, what is under way finishes on the old one, which is then closed.
   *
   * @returns when the fresh pool is in place and the old one has been closed, by force after `drainTimeout`
   */
  reinit(): Promise<void> {
    this.#reiniting ??= this.#reinit().finally(() => {
      this.#reiniting = undefined
    })
    return this.#reiniting
  }

  async #reinit(): Promise<void> {
    await this.#renew()
    await this.#replicaSet?.reinit()
  }

  /** Another server is the primary: what the former one still commits would be lost. */
  async #follow(): Promise<void> {
    this.#pool?.abandon()
    await this.#renew()
  }

  /** A fresh pool in the place of its own: after a fork, or where the primary is now. */
  async #renew(): Promise<void> {
    const connection = connectionOf(this.orm)
    this.#retired.push(connection.getClient())
    await connection.createKysely()
    try {
      // Sessions change over to a server that answers, or not at all. (A Kysely that never ran anything would not
      // close its pool either.)
      await unlessRefused(() => connection.getClient().executeQuery(SELECT_ONE))
    } catch (error) {
      throw new errors.SQLA_ERR_ENGINE_START(this.name, redact(messageOf(error)), {
        cause: redactedCause(error),
      })
    }
    if (this.#pool === undefined) throw new errors.SQLA_ERR_CLOSED(`Engine '${this.name}'`)
    const oldPool = this.#pool
    this.#pool = await this.#openPool()
    if (this.#replicaSet !== undefined) this.#native = await nativePool(connection)
    const retired = this.#retired.splice(0)
    this.#draining = this.#drain(oldPool).then(() => destroyAll(retired))
    await this.#draining
  }

  /** Waits for what is under way and closes the instance, if the plugin opened it. */
  async close(): Promise<void> {
    await this.substitute?.close()
    const pool = this.#pool
    this.#pool = undefined
    if (this.#ownsPrimary) this.#primary?.close()
    await Promise.all([pool === undefined ? undefined : this.#drain(pool), this.#replicaSet?.close()])
    await this.#draining
    await destroyAll(this.#retired)
    await this.#closeOrm()
  }

  async #closeOrm(): Promise<void> {
    if (!this.owned || this.#orm === undefined) return
    await this.#orm.close(true)
    // MikroORM would connect again by itself for whoever comes late, and SQLite make its file anew.
    connectionOf(this.#orm).connect = () =>
      Promise.reject(new errors.SQLA_ERR_CLOSED(`Engine '${this.name}'`))
  }

  #drain(pool: ConnectionPool): Promise<void> {
    const { drainTimeout = 10_000 } = this.options
    return drain(pool, drainTimeout, () => {
      this.#environment.log.warn(
        { engine: this.name, drainTimeout, ...pool.figures() },
        'sessions outlived drainTimeout; their connections are cut',
      )
      this.noteLeak('late-drain')
    })
  }

  #openPool(): Promise<ConnectionPool> {
    const context: PoolContext = {
      engine: this.name,
      acquireTimeout: this.acquireTimeout,
      onDirty: this.#onDirty,
      guard: this.#guard,
      onGuarded: this.#onGuarded,
      ...(this.#primary === undefined ? {} : primaryRules(this.#primary, this.#follows)),
    }
    return openPool(this.orm, context)
  }

  get #guard(): Guard | undefined {
    if (!this.readOnly) return undefined
    return this.owned && !bringsOwnClient(this.options.orm) ? 'unless read-only' : 'always'
  }
}

/** What may be asked of what an engine takes its connections from. */
export type EnginePool = Pick<ConnectionPool, 'acquire' | 'figures' | 'connections'>

interface Place {
  system: string
  standby: boolean
}

const SELECT_ONE = CompiledQuery.raw('select 1')

/** A pooler may refuse what a first connection asks to start with; the next one asks for less. */
async function unlessRefused(work: () => Promise<unknown>): Promise<void> {
  await work().catch(error => (isRefusedParameter(error) ? work() : Promise.reject(error)))
}

async function withinPatience(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(Object.assign(new RangeError(`no answer within ${START_PATIENCE} ms`), { code: 'ETIMEDOUT' }))
    }, START_PATIENCE)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function destroyAll(clients: readonly Kysely<unknown>[]): Promise<void> {
  await Promise.all(clients.map(client => client.destroy()))
}
