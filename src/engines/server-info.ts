import type { ServerInfo } from '../observe/messages.ts'
import type { Backend, PooledConnection } from './connection-pool.ts'
import type { SqlOrm } from './orm.ts'

/** The name of an engine's own server, beside those of its replicas. */
export const OWN_SERVER = 'primary'

/** One of an engine's open connections. */
export interface EngineConnection extends PooledConnection {
  /** The replica's name; `primary` for the engine's own server. */
  readonly server: string
}

/**
 * The server behind a connection, for messages and pages.
 *
 * @param replica the replica's name; undefined for the engine's own server
 * @param backend what the driver knows of it; where that is nothing, the configuration counts
 */
export function serverInfoOf(orm: SqlOrm, replica: string | undefined, backend: Backend): ServerInfo {
  const { config } = orm
  return {
    name: replica ?? OWN_SERVER,
    isReplica: replica !== undefined,
    host: backend.host ?? config.get('host'),
    port: backend.port ?? config.get('port'),
    database: backend.database ?? config.get('dbName'),
    processId: backend.processId,
  }
}
