import type { Options } from '@mikro-orm/core'
import { errors } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { EngineOptions, ReaderOptions } from '../options.ts'
import { isServerFailure } from '../routing/failures.ts'
import type { Routing } from '../routing/routing-options.ts'
import {
  type Address,
  addressOf,
  isSameAddress,
  type Login,
  labelOf,
  replicaTarget,
  splitClientUrl,
} from './addresses.ts'
import type { ConnectionPool, PoolContext } from './connection-pool.ts'
import { dialectOfConfig, isOrmInstance, type PgClientOwner, shapeClients } from './orm.ts'
import { loadPgModule } from './pg-modules.ts'
import type { PgNativePool } from './pg-pool.ts'
import { Primary } from './primary.ts'
import type { ProbeClient } from './probe.ts'
import { PgReplicaServer } from './replica-server.ts'
import { ReplicaSet } from './replica-set.ts'

/** What finding an engine's servers takes. */
export interface ServersContext {
  readonly name: string
  readonly options: EngineOptions
  readonly acquireTimeout: number
  readonly log: Logger
  /** What diagnostic messages name as their source. */
  readonly source: object
  readonly routing: Routing
  /** Whether replicas replay what this engine writes. */
  readonly isPrimary: boolean
  /** The primary that replicas replay, once its engine has found it. */
  readonly primary: () => Promise<Primary>
}

/** Where an engine's own connections go. */
export interface Servers {
  /** The engine's MikroORM configuration with the one URL that MikroORM takes. */
  readonly config: Options
  /** Where new connections go, when that may change while the application runs. */
  readonly address: (() => Address) | undefined
  /** Who knows which server accepts writes. */
  readonly primary: Primary | undefined
  /** Whether the engine started it, and ends it. */
  readonly ownsPrimary: boolean
}

/**
 * Finds the server that accepts writes, for an engine that has several of them or whose writes replicas replay.
 *
 * @throws SQLA_ERR_PRIMARY_UNAVAILABLE, SQLA_ERR_INVALID_OPTION
 */
export async function findServers(context: ServersContext): Promise<Servers> {
  const { orm } = context.options
  const config = orm as Options & { clientUrl?: string | readonly string[] }
  const isWatched = context.isPrimary || hasReplicas(context.options)
  if (!isWatched && typeof config.clientUrl === 'string' && !config.clientUrl.includes(',')) {
    return { config: config as Options, address: undefined, primary: undefined, ownsPrimary: false }
  }
  if (config.clientUrl === undefined && config.host === undefined) {
    const primary = hasReplicas(context.options) ? await context.primary() : undefined
    if (primary === undefined)
      return { config: config as Options, address: undefined, primary, ownsPrimary: false }
    const { host, port } = primary.address
    return {
      config: { ...config, host, port } as Options,
      address: () => primary.address,
      primary,
      ownsPrimary: false,
    }
  }
  if (dialectOfConfig(config as Options) !== 'postgresql') {
    if (typeof config.clientUrl === 'object') {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        `engines.${context.name}.orm.clientUrl`,
        'must be one URL: looking among several servers for the one that accepts writes is for PostgreSQL',
      )
    }
    return { config: config as Options, address: undefined, primary: undefined, ownsPrimary: false }
  }
  const urls = urlsOf(config, context.name)
  const single = { ...config, ...(config.clientUrl === undefined ? {} : { clientUrl: urls[0] }) } as Options
  if (hasReplicas(context.options)) {
    const primary = await context.primary()
    const address = whereReplicasHaveTheirPrimary(context, addressOf(urls[0] as string), primary)
    return { config: single, address, primary, ownsPrimary: false }
  }
  if (urls.length === 1 && !context.isPrimary) {
    return { config: single, address: undefined, primary: undefined, ownsPrimary: false }
  }
  const login = loginOf(single)
  const primary = new Primary({
    engine: context.name,
    addresses: urls.map(addressOf),
    probe: context.routing.probe,
    log: context.log,
    open: address => openProbe(single, address, login, context.routing.probe.timeout),
  })
  try {
    await primary.start()
  } catch (error) {
    primary.close()
    throw error
  }
  return {
    config: single,
    address: urls.length > 1 ? () => primary.address : undefined,
    primary,
    ownsPrimary: true,
  }
}

/**
 * What a pool of an engine does when the server that accepts writes is gone.
 *
 * @param follows whether the engine gets another pool when another server becomes the primary: until it is there,
 *   nobody is lent a connection to the former one, which may still accept what would be lost
 */
export function primaryRules(
  primary: Primary,
  follows: boolean,
): Pick<PoolContext, 'refuse' | 'onConnectError' | 'onStatementError'> {
  const suspect = (error: unknown): unknown => {
    if (!isServerFailure(error)) {
      if ((error as { code?: unknown }).code === '25006') void primary.check()
      return error
    }
    void primary.check()
    return primary.unavailable(error)
  }
  const { address } = primary
  return {
    refuse: () => {
      if (!primary.isPresent) return primary.unavailable()
      if (!follows || primary.address === address) return undefined
      return primary.unavailable(new Error(`the engine is about to follow it to ${labelOf(primary.address)}`))
    },
    onConnectError: suspect,
    onStatementError: suspect,
  }
}

/**
 * Opens a pool on each replica.
 *
 * @param native the engine's own pool of the moment
 */
export async function openReplicas(
  context: ServersContext,
  primary: Primary,
  native: () => PgNativePool,
  drain: (pool: ConnectionPool) => Promise<void>,
  onDirty: () => void,
  onGuarded: (reason: string, replica: string) => void,
): Promise<ReplicaSet> {
  const { replicas = [] } = context.options as ReaderOptions
  const config = context.options.orm as Options
  const own = { ...primary.address, ...loginOf(native().options as LoginOptions) }
  const userOptions = driverOptionsOf(config)
  const servers = replicas.map(options => {
    const { address, login } = replicaTarget(options, own)
    const name = options.name ?? labelOf(address)
    return new PgReplicaServer(name, options.weight ?? 1, address, login, {
      native,
      context: {
        engine: context.name,
        acquireTimeout: context.acquireTimeout,
        onDirty,
        guard: 'unless read-only',
        onGuarded: reason => onGuarded(reason, name),
      },
      probeTimeout: context.routing.probe.timeout,
      prepare: pool => {
        shapeClients(pool as unknown as PgClientOwner, {
          acquireTimeout: context.acquireTimeout,
          readOnly: true,
        })
        userOptions.onPoolCreated?.(pool)
      },
      drain,
    })
  })
  const names = servers.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new errors.SQLA_ERR_INVALID_OPTION(`engines.${context.name}.replicas`, `has '${twice}' twice`)
  }
  const set = new ReplicaSet(context.name, servers, primary, context.routing, context.log, context.source)
  await set.start()
  return set
}

/**
 * Replicas get pools of pg that are like the engine's own, so that one must be ours, and have nothing that only
 * MikroORM would do to its connections.
 *
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function assertCanHaveReplicas(name: string, orm: EngineOptions['orm']): void {
  const problem = replicasProblem(orm)
  if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(`engines.${name}.replicas`, problem)
}

function replicasProblem(orm: EngineOptions['orm']): string | undefined {
  if (isOrmInstance(orm)) return 'need `orm` to be a configuration: an instance has its server already'
  const config = orm as Options
  if (dialectOfConfig(config) !== 'postgresql')
    return 'need PostgreSQL, through connections that MikroORM opens'
  const hook = (['onCreateConnection', 'onReserveConnection'] as const).find(key => config[key] !== undefined)
  if (hook !== undefined || config.sessionContext === 'connection') {
    return `do not go with ${hook ?? "sessionContext: 'connection'"}, which MikroORM would not run on their connections`
  }
  return undefined
}

export function hasReplicas(options: EngineOptions): boolean {
  return options.readOnly === true && options.replicas !== undefined
}

/**
 * `orm` of an engine with replicas says how to log in. Where it names a server, that is the primary's (and follows
 * it), unless it is one that we know nothing of: a pooler in front of the primary, say, which stays what it is.
 */
function whereReplicasHaveTheirPrimary(
  { options }: ServersContext,
  own: Address,
  primary: Primary,
): (() => Address) | undefined {
  const replicas = (options as ReaderOptions).replicas ?? []
  const known = [
    ...primary.addresses,
    ...replicas.map(replica => replicaTarget(replica, { ...own, ...NO_LOGIN }).address),
  ]
  return known.some(address => isSameAddress(address, own)) ? () => primary.address : undefined
}

const NO_LOGIN: Login = { user: undefined, password: undefined, database: undefined }

function urlsOf(
  config: { clientUrl?: string | readonly string[]; host?: string; port?: number },
  name: string,
): string[] {
  if (config.host !== undefined) return [`postgresql://${config.host}:${config.port ?? ''}`]
  return splitClientUrl(config.clientUrl ?? '', `engines.${name}.orm.clientUrl`)
}

interface LoginOptions {
  readonly clientUrl?: string
  readonly user?: string
  readonly password?: unknown
  readonly dbName?: string
  /** What pg calls `dbName`. */
  readonly database?: string
}

/** As MikroORM reads its own options: what stands by itself goes before what stands in the URL. */
function loginOf(config: LoginOptions): Login {
  const url = config.clientUrl === undefined ? undefined : new URL(config.clientUrl)
  const part = (text: string | undefined): string | undefined => (text ? decodeURIComponent(text) : undefined)
  return {
    user: config.user ?? part(url?.username),
    password: (config.password as Login['password']) ?? part(url?.password),
    database: config.dbName ?? config.database ?? part(url?.pathname.slice(1)),
  }
}

interface PgDriverOptions {
  onPoolCreated?: (pool: unknown) => unknown
  options?: unknown
}

function driverOptionsOf(config: Options): PgDriverOptions {
  const { driverOptions } = config as { driverOptions?: unknown }
  return ((typeof driverOptions === 'function' ? driverOptions() : driverOptions) ?? {}) as PgDriverOptions
}

function openProbe(config: Options, address: Address, login: Login, timeout: number): ProbeClient {
  const { Client } = loadPgModule('pg') as {
    Client: new (options: object) => ProbeClient
  }
  const { onPoolCreated, options, ...rest } = driverOptionsOf(config)
  return new Client({
    ...rest,
    ...address,
    ...login,
    application_name: 'fastify-sqlassist probe',
    connectionTimeoutMillis: timeout,
  })
}
