import type { ConnectionPool } from './connection-pool.ts'

/**
 * Waits until nothing of a pool is lent any more, and closes it; after `timeout` by force.
 *
 * @param timeout in milliseconds
 * @param onLate is told before connections are cut
 */
export async function drain(pool: ConnectionPool, timeout: number, onLate: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>(resolve => {
    timer = setTimeout(() => resolve('late'), timeout)
  })
  const outcome = await Promise.race([pool.idle(), late])
  clearTimeout(timer)
  if (outcome === 'late') {
    onLate()
    pool.abandon()
  }
  pool.close()
}
