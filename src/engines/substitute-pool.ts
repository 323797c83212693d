import { errors } from '../errors.ts'
import type { ConnectionPool, Lease } from './connection-pool.ts'
import type { Engine } from './engine.ts'

/** What takes the place of an engine's own connections, as the shared transaction of a test does. */
export interface SubstitutePool extends Pick<ConnectionPool, 'figures' | 'connections'> {
  /**
   * @param scope the same object for whatever one request or scope asks for; undefined for what belongs to none
   */
  acquire(scope?: SubstituteScope): Promise<Lease>
  /** Called when the engine is closed, before its own connections are. */
  close(): Promise<void>
}

/** Who asks for a connection. */
export interface SubstituteScope {
  /** As a message names it: `POST /notes`. */
  label(): string
}

/**
 * Lends an engine's sessions the connections of `pool` instead of its own. Until it ends, nothing of the engine is routed to
 * replicas, makes causal tokens, asks for lost outcomes, or commits in two phases: its own servers have no part in what is done.
 * Sessions that are open keep what they hold.
 *
 * @param engine of `app.sqlAssist.engines`
 * @returns ends it: sessions that are opened afterwards have the engine's own connections again
 * @throws SQLA_ERR_CLOSED when the engine has not been started, or has been closed; SQLA_ERR_INVALID_OPTION when it has a substitute
 *
 * @example
 * ```ts
 * const restore = substitutePool(app.sqlAssist.engines.get('writer'), pool)
 * ```
 */
export function substitutePool(engine: Engine, pool: SubstitutePool): () => void {
  if (engine.substitute !== undefined) {
    throw new errors.SQLA_ERR_INVALID_OPTION(
      `substitutePool('${engine.name}')`,
      'it has a substitute already; end that one before',
    )
  }
  // Throws when there is none to stand in for.
  void engine.pool
  engine.substitute = pool
  return () => {
    if (engine.substitute === pool) engine.substitute = undefined
  }
}
