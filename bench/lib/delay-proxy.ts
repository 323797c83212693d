import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A PostgreSQL that is one network away. */
export interface DelayProxy {
  /** The URL of the database, through the proxy. */
  readonly url: string
  close(): Promise<void>
}

/**
 * A TCP proxy before a database that holds back everything for `delay` milliseconds, in both directions. Node's
 * timers tick in whole milliseconds, so it is a little more: the bench measures how much and says so.
 */
export async function startDelayProxy(databaseUrl: string, delay: number): Promise<DelayProxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, client => {
    const database = connect({ port: Number(target.port), host: target.hostname, noDelay: true })
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(from)
      from.on('data', delayed(to, delay))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(databaseUrl)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
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
