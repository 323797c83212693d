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
import { isRefusedParameter } from './startup.ts'

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

/** The kind of database of an instance that is not open yet. */
export function dialectOfConfig(options: Options): Dialect {
  if (bringsOwnClient(options)) return 'other'
  // Only MikroORM's own single URL means anything to its configuration.
  const { clientUrl, ...rest } = options as Options & { clientUrl?: unknown }
  return dialectOf(new Configuration(rest as Options, false).getPlatform())
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
  const dialect = dialectOfConfig(options)
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
  onPoolCreated?: (pool: PgClientOwner) => unknown
}

type Connected = (error: unknown, ...rest: unknown[]) => void

/** The part of pg's pool that makes its clients. */
export interface PgClientOwner {
  Client: new (
    config: object,
  ) => {
    connect(callback: Connected): void
    connect(): Promise<unknown>
  }
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
  }
}

/** A startup parameter: it costs no statement, and nothing in the session can forget it. */
const READ_ONLY = '-c default_transaction_read_only=on'

/**
 * Makes an attempt to connect that is never answered give its place in the pool back (the pool's own option for it
 * would start a timer each time a connection is lent, which we limit already), go to where the server is now, and
 * ask for a read-only connection where one is wanted. A pooler may refuse to be asked; later attempts then do not.
 */
export function shapeClients(
  pool: PgClientOwner,
  { acquireTimeout, address, readOnly }: ConnectionWishes,
): void {
  const connectionTimeoutMillis = Math.max(acquireTimeout, CONNECT_PATIENCE)
  let asksReadOnly = readOnly
  const noteRefusal = (error: unknown): void => {
    if (error && isRefusedParameter(error)) asksReadOnly = false
  }
  pool.Client = class extends pool.Client {
    constructor(config: { options?: string | null }) {
      const { options } = config
      // Not a copy: pg hides the password from enumeration.
      super(
        Object.assign(Object.create(config), {
          connectionTimeoutMillis,
          ...address?.(),
          // null: whoever only looks wants none.
          ...(asksReadOnly && options !== null ? { options: `${options ?? ''} ${READ_ONLY}`.trim() } : {}),
        }),
      )
    }

    override connect(callback: Connected): void
    override connect(): Promise<unknown>
    override connect(callback?: Connected): Promise<unknown> | undefined {
      if (callback === undefined) {
        return super.connect().catch(error => {
          noteRefusal(error)
          throw error
        })
      }
      super.connect((error, ...rest) => {
        noteRefusal(error)
        callback(error, ...rest)
      })
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
