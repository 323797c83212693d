import { errors as core } from '../../src/index.ts'
import type { Settings } from './configuration.ts'
import { ROLES, type RoleName } from './roles.ts'

/** What {@link startCluster} starts. */
export interface ClusterOptions {
  /** How many streaming hot standbys the primary has. Default 0, at most 8. */
  readonly replicas?: number
  /**
   * Directory for the primary's data, kept when the cluster stops and used again by the next start. Without it
   * the data is temporary. Standbys are always made anew.
   */
  readonly dataDir?: string
  /** TCP port of the primary on 127.0.0.1. Default: a free one. */
  readonly port?: number
  /** Which of the roles to create. Default: all three. */
  readonly roles?: readonly RoleName[]
  /** Name of the database that is created and that the URLs point to. Default `'app'`. */
  readonly database?: string
  /** Settings for postgresql.conf of every server, `{ max_prepared_transactions: 20 }`. */
  readonly settings?: Settings
}

/** The options with their defaults. */
export interface ResolvedOptions {
  readonly replicas: number
  readonly dataDir: string | undefined
  readonly port: number | undefined
  readonly roles: readonly RoleName[]
  readonly database: string
  readonly settings: Settings
}

const KNOWN = ['replicas', 'dataDir', 'port', 'roles', 'database', 'settings']

/** @throws SQLA_ERR_INVALID_OPTION */
export function resolveOptions(options: ClusterOptions = {}): ResolvedOptions {
  const unknown = Object.keys(options).find(name => !KNOWN.includes(name))
  if (unknown !== undefined) refuse(unknown, `is none; there are: ${KNOWN.join(', ')}`)
  const { replicas = 0, dataDir, port, roles = ROLES, database = 'app', settings = {} } = options
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > 8)
    refuse('replicas', 'must be a whole number from 0 to 8')
  if (dataDir !== undefined && (typeof dataDir !== 'string' || dataDir === ''))
    refuse('dataDir', 'must be a path')
  if (port !== undefined && (!Number.isInteger(port) || port < 1 || port > 65_535)) {
    refuse('port', 'must be a whole number from 1 to 65535')
  }
  if (!Array.isArray(roles) || roles.some(role => !ROLES.includes(role))) {
    refuse('roles', `must be an array of ${ROLES.join(', ')}`)
  }
  if (typeof database !== 'string' || !/^[a-z_][a-z0-9_]{0,62}$/.test(database)) {
    refuse('database', 'must be a lower-case SQL identifier')
  }
  if (typeof settings !== 'object' || settings === null)
    refuse('settings', 'must be an object of names and values')
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[a-z_][a-z0-9_.]*$/i.test(name))
      refuse(`settings.${name}`, 'must be the name of a PostgreSQL setting')
    if (!['string', 'number', 'boolean'].includes(typeof value) || /[\r\n]/.test(String(value))) {
      refuse(`settings.${name}`, 'must be a string, number or boolean on one line')
    }
    if (name.toLowerCase() === 'port') refuse('settings.port', 'is set by the option port')
  }
  return { replicas, dataDir, port, roles: [...new Set(roles)], database, settings }
}

function refuse(option: string, problem: string): never {
  throw new core.SQLA_ERR_INVALID_OPTION(option, problem)
}
