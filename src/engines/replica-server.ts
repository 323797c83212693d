import type { Address, Login } from './addresses.ts'
import type { ConnectionPool, PoolContext } from './connection-pool.ts'
import { type PgNativePool, PgPool } from './pg-pool.ts'
import type { ProbeClient } from './probe.ts'
import type { ReplicaServer } from './replica-set.ts'

/** What all replicas of an engine have in common. */
export interface ReplicaTemplate {
  /** The engine's own pool: those of the replicas have its options, but for address and login. */
  readonly native: () => PgNativePool
  readonly context: PoolContext
  readonly probeTimeout: number
  /** Does to a pool what is done to the engine's own. */
  prepare(pool: PgNativePool): void
  /** Waits until nobody holds a connection of a pool, and cuts what is left when patience ends. */
  drain(pool: ConnectionPool): Promise<void>
}

/** A pool on a replica, beside the one MikroORM: the entities' metadata is there once for all of them. */
export class PgReplicaServer implements ReplicaServer {
  readonly name: string
  readonly weight: number
  readonly #template: ReplicaTemplate
  readonly #config: Address & Login
  #native: PgNativePool
  #pool: PgPool

  constructor(name: string, weight: number, address: Address, login: Login, template: ReplicaTemplate) {
    this.name = name
    this.weight = weight
    this.#template = template
    this.#config = { ...address, ...login }
    this.#native = this.#openNative()
    this.#pool = new PgPool(this.#native, template.context)
  }

  get pool(): PgPool {
    return this.#pool
  }

  openProbe(): ProbeClient {
    const timeout = this.#template.probeTimeout
    return new this.#native.Client({
      ...this.#native.options,
      ...this.#config,
      options: undefined,
      application_name: 'fastify-sqlassist probe',
      connectionTimeoutMillis: timeout,
    }) as ProbeClient
  }

  async reinit(): Promise<void> {
    const oldNative = this.#native
    const oldPool = this.#pool
    this.#native = this.#openNative()
    this.#pool = new PgPool(this.#native, this.#template.context)
    await this.#end(oldPool, oldNative)
  }

  close(): Promise<void> {
    return this.#end(this.#pool, this.#native)
  }

  async #end(pool: PgPool, native: PgNativePool): Promise<void> {
    await this.#template.drain(pool)
    await native.end()
  }

  #openNative(): PgNativePool {
    const own = this.#template.native()
    const Pool = own.constructor as new (options: object) => PgNativePool
    const pool = new Pool({ ...own.options, ...this.#config })
    this.#template.prepare(pool)
    // A connection that the server has ended is thrown away; what ran on it says so itself.
    pool.on('error', () => {})
    pool.on('connect', client => client.on('error', () => {}))
    return pool
  }
}
