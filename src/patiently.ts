import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until work has ended, well or not, but not for ever: a database that is there and does not answer must keep nobody
 * from starting or ending.
 *
 * @param patience milliseconds
 */
export async function patiently(work: Promise<unknown>, patience: number): Promise<void> {
  const ended = new AbortController()
  const settled = work.catch(() => {}).finally(() => ended.abort())
  await Promise.race([settled, sleep(patience, undefined, { signal: ended.signal }).catch(() => {})])
}
