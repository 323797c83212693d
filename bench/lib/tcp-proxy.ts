import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP proxy before a database. */
export interface TcpProxy {
  /** The URL of the database, through the proxy. */
  readonly url: string
  close(): Promise<void>
}

/** @param link joins the two ends of a connection, each of which may still end the other */
export async function startTcpProxy(
  databaseUrl: string,
  link: (client: Socket, database: Socket) => void,
): Promise<TcpProxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, client => {
    const database = connect({ port: Number(target.port), host: target.hostname, noDelay: true })
    link(client, database)
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(from)
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
