import type {
  Engine,
  PooledConnection,
  PoolFigures,
  SubstitutePool,
  SubstituteScope,
} from '../../src/index.ts'
import { errors } from './errors.ts'
import type { SharedConnection } from './shared-connection.ts'
import { SharedLease } from './shared-lease.ts'

/** What an engine's sessions take their connections from while a test has the database to itself. */
export class SharedPool implements SubstitutePool {
  readonly engine: Engine
  readonly #shared: SharedConnection
  readonly #onClose: () => Promise<void>
  readonly #held = new Set<SharedLease>()
  #waiting = 0

  /** @param onClose called when the engine is closed */
  constructor(engine: Engine, shared: SharedConnection, onClose: () => Promise<void>) {
    this.engine = engine
    this.#shared = shared
    this.#onClose = onClose
  }

  /** @throws SQLA_ERR_TEST_OVER, SQLA_ERR_TEST_BUSY, SQLA_ERR_TEST_ENDED */
  async acquire(
    scope: SubstituteScope = { label: () => `engine '${this.engine.name}'` },
  ): Promise<SharedLease> {
    const { name, readOnly, acquireTimeout } = this.engine
    this.#shared.assertUsable(name, scope)
    const { turns } = this.#shared
    const tooLate = (holder: SubstituteScope) =>
      new errors.SQLA_ERR_TEST_BUSY(scope.label(), acquireTimeout, name, holder.label())
    this.#waiting++
    try {
      await turns.enter(scope, acquireTimeout, tooLate)
    } finally {
      this.#waiting--
    }
    try {
      // It may have ended meanwhile.
      this.#shared.assertUsable(name, scope)
    } catch (error) {
      turns.leave()
      throw error
    }
    const lease = new SharedLease(this.#shared, name, readOnly, released => {
      this.#held.delete(released)
      turns.leave()
    })
    this.#held.add(lease)
    return lease
  }

  figures(): PoolFigures {
    return { used: this.#held.size, waiting: this.#waiting, max: undefined, idle: undefined }
  }

  connections(): PooledConnection[] {
    const { processId } = this.#shared.lease.backend
    const [lease] = this.#held
    return [{ processId, inUse: lease !== undefined, since: lease?.lentAt }]
  }

  close(): Promise<void> {
    return this.#onClose()
  }
}
