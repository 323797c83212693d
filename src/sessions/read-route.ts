import type { Lease, Trailer } from '../engines/connection-pool.ts'
import type { Engine } from '../engines/engine.ts'
import type { Replica, ReplicaSet } from '../engines/replica-set.ts'
import { OWN_SERVER } from '../engines/server-info.ts'
import { errors } from '../errors.ts'
import { routes } from '../observe/channels.ts'
import type { DiagnosticScope } from '../observe/messages.ts'
import { isRecoveryConflict, isServerFailure } from '../routing/failures.ts'
import { type Position, reaches } from '../routing/position.ts'
import { type Causality, PRIMARY_POSITION, primaryPosition } from './causality.ts'
import type { ConnectionContext } from './connection.ts'

/** Behind a read: how far the replica has replayed by now, so no less than what the read has seen. */
const REPLICA_POSITION = 'select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() end::text as lsn'

/**
 * Where the reads of one session go. One replica serves a request as long as it can; once the request has written,
 * it is the primary.
 */
export class ReadRoute implements ConnectionContext {
  readonly name: string
  readonly readOnly = true
  readonly #engine: Engine
  readonly #set: ReplicaSet
  readonly #causality: Causality
  readonly #scope: DiagnosticScope
  #replica: Replica | undefined
  /** What it had to have when it was chosen. */
  #required: Position | undefined
  /** Replicas that have failed this request. */
  #failed: Replica[] = []
  /** Whether the primary has failed it, too: it gets one more chance. */
  #primaryFailed = false
  #hasRead = false
  /** Leases whose answer is not worth anything: the server was not where we believed it to be. */
  #doubtful: WeakSet<Lease> | undefined

  /** @param scope who reads, for diagnostics */
  constructor(engine: Engine, set: ReplicaSet, causality: Causality, scope: DiagnosticScope) {
    this.#scope = scope
    this.name = engine.name
    this.#engine = engine
    this.#set = set
    this.#causality = causality
  }

  get engine(): Engine {
    return this.#engine
  }

  get begin(): readonly string[] {
    return this.#engine.begin
  }

  get pool(): { acquire(): Promise<Lease> } {
    return this
  }

  /**
   * A connection to a server that has what this request must see.
   *
   * @throws SQLA_ERR_POOL_TIMEOUT, SQLA_ERR_NO_REPLICA, SQLA_ERR_PRIMARY_UNAVAILABLE
   */
  async acquire(): Promise<Lease> {
    while (!this.#needsPrimary) {
      const wanted = this.#wanted
      const picked = this.#pick(wanted)
      const replica = picked ?? (wanted && (await this.#waitFor(wanted)))
      if (replica === undefined) break
      const isNew = this.#replica !== replica
      // Before anything is waited for: what the request reads at the same time goes to the same replica.
      if (this.#replica !== replica) this.#required = wanted
      this.#replica = replica
      try {
        const lease = await replica.server.pool.acquire()
        this.#causality.context.figures.reads.replica++
        if (routes.hasSubscribers) this.#tellReplica(replica, isNew, picked === undefined)
        this.#hasRead = true
        if (this.#isTracking) lease.trailer = this.#behindReplica
        return lease
      } catch (error) {
        if (!isServerFailure(error)) throw error
        this.#leave(replica)
      }
    }
    return this.#fromPrimary()
  }

  /**
   * Whether a statement outside a transaction is to be run again, on another server: this one failed, or it turned
   * out not to have what the request must see.
   */
  repeats(lease: Lease, error?: unknown): boolean {
    const failed =
      error === undefined ? this.#doubtful?.has(lease) : isServerFailure(error) || isRecoveryConflict(error)
    const replica = this.#set.find(lease.pool)
    if (replica === undefined) {
      // A primary that went away in the middle: another try finds a replica, its successor, or that there is none.
      if (this.#primaryFailed || !(error instanceof errors.SQLA_ERR_PRIMARY_UNAVAILABLE)) return false
      this.#primaryFailed = true
      return true
    }
    if (!failed) return false
    this.#leave(replica)
    this.#causality.context.figures.repeated++
    return true
  }

  get #isTracking(): boolean {
    return this.#causality.isTracking && this.#causality.consistency !== 'eventual'
  }

  get #needsPrimary(): boolean {
    const { system } = this.#set.primary
    if (this.#causality.consistency === 'primary') return true
    if (system !== undefined && this.#causality.hasWritten(system)) return true
    if (this.#isTracking && this.#causality.distrusts && this.#set.primary.isPresent) return true
    // Without positions, only the primary is certainly not behind the replica that has just failed.
    return this.#failed.length > 0 && this.#hasRead && !this.#isTracking && this.#set.primary.isPresent
  }

  get #wanted(): Position | undefined {
    const { system } = this.#set.primary
    return system === undefined || !this.#isTracking ? undefined : this.#causality.wanted(system)
  }

  /** The replica of this request, as long as it can serve it; else another one. */
  #pick(wanted: Position | undefined): Replica | undefined {
    const replica = this.#replica
    return replica !== undefined && this.#set.canServe(replica, wanted)
      ? replica
      : this.#set.pick(wanted, this.#failed)
  }

  async #waitFor(wanted: Position): Promise<Replica | undefined> {
    this.#causality.context.figures.waited++
    await this.#set.catchUp(wanted, this.#failed)
    return this.#pick(wanted)
  }

  #leave(replica: Replica): void {
    this.#failed = [...this.#failed, replica]
    if (this.#replica === replica) this.#replica = undefined
    this.#set.suspect(replica)
  }

  async #fromPrimary(): Promise<Lease> {
    if (this.#set.routing.onUnavailable === 'error' && !this.#needsPrimary) {
      throw new errors.SQLA_ERR_NO_REPLICA(this.name, this.#set.summary())
    }
    const lease = await this.#engine.pool.acquire()
    if (routes.hasSubscribers) this.#tell(OWN_SERVER, this.#whyPrimary)
    this.#causality.context.figures.reads.primary++
    this.#replica = undefined
    this.#hasRead = true
    if (this.#isTracking) lease.trailer = this.#behindPrimary
    return lease
  }

  #tell(server: string, reason: string): void {
    const { source } = this.#engine
    routes.publish({ source, scope: this.#scope, engine: this.name, server, reason })
  }

  #tellReplica(replica: Replica, isNew: boolean, hasWaited: boolean): void {
    const has = this.#required === undefined ? '' : ' that has what this client must see'
    const reason = hasWaited
      ? 'waited until a replica had what this client must see'
      : !isNew
        ? 'the replica of this request'
        : this.#failed.length > 0
          ? `another replica${has}, after ${this.#failed.map(({ server }) => server.name).join(', ')} failed`
          : `the least busy replica${has}`
    this.#tell(replica.server.name, reason)
  }

  /** Why a read goes to the primary, for people; in the order in which it is decided. */
  get #whyPrimary(): string {
    const { system } = this.#set.primary
    if (this.#causality.consistency === 'primary') return "consistency is 'primary'"
    if (system !== undefined && this.#causality.hasWritten(system)) return 'this request has written'
    if (this.#needsPrimary) {
      return this.#failed.length > 0
        ? 'a replica failed, and only the primary is certainly not behind it'
        : 'the token of this client cannot be trusted'
    }
    return this.#set.hasOnline ? 'no replica has what this client must see' : 'no replica is online'
  }

  /** Asked behind what is read from a replica. */
  readonly #behindReplica: Trailer = {
    sql: REPLICA_POSITION,
    receive: ({ lsn }, lease) => {
      const replica = this.#set.find(lease.pool)
      const position = lsn === null ? undefined : replica?.hasReplayed(lsn as string)
      const required = this.#required
      const isBehind = required !== undefined && (position === undefined || !reaches(position, required))
      if (lsn === null || isBehind) {
        this.#doubtful ??= new WeakSet()
        this.#doubtful.add(lease)
      } else if (position !== undefined) {
        this.#causality.note(position)
      }
    },
  }

  /** Asked behind what is read from the primary. */
  readonly #behindPrimary: Trailer = {
    sql: PRIMARY_POSITION,
    receive: row => {
      const { system } = this.#set.primary
      const position = system === undefined ? undefined : primaryPosition(system, row)
      if (position === undefined) void this.#set.primary.check()
      else this.#causality.note(position)
    },
  }
}
