import { Configuration, MikroORM, type Options, type Platform } from '@mikro-orm/core'
import {
  type AbstractSqlConnection,
  type AbstractSqlDriver,
  type AbstractSqlPlatform,
  BaseMySqlPlatform,
  BasePostgreSqlPlatform,
  type SqlEntityManager,
  SqlitePlatform,
} from '@mikro-orm/sql'
import { CompiledQuery, type DatabaseConnection } from 'kysely'
import type { EngineOptions } from '../options.ts'
import type { Address } from './addresses.ts'

/** A MikroORM on any SQL driver. */
export type SqlOrm = MikroORM<AbstractSqlDriver, SqlEntityManager<AbstractSqlDriver>>

/** The kinds of databases that we treat differently. */
export type Dialect = 'postgresql' | 'mysql' | 'sqlite' | 'other'

/** Whether the application gave an instance of its own. By shape: there may be two copies of MikroORM's core. */
export function isOrmInstance(orm: EngineOptions['orm']): orm is SqlOrm {
  return 'em' in orm && 'driver' in orm && 'config' in orm
}

export function dialectOf(platform: Platform): Dialect {
  if (platform instanceof BasePostgreSqlPlatform) return 'postgresql'
  if (platform instanceof BaseMySqlPlatform) return 'mysql'
  return platform instanceof SqlitePlatform ? 'sqlite' : 'other'
}

export function connectionOf(orm: SqlOrm): AbstractSqlConnection {
  return orm.driver.getConnection('write')
}

export function platformOf(orm: SqlOrm): AbstractSqlPlatform {
  return orm.driver.getPlatform() as AbstractSqlPlatform
}

/** Whether a configuration brings a Kysely client or dialect of its own, whose connections we cannot shape. */
export function bringsOwnClient(orm: EngineOptions['orm']): boolean {
  const given = 'driverOptions' in orm ? orm.driverOptions : undefined
  return typeof given === 'object' && given !== null && ('createDriver' in given || 'getExecutor' in given)
}

/** How an engine wants the connections of its instance. */
export interface ConnectionWishes {
  /** Read-only on the server's side: what slips past our own check (a CTE or a function that writes) is refused. */
  readonly readOnly: boolean
  /** Milliseconds that a session waits for a connection. */
  readonly acquireTimeout: number
  /** Where new connections go, when that may change while the application runs. */
  readonly address?: (() => Address) | undefined
}

/**
 * Opens an instance from a configuration, without connecting.
 *
 * @param name of the engine. Two instances in one process need different context names, or MikroORM takes the
 *   transaction of one for the other's
 */
export async function openOrm(name: string, options: Options, wishes: ConnectionWishes): Promise<SqlOrm> {
  const dialect = bringsOwnClient(options)
    ? 'other'
    : dialectOf(new Configuration(options, false).getPlatform())
  const orm = await MikroORM.init({
    ...options,
    contextName: options.contextName ?? `sqlassist:${name}`,
    ...(dialect === 'postgresql' ? { driverOptions: pgOptions(options.driverOptions, wishes) } : {}),
    ...(wishes.readOnly && dialect !== 'postgresql' ? readOnlyConnections(options, dialect) : {}),
  })
  return orm as unknown as SqlOrm
}

/** Milliseconds that an attempt to connect may take at least, however short a session's own patience is. */
const CONNECT_PATIENCE = 5_000

interface PgOptions {
  options?: string
  onPoolCreated?: (pool: PgClientOwner) => unknown
}

/** The part of pg's pool that makes its clients. */
export interface PgClientOwner {
  Client: new (config: object) => object
}

function pgOptions(own: unknown, wishes: ConnectionWishes): PgOptions | (() => PgOptions) {
  if (typeof own === 'function') return () => pgOptions(own(), wishes) as PgOptions
  const given = own as PgOptions | undefined
  return {
    ...given,
    onPoolCreated: pool => {
      shapeClients(pool, wishes)
      return given?.onPoolCreated?.(pool)
    },
    // A startup parameter: it costs no statement, and nothing in the session can forget it.
    ...(wishes.readOnly
      ? { options: `${given?.options ?? ''} -c default_transaction_read_only=on`.trim() }
      : {}),
  }
}

/**
 * Makes an attempt to connect that is never answered give its place in the pool back (the pool's own option for it
 * would start a timer each time a connection is lent, which we limit already), and go to where the server is now.
 */
export function shapeClients(
  pool: PgClientOwner,
  { acquireTimeout, address }: Pick<ConnectionWishes, 'acquireTimeout' | 'address'>,
): void {
  const connectionTimeoutMillis = Math.max(acquireTimeout, CONNECT_PATIENCE)
  pool.Client = class extends pool.Client {
    constructor(config: object) {
      // Not a copy: pg hides the password from enumeration.
      super(Object.assign(Object.create(config), { connectionTimeoutMillis, ...address?.() }))
    }
  }
}

function readOnlyConnections(options: Options, dialect: Dialect): Partial<Options> {
  if (dialect === 'other') return {}
  const statement = dialect === 'mysql' ? 'set session transaction read only' : 'pragma query_only = on'
  const own = options.onCreateConnection
  return {
    onCreateConnection: async connection => {
      await own?.(connection)
      await (connection as DatabaseConnection).executeQuery(CompiledQuery.raw(statement))
    },
  }
}
