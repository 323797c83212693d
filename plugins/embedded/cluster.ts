import { errors } from './errors.ts'
import type { RoleName } from './roles.ts'

/** One PostgreSQL server of a cluster. */
export interface EmbeddedServer {
  /** `primary`, `replica1`, `replica2`…; a standby's `application_name` and, as `sqlassist_<name>`, its slot. */
  readonly name: string
  /** TCP port on 127.0.0.1. It stays the same over stop, kill and start. */
  readonly port: number
  /** URL of the superuser `postgres`. */
  readonly url: string
  /** Process id of the postmaster; undefined when the server is down. */
  readonly pid: number | undefined
  /**
   * Starts a server that was stopped or killed; resolves when it accepts connections.
   *
   * @throws SQLA_ERR_EMBEDDED_START with the last lines of the server's log
   */
  start(): Promise<void>
  /** Shuts the server down in good order (a "fast" shutdown): its clients are disconnected. */
  stop(): Promise<void>
  /** SIGKILL for the postmaster and every backend: a crash. `start()` recovers. */
  kill(): Promise<void>
  /**
   * Freezes the postmaster and every backend (SIGSTOP): connections stay open, new ones are accepted by the
   * system, nobody answers.
   *
   * @throws SQLA_ERR_EMBEDDED_STOPPED when the server is down, SQLA_ERR_EMBEDDED_UNSUPPORTED on Windows
   */
  pause(): Promise<void>
  /** Thaws a frozen server. */
  unpause(): Promise<void>
  /** What the server logged since the cluster started, without passwords. */
  log(): Promise<string>
}

/** A streaming hot standby. */
export interface EmbeddedReplica extends EmbeddedServer {
  /** Goes on receiving WAL but applies none: its data stands still. Resolves when replay has stopped. */
  pauseReplay(): Promise<void>
  /** Applies WAL again. */
  resumeReplay(): Promise<void>
  /** Makes it a primary of its own, on a new timeline; resolves when it accepts writes. */
  promote(): Promise<void>
  /** Streams from another server from now on, as after a failover. Resolves when it does. */
  follow(server: EmbeddedServer): Promise<void>
  /**
   * Resolves when everything that the server it follows had written at the time of the call is visible here.
   *
   * @param ms milliseconds to wait at most; default 30000
   * @throws SQLA_ERR_EMBEDDED_REPLICATION when that time is over
   */
  caughtUp(ms?: number): Promise<void>
}

/** A role of the cluster: its name, or the part behind `app_`. */
export type RoleLike = RoleName | 'reader' | 'writer' | 'logger'

/** A running primary with its standbys. */
export interface EmbeddedCluster extends AsyncDisposable {
  readonly primary: EmbeddedServer
  readonly replicas: readonly EmbeddedReplica[]
  /**
   * @param role `app_reader`, `app_writer`, `app_logger`, or without `app_`
   * @param server default: the first replica for `app_reader` when there is one, else the primary
   * @returns the role's URL, password included
   * @throws SQLA_ERR_EMBEDDED_UNKNOWN_ROLE when the cluster was started without that role
   */
  url(role: RoleLike, server?: EmbeddedServer): string
  /** Ends every server and removes everything that is temporary. A second call waits for the first. */
  stop(): Promise<void>
}

/** The full name of a role that the cluster has. */
export function roleNamed(role: string, roles: readonly RoleName[]): RoleName {
  const found = roles.find(name => name === role || name === `app_${role}`)
  if (found) return found
  throw new errors.SQLA_ERR_EMBEDDED_UNKNOWN_ROLE(role, roles.join(', ') || 'none')
}
