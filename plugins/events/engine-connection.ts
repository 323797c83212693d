import { AsyncLocalStorage } from 'node:async_hooks'
import { CompiledQuery } from 'kysely'
import type { Engine } from '../../src/index.ts'

/** Runs one statement. @param parameters numbered as the database does it (`$1`) */
export type Ask = <Row>(sql: string, parameters?: readonly unknown[]) => Promise<Row[]>

/**
 * Runs something as if nobody had called it. What lives longer than a request must not keep that request's context alive,
 * nor become part of a transaction that is open in it.
 */
export const outside = AsyncLocalStorage.snapshot()

/**
 * Lends a connection of an engine's pool for a few statements that commit by themselves, whatever transaction is open
 * where this is called. It goes wherever the engine is now, and a connection on which the server has fallen silent is
 * thrown away: by the engine when that knows, and after `patience` by us.
 *
 * @param patience how long `work` may take, in milliseconds
 * @throws SQLA_ERR_POOL_TIMEOUT
 */
export async function onConnection<R>(
  engine: Engine,
  patience: number,
  work: (ask: Ask) => Promise<R>,
): Promise<R> {
  const lease = await engine.pool.acquire()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    lease.release(true)
    late.reject(Object.assign(new RangeError(`no answer within ${patience} ms`), { code: 'ETIMEDOUT' }))
  }, patience)
  timer.unref()
  const ask: Ask = async <Row>(sql: string, parameters: readonly unknown[] = []) => {
    const { rows } = await lease.execute<Row>(CompiledQuery.raw(sql, [...parameters]))
    return rows
  }
  try {
    return await Promise.race([late.promise, work(ask)])
  } finally {
    clearTimeout(timer)
    lease.release()
  }
}
