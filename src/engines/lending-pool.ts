import { errors } from '../errors.ts'
import { type Listed, LiveList } from '../live-list.ts'
import type { ConnectionPool, Lease, PoolContext, PooledConnection, PoolFigures } from './connection-pool.ts'

/** A connection of a pool that keeps a list of those that it has lent. */
export interface ListedLease extends Lease, Listed {}

/** What a driver answers when it is asked for a connection: that, or an error. */
export type Settle = (error: unknown, lease?: ListedLease) => void

/**
 * The part of a pool that is the same for every driver: who holds a connection and who waits for one. It puts a
 * limit on waiting, and a connection that arrives after its waiter gave up goes back at once.
 */
export abstract class LendingPool implements ConnectionPool {
  protected readonly context: PoolContext
  readonly #held = new LiveList<ListedLease>()
  #waiting = 0
  /** Those who may wait for long: what each of them is to be told when it is in vain. */
  readonly #waiters = new Set<(error: Error) => void>()
  #idleWaiters: (() => void)[] = []

  constructor(context: PoolContext) {
    this.context = context
  }

  /** Asks the driver for a connection. */
  protected abstract take(settle: Settle): void
  /** Whether `take` may be answered later than with the next tick: spares the timer where it cannot. */
  protected abstract mayWait(): boolean
  protected abstract readonly max: number | undefined
  protected abstract readonly unused: number | undefined

  acquire(): Promise<Lease> {
    const refusal = this.context.refuse?.()
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise<Lease>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      let gaveUp = false
      const giveUp = (error: Error): void => {
        gaveUp = true
        clearTimeout(timer)
        this.#waiters.delete(giveUp)
        reject(error)
        this.#waiting--
        this.#settleIdle()
      }
      this.#waiting++
      this.take((error, lease) => {
        if (gaveUp) {
          lease?.release()
          return
        }
        this.#waiting--
        if (timer !== undefined) {
          clearTimeout(timer)
          this.#waiters.delete(giveUp)
        }
        if (lease === undefined) {
          reject(this.context.onConnectError === undefined ? error : this.context.onConnectError(error))
          this.#settleIdle()
        } else {
          lease.lentAt = performance.now()
          this.#held.add(lease)
          resolve(lease)
        }
      })
      if (this.mayWait()) {
        timer = setTimeout(() => giveUp(this.#timeout()), this.context.acquireTimeout)
        this.#waiters.add(giveUp)
      }
    })
  }

  figures(): PoolFigures {
    return { used: this.#held.size, waiting: this.#waiting, max: this.max, idle: this.unused }
  }

  connections(): PooledConnection[] {
    const held = [...this.#held].map(lease => ({
      processId: lease.backend.processId,
      inUse: true,
      since: lease.lentAt,
    }))
    const isHeld = new Set(held.map(({ processId }) => processId))
    const idle = this.idleBackends().filter(({ processId }) => !isHeld.has(processId))
    return [...held, ...idle.map(({ processId }) => ({ processId, inUse: false, since: undefined }))]
  }

  /** The connections that nobody holds, as far as the driver tells. (Those that somebody holds may be among them.) */
  protected idleBackends(): Pick<PooledConnection, 'processId'>[] {
    return []
  }

  /** To be called by a lease when it is given back. */
  returned(lease: ListedLease): void {
    this.#held.delete(lease)
    this.#settleIdle()
  }

  /** To be called by a lease with an error of a statement; answers what is to be thrown. */
  statementError(error: unknown): unknown {
    return this.context.onStatementError === undefined ? error : this.context.onStatementError(error)
  }

  idle(): Promise<void> {
    if (this.#held.size === 0 && this.#waiting === 0) return Promise.resolve()
    return new Promise(resolve => this.#idleWaiters.push(resolve))
  }

  abandon(): void {
    for (const lease of this.#held) lease.release(true)
  }

  close(): void {}

  turnAway(error: Error): void {
    for (const giveUp of [...this.#waiters]) giveUp(error)
  }

  #timeout(): Error {
    const { used, max, waiting } = this.figures()
    return new errors.SQLA_ERR_POOL_TIMEOUT(
      this.context.engine,
      this.context.acquireTimeout,
      `${used}${max === undefined ? '' : ` of ${max}`} in use, ${waiting} waiting`,
    )
  }

  #settleIdle(): void {
    if (this.#idleWaiters.length === 0 || this.#held.size > 0 || this.#waiting > 0) return
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const resolve of waiters) resolve()
  }
}
