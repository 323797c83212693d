import type { Logger } from '../logger.ts'
import { replicaTransitions } from '../observe/channels.ts'
import { choose } from '../routing/choice.ts'
import type { Lag, PrimaryHistory } from '../routing/lag.ts'
import { type Position, parseLsn, reaches } from '../routing/position.ts'
import type { ReplicaState } from '../routing/replica-state.ts'
import type { Routing } from '../routing/routing-options.ts'
import type { ConnectionPool, PooledConnection } from './connection-pool.ts'
import { Monitor } from './monitor.ts'
import type { Primary } from './primary.ts'
import { Probe, type ProbeClient, type Reading } from './probe.ts'
import { messageOf, redact } from './redact.ts'

/** One replica as `engines.get('reader').replicas` shows it. */
export interface ReplicaInfo {
  readonly name: string
  readonly state: ReplicaState
  /** Why it is not online. */
  readonly reason: string | undefined
  readonly weight: number
  /** How far it is behind the primary; undefined when it does not answer. */
  readonly lag: Lag | undefined
  /** What it had replayed when it was last asked. */
  readonly position: Position | undefined
  /** Connections in use, and requests that wait for one. */
  readonly inUse: number
  readonly waiting: number
}

/** A server that an engine may read from, and the connections to it. */
export interface ReplicaServer {
  readonly name: string
  readonly weight: number
  readonly pool: ConnectionPool
  openProbe(): ProbeClient
  /** Whether a pool is, or once was, the one to this server. */
  owns(pool: ConnectionPool): boolean
  /** The server is down: whoever uses it or waits for it is told, and no connection of that time is used again. */
  cut(error: Error): void
  /** A fresh pool at once, while the old one is drained. */
  reinit(): Promise<void>
  close(): Promise<void>
}

/** One server of a {@link ReplicaSet}. */
export class Replica {
  readonly server: ReplicaServer
  readonly monitor: Monitor
  state: ReplicaState = 'down'
  reason: string | undefined = 'it has not been asked yet'
  lag: Lag | undefined
  /** The furthest that it is known to have replayed since it was started. */
  position: Position | undefined
  #replayed: { readonly text: string; readonly at: Position } | undefined

  constructor(server: ReplicaServer, monitor: Monitor) {
    this.server = server
    this.monitor = monitor
  }

  get weight(): number {
    return this.server.weight
  }

  get load(): number {
    const { used, waiting } = this.server.pool.figures()
    return used + waiting
  }

  /**
   * A read has brought along what it has replayed by now.
   *
   * @param text the LSN as PostgreSQL writes it
   * @returns undefined when nothing is known of the server to go with it
   */
  hasReplayed(text: string): Position | undefined {
    const known = this.position
    // While nobody writes it is the same again and again.
    if (this.#replayed?.text === text && this.#replayed.at === known) return known
    if (known === undefined) return undefined
    const lsn = parseLsn(text)
    if (lsn < known.lsn) return { ...known, lsn }
    this.position = lsn === known.lsn ? known : { ...known, lsn }
    this.#replayed = { text, at: this.position }
    return this.position
  }
}

/** Milliseconds that a replica may take at the start to have what the primary had. */
const MOMENT = 300

/** The replicas of one engine: how each of them is, and which of them serves a read. */
export class ReplicaSet {
  readonly primary: Primary
  readonly routing: Routing
  readonly #engine: string
  readonly #log: Logger
  readonly #source: object
  readonly #replicas: readonly Replica[]
  #online: readonly Replica[] = []
  #hasStarted = false

  constructor(
    engine: string,
    servers: readonly ReplicaServer[],
    primary: Primary,
    routing: Routing,
    log: Logger,
    source: object,
  ) {
    this.#source = source
    this.#engine = engine
    this.primary = primary
    this.routing = routing
    this.#log = log
    this.#replicas = servers.map(server => {
      const probe = new Probe(() => server.openProbe(), routing.probe.timeout)
      const replica: Replica = new Replica(
        server,
        new Monitor(
          probe,
          routing.probe.interval,
          () => this.#evaluate(replica),
          () => {
            replica.position = undefined
          },
        ),
      )
      return replica
    })
    primary.onChange(() => {
      for (const replica of this.#replicas) this.#evaluate(replica)
    })
  }

  /**
   * Asks every replica for the first time. One that is down does not keep the application from starting; one that is a
   * moment behind gets that moment, so that it is not taken for one that is late (see {@link lagOf}).
   */
  async start(): Promise<void> {
    const { reading: primary } = this.primary
    await Promise.all(
      this.#replicas.map(async ({ monitor }) => {
        await monitor.check()
        if (primary === undefined || monitor.reading === undefined) return
        await monitor.until(({ position }) => reaches(position, primary.position), MOMENT)
      }),
    )
    this.#hasStarted = true
    for (const replica of this.#replicas) this.#evaluate(replica)
  }

  /** What is known of each server. */
  list(): ReplicaInfo[] {
    return this.#replicas.map(({ server, state, reason, lag, position, weight }) => {
      const { used, waiting } = server.pool.figures()
      return { name: server.name, state, reason, weight, lag, position, inUse: used, waiting }
    })
  }

  /** The pools of all servers. */
  pools(): ConnectionPool[] {
    return this.#replicas.map(({ server }) => server.pool)
  }

  /** The connections to all servers. */
  connections(): (PooledConnection & { readonly server: string })[] {
    return this.#replicas.flatMap(({ server }) =>
      server.pool.connections().map(connection => ({ server: server.name, ...connection })),
    )
  }

  /** The replica that a pool leads to; undefined for the primary's. */
  find(pool: ConnectionPool): Replica | undefined {
    return this.#replicas.find(({ server }) => server.owns(pool))
  }

  /** Whether any of them serves reads. */
  get hasOnline(): boolean {
    return this.#online.length > 0
  }

  /** For messages: who is in which state, and why. */
  summary(): string {
    return this.#replicas
      .map(
        ({ server, state, reason }) =>
          `${server.name} is ${state}${reason === undefined ? '' : ` (${reason})`}`,
      )
      .join('; ')
  }

  /** Whether a replica is online and has replayed `wanted`. */
  canServe(replica: Replica, wanted: Position | undefined): boolean {
    return replica.state === 'online' && (wanted === undefined || hasReached(replica, wanted))
  }

  /**
   * A replica that can serve a read now.
   *
   * @param wanted what it must have replayed
   * @param except those that have just failed
   */
  pick(wanted: Position | undefined, except: readonly Replica[]): Replica | undefined {
    let candidates = this.#online
    if (except.length > 0) candidates = candidates.filter(replica => !except.includes(replica))
    if (wanted !== undefined) candidates = candidates.filter(replica => hasReached(replica, wanted))
    return choose(candidates)
  }

  /**
   * Waits until a replica has replayed `wanted`: as long as the options allow, and not at all when none can; one on a
   * later timeline never will.
   */
  async catchUp(wanted: Position, except: readonly Replica[]): Promise<void> {
    const able = this.#online.filter(
      ({ position }) =>
        position !== undefined && position.system === wanted.system && position.timeline <= wanted.timeline,
    )
    const candidates = able.filter(replica => !except.includes(replica))
    if (candidates.length === 0 || this.routing.wait === 0) return
    await new Promise<void>(resolve => {
      let open = candidates.length
      for (const { monitor } of candidates) {
        void monitor
          .until(({ position }) => reaches(position, wanted), this.routing.wait)
          .then(reached => {
            open--
            if (reached || open === 0) resolve()
          })
      }
    })
  }

  /** Somebody saw it fail: it is asked at once, and not waited for. */
  suspect(replica: Replica): void {
    void replica.monitor.check()
  }

  async reinit(): Promise<void> {
    await Promise.all(this.#replicas.map(({ server }) => server.reinit()))
  }

  async close(): Promise<void> {
    for (const { monitor } of this.#replicas) monitor.stop()
    await Promise.all(this.#replicas.map(({ server }) => server.close()))
  }

  #evaluate(replica: Replica): void {
    if (!this.#hasStarted) return
    const { reading, failure } = replica.monitor
    if (reading === undefined) {
      // Without a failure either it is being asked right now.
      if (failure === undefined) return
      replica.lag = undefined
      this.#turn(replica, 'down', messageOf(failure))
      return
    }
    const { position } = reading
    const { system } = this.primary
    const timeline = this.primary.reading?.position.timeline
    if (isNewer(position, replica.position)) replica.position = position
    const { maxLag } = this.routing
    const lag = lagOf(reading, (replica.position as Position).lsn, this.primary.history)
    replica.lag = lag
    if (!reading.standby) this.#turn(replica, 'draining', 'it is no standby: it accepts writes')
    else if (system !== undefined && position.system !== system) {
      this.#turn(replica, 'down', "it replays another cluster than the primary's")
    } else if (timeline !== undefined && position.timeline !== timeline) {
      this.#turn(
        replica,
        'lagging',
        `it replays timeline ${position.timeline}, and the primary writes timeline ${timeline}`,
      )
    } else if (lag.ms > maxLag.ms) this.#turn(replica, 'lagging', `it is more than ${maxLag.ms} ms behind`)
    else if (lag.bytes > maxLag.bytes)
      this.#turn(replica, 'lagging', `it is more than ${maxLag.bytes} bytes behind`)
    else this.#turn(replica, 'online', undefined)
  }

  #turn(replica: Replica, state: ReplicaState, reason: string | undefined): void {
    const from = replica.state
    replica.reason = reason === undefined ? undefined : redact(reason)
    if (from === state) return
    replica.state = state
    this.#online = this.#replicas.filter(one => one.state === 'online')
    if (replicaTransitions.hasSubscribers) {
      replicaTransitions.publish({
        source: this.#source,
        engine: this.#engine,
        replica: replica.server.name,
        from,
        to: state,
        reason: replica.reason,
      })
    }
    const line = {
      engine: this.#engine,
      replica: replica.server.name,
      from,
      to: state,
      reason: replica.reason,
    }
    if (state === 'online') this.#log.info(line, 'a replica serves reads')
    else this.#log.warn(line, 'a replica serves no reads')
    // What waits for an answer that does not come fails now, and is asked elsewhere.
    if (state === 'down') replica.server.cut(goneError(replica))
  }
}

/**
 * An application that has just started knows nothing of the time before. There the age of what was replayed last
 * stands in, though it is too much where nobody had written for long.
 */
function lagOf({ replayedAgo = 0 }: Reading, lsn: bigint, history: PrimaryHistory): Lag {
  const lag = history.lagOf(lsn, performance.now())
  return lag.bytes === 0 || history.covers(lsn) ? lag : { ...lag, ms: Math.max(lag.ms, replayedAgo) }
}

function goneError({ server, reason }: Replica): Error {
  return Object.assign(new Error(`replica ${server.name} is down: ${reason}`), { code: 'ECONNABORTED' })
}

function hasReached({ position }: Replica, wanted: Position): boolean {
  return position !== undefined && reaches(position, wanted)
}

/** A standby goes only forward while it runs; on another timeline the count is another one. */
function isNewer(now: Position, before: Position | undefined): boolean {
  return (
    before === undefined ||
    before.system !== now.system ||
    before.timeline !== now.timeline ||
    before.lsn < now.lsn
  )
}
