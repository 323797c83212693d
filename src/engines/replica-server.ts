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
  /** Every pool that there has been; a lease knows only its own. */
  readonly #pools = new WeakSet<ConnectionPool>()
  #open: OpenPool

  constructor(name: string, weight: number, address: Address, login: Login, template: ReplicaTemplate) {
    this.name = name
    this.weight = weight
    this.#template = template
    this.#config = { ...address, ...login }
    this.#open = this.#openPool()
  }

  get pool(): PgPool {
    return this.#open.pool
  }

  owns(pool: ConnectionPool): boolean {
    return this.#pools.has(pool)
  }

  openProbe(): ProbeClient {
    const timeout = this.#template.probeTimeout
    const { native, Client } = this.#open
    return new Client({
      ...native.options,
      ...this.#config,
      options: null,
      application_name: 'fastify-sqlassist probe',
      connectionTimeoutMillis: timeout,
    }) as ProbeClient
  }

  cut(error: Error): void {
    const old = this.#open
    this.#open = this.#openPool()
    // By then whoever was promised an idle connection has it, and nobody is forgotten in the queue of the old pool.
    setImmediate(() => {
      old.pool.abandon()
      old.pool.turnAway(error)
      void old.native.end()
      hangUp(old)
    })
  }

  async reinit(): Promise<void> {
    const old = this.#open
    this.#open = this.#openPool()
    await this.#end(old)
  }

  close(): Promise<void> {
    return this.#end(this.#open)
  }

  /** A server that does not answer does not say goodbye either: then the sockets are closed from this side alone. */
  async #end(open: OpenPool): Promise<void> {
    await this.#template.drain(open.pool)
    const timer = setTimeout(() => hangUp(open), this.#template.probeTimeout)
    await open.native.end()
    await Promise.all(
      [...open.clients].map(client => new Promise<void>(resolve => client.once('end', resolve))),
    )
    clearTimeout(timer)
  }

  #openPool(): OpenPool {
    const own = this.#template.native()
    const Pool = own.constructor as new (options: object) => PgNativePool
    const native = new Pool({ ...own.options, ...this.#config })
    const clients = new Set<PgSocketOwner>()
    this.#template.prepare(native)
    const { Client } = native
    watchClients(native as unknown as ClientFactory, clients)
    // A connection that the server has ended is thrown away; what ran on it says so itself.
    native.on('error', () => {})
    native.on('connect', client => client.on('error', () => {}))
    const pool = new PgPool(native, this.#template.context)
    this.#pools.add(pool)
    return { native, pool, Client, clients }
  }
}

interface OpenPool {
  readonly native: PgNativePool
  readonly pool: PgPool
  /** For clients that are none of the pool's: a probe outlives it. */
  readonly Client: PgNativePool['Client']
  /** Those included that are still connecting, which pg's own pool does not show. */
  readonly clients: Set<PgSocketOwner>
}

/** What we use of a client of pg to close its socket. */
interface PgSocketOwner {
  readonly connection: { readonly stream: { destroy(): void } }
  once(event: 'end', listener: () => void): unknown
}

interface ClientFactory {
  Client: new (config: object) => PgSocketOwner
}

function watchClients(native: ClientFactory, clients: Set<PgSocketOwner>): void {
  native.Client = class extends native.Client {
    constructor(config: object) {
      super(config)
      clients.add(this)
      this.once('end', () => clients.delete(this))
    }
  }
}

function hangUp({ clients }: OpenPool): void {
  for (const { connection } of clients) connection.stream.destroy()
}
