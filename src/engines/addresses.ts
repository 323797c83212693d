import { errors } from '../errors.ts'
import { url as isUrl } from '../option-checks.ts'
import type { ReplicaOptions } from '../routing/routing-options.ts'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What a server wants to know of whoever connects. */
export interface Login {
  readonly user: string | undefined
  readonly password: string | (() => string | Promise<string>) | undefined
  readonly database: string | undefined
}

const POSTGRES_PORT = 5432

/** `scheme://user:password@` · `host:port,host:port` · `/database?…`, as libpq writes it. */
const MULTI_HOST = /^([a-z]+:\/\/(?:[^@/?#]*@)?)([^/?#]+)(.*)$/i

/**
 * Takes `clientUrl: [a, b]` and libpq's `postgresql://user@a:5432,b:5432/db?target_session_attrs=read-write` apart.
 *
 * @param where as a message names it
 * @returns one URL a server
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function splitClientUrl(clientUrl: string | readonly string[], where: string): string[] {
  const given: readonly unknown[] = Array.isArray(clientUrl) ? clientUrl : [clientUrl]
  if (given.length === 0) throw new errors.SQLA_ERR_INVALID_OPTION(where, 'needs at least one URL')
  const urls = given.flatMap(url => splitHosts(String(url)))
  for (const url of urls) {
    const problem = isUrl(url)
    if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(where, problem)
    const wanted = new URL(url).searchParams.get('target_session_attrs') ?? 'read-write'
    if (urls.length > 1 && wanted !== 'read-write' && wanted !== 'primary') {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        where,
        'target_session_attrs must be read-write: an engine with several servers looks for the one that accepts writes; standbys are for `replicas`',
      )
    }
  }
  return urls
}

function splitHosts(url: string): string[] {
  const [, before = '', hosts = '', after = ''] = MULTI_HOST.exec(url) ?? []
  return hosts.includes(',') ? hosts.split(',').map(host => `${before}${host}${after}`) : [url]
}

export function addressOf(url: string): Address {
  const { hostname, port } = new URL(url)
  return { host: hostOf(hostname), port: Number(port) || POSTGRES_PORT }
}

/** A URL writes an IPv6 address in brackets; whoever connects to it writes it without. */
function hostOf(hostname: string): string {
  return decodeURIComponent(hostname.replace(/^\[(.*)\]$/, '$1'))
}

export function labelOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function isSameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port
}

/** A replica's address and login; what its options leave out is as in the engine's own. */
export function replicaTarget(
  options: ReplicaOptions,
  own: Address & Login,
): { address: Address; login: Login } {
  const url = options.clientUrl === undefined ? undefined : new URL(options.clientUrl)
  const part = (text: string | undefined): string | undefined => (text ? decodeURIComponent(text) : undefined)
  return {
    address: {
      host: options.host ?? (url?.hostname ? hostOf(url.hostname) : own.host),
      port: options.port ?? (Number(url?.port) || POSTGRES_PORT),
    },
    login: {
      user: options.user ?? part(url?.username) ?? own.user,
      password: options.password ?? part(url?.password) ?? own.password,
      database: options.dbName ?? part(url?.pathname.slice(1)) ?? own.database,
    },
  }
}
