import type { FastifyReply, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import {
  boolean,
  type Check,
  check,
  describe,
  milliseconds,
  object,
  oneOf,
  port,
  positive,
  string,
  url,
} from '../option-checks.ts'

/**
 * What a read may see. `'session'`: everything that this client has written or seen before. `'eventual'`: whatever
 * the replica has. `'primary'`: everything that has been committed, by asking the primary.
 */
export type Consistency = 'session' | 'eventual' | 'primary'

/** A server that replays what the primary writes. What is left out is as in the engine's `orm`. */
export interface ReplicaOptions {
  /** Shown in logs and figures. Default: `host:port`. */
  name?: string
  /** How much of the reads it should get, compared with the others. Default 1. */
  weight?: number
  clientUrl?: string
  host?: string
  port?: number
  user?: string
  password?: string | (() => string | Promise<string>)
  dbName?: string
}

/**
 * What a token is about: what its client has written, or only what it has read. Kept apart, an answer to a slow read
 * that comes late does not take away what a write has told meanwhile.
 */
export type TokenKind = 'write' | 'read'

/** Takes causal tokens to clients and back. */
export interface TokenTransport {
  /** @returns what the client brought along, if anything; of several tokens, each counts */
  read(request: FastifyRequest): string | readonly string[] | undefined
  /** Called before the headers are sent, when the client has written or seen something new. */
  write(reply: FastifyReply, token: string, kind: TokenKind): void
}

/** How a client carries what it has written and seen from one request to the next. */
export interface TokenOptions {
  /** `'cookie'` (default), `'header'`, or your own. */
  transport?: 'cookie' | 'header' | TokenTransport
  /** Signs tokens. A list accepts all of them and signs with the first. At least 16 characters each. */
  secret: string | readonly string[]
  /** How long a token counts, in milliseconds. Default 300,000. Must be above `maxLag.ms`. */
  maxAge?: number
  /**
   * Name of the cookie (default `'sqlassist'`; that of reads has `-read` behind it) or header (default
   * `'x-sqlassist-token'`).
   */
  name?: string
  /** Whether the cookie is only sent over HTTPS. Default: when the request came over HTTPS. */
  secure?: boolean
}

/** Where reads go when an engine has replicas. */
export interface RoutingOptions {
  /** The engine that writes what the replicas replay. Default `'writer'`. */
  primary?: string
  /** Default `'session'`. */
  consistency?: Consistency
  /** How late a replica may be and still be read from. Default: 10,000 ms, 256 MiB. */
  maxLag?: { ms?: number; bytes?: number }
  /** How long a read waits for a replica to catch up before it goes to the primary, in milliseconds. Default 100. */
  wait?: number
  /** Where reads go when no replica can serve them. Default `'primary'`. */
  onUnavailable?: 'primary' | 'error'
  /** Required for `consistency: 'session'`. */
  token?: TokenOptions
  /** How often servers are asked how they are, and how long they may take to answer, in ms. Default 1,000 and 500. */
  probe?: { interval?: number; timeout?: number }
}

/** {@link RoutingOptions} with everything said. */
export interface Routing {
  readonly primary: string
  readonly consistency: Consistency
  readonly maxLag: { readonly ms: number; readonly bytes: number }
  readonly wait: number
  readonly onUnavailable: 'primary' | 'error'
  readonly token: (TokenOptions & { readonly maxAge: number }) | undefined
  readonly probe: { readonly interval: number; readonly timeout: number }
}

export const CONSISTENCIES: readonly Consistency[] = ['session', 'eventual', 'primary']
const SHORTEST_SECRET = 16
const HTTP_TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

const transport: Check = value =>
  value === 'cookie' || value === 'header' || isTransport(value)
    ? undefined
    : `must be 'cookie', 'header' or an object with read and write, not ${describe(value)}`
const secret: Check = value => {
  const secrets = Array.isArray(value) ? value : [value]
  const good =
    secrets.length > 0 && secrets.every(one => typeof one === 'string' && one.length >= SHORTEST_SECRET)
  return good ? undefined : `must be a string of at least ${SHORTEST_SECRET} characters, or a list of such`
}
const tokenName: Check = value =>
  typeof value === 'string' && HTTP_TOKEN.test(value) ? undefined : 'must be a name that HTTP allows'
const oneServer = (clientUrl: string): string | undefined =>
  new URL(clientUrl).hostname.includes(',') ? 'names several servers, and a replica is one' : undefined
const passwordLike: Check = value =>
  typeof value === 'string' || typeof value === 'function' ? undefined : 'must be a string or a function'

const ROUTING: Record<string, Check> = {
  primary: string,
  consistency: oneOf(CONSISTENCIES),
  maxLag: object,
  wait: value => (value === 0 ? undefined : milliseconds(value)),
  onUnavailable: oneOf(['primary', 'error']),
  // What is given instead could be the secret.
  token: value => (object(value) === undefined ? undefined : 'must be an object with a secret'),
  probe: object,
}
const MAX_LAG: Record<string, Check> = { ms: milliseconds, bytes: positive }
const PROBE: Record<string, Check> = { interval: milliseconds, timeout: milliseconds }
const TOKEN: Record<string, Check> = {
  transport,
  secret,
  maxAge: milliseconds,
  name: tokenName,
  secure: boolean,
}
const REPLICA: Record<string, Check> = {
  name: string,
  weight: positive,
  clientUrl: value => url(value) ?? oneServer(value as string),
  host: string,
  port,
  user: string,
  password: passwordLike,
  dbName: string,
}

/**
 * Says everything that was left out.
 *
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function resolveRouting(options: RoutingOptions = {}): Routing {
  const problem = object(options)
  if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION('routing', problem)
  check(ROUTING, options, 'routing.')
  check(MAX_LAG, options.maxLag ?? {}, 'routing.maxLag.')
  check(PROBE, options.probe ?? {}, 'routing.probe.')
  const maxLag = { ms: options.maxLag?.ms ?? 10_000, bytes: options.maxLag?.bytes ?? 256 * 1024 * 1024 }
  return {
    primary: options.primary ?? 'writer',
    consistency: options.consistency ?? 'session',
    maxLag,
    wait: options.wait ?? 100,
    onUnavailable: options.onUnavailable ?? 'primary',
    token: options.token && resolveToken(options.token, maxLag.ms),
    probe: { interval: options.probe?.interval ?? 1_000, timeout: options.probe?.timeout ?? 500 },
  }
}

function resolveToken(options: TokenOptions, maxLag: number): TokenOptions & { maxAge: number } {
  check(TOKEN, options, 'routing.token.')
  if (options.secret === undefined) {
    throw new errors.SQLA_ERR_INVALID_OPTION('routing.token.secret', secret(undefined) as string)
  }
  const maxAge = options.maxAge ?? 300_000
  if (maxAge <= maxLag) {
    throw new errors.SQLA_ERR_INVALID_OPTION(
      'routing.token.maxAge',
      `must be above routing.maxLag.ms (${maxLag}): a replica that is later than a token lives could miss its write`,
    )
  }
  return { ...options, maxAge }
}

/**
 * @param where as a message names them: `engines.reader.replicas`
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function validateReplicas(where: string, replicas: unknown): void {
  if (!Array.isArray(replicas) || replicas.length === 0) {
    throw new errors.SQLA_ERR_INVALID_OPTION(where, 'must be a list of at least one server')
  }
  for (const [index, replica] of replicas.entries()) {
    const problem = object(replica)
    if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(`${where}[${index}]`, problem)
    check(REPLICA, replica, `${where}[${index}].`)
    if (replica.clientUrl === undefined && replica.host === undefined) {
      throw new errors.SQLA_ERR_INVALID_OPTION(`${where}[${index}]`, 'needs a clientUrl or a host')
    }
  }
}

function isTransport(value: unknown): boolean {
  const { read, write } = (value ?? {}) as { read?: unknown; write?: unknown }
  return typeof read === 'function' && typeof write === 'function'
}
