import type { Socket } from 'node:net'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

/**
 * A PostgreSQL that is one network away: everything is held back for `delay` milliseconds, in both directions. Node's
 * timers tick in whole milliseconds, so it is a little more: the bench measures how much and says so.
 */
export function startDelayProxy(databaseUrl: string, delay: number): Promise<TcpProxy> {
  return startTcpProxy(databaseUrl, (client, database) => {
    client.on('data', delayed(database, delay))
    database.on('data', delayed(client, delay))
  })
}

function delayed(to: Socket, delay: number): (chunk: Buffer) => void {
  const waiting: { due: number; chunk: Buffer }[] = []
  const deliver = (): void => {
    const now = performance.now()
    while (waiting[0] !== undefined && waiting[0].due <= now) to.write(waiting.shift()?.chunk as Buffer)
    // A timer may come up to a millisecond early; what is not due yet waits for another one.
    if (waiting.length > 0) setTimeout(deliver, 1)
  }
  return chunk => {
    waiting.push({ due: performance.now() + delay, chunk })
    if (waiting.length === 1) setTimeout(deliver, delay)
  }
}
