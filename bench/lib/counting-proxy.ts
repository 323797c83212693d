import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A proxy before a database that counts what applications ask it. */
export interface CountingProxy {
  /** The URL of the database, through the proxy. */
  readonly url: string
  /** Messages of the applications so far, without those of logging in, and without probes. */
  readonly messages: number
  close(): Promise<void>
}

/** The connections on which routing asks servers how they are, as often whatever the load is. */
const PROBE = 'fastify-sqlassist probe'
const PASSWORD = 'p'.charCodeAt(0)

export async function startCountingProxy(databaseUrl: string): Promise<CountingProxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let messages = 0
  const server = createServer({ noDelay: true }, client => {
    const database = connect({ port: Number(target.port), host: target.hostname, noDelay: true })
    const count = counter(() => messages++)
    client.on('data', count)
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(from)
      from.pipe(to)
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
    get messages() {
      return messages
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** PostgreSQL's protocol: the first message is a length and its text, every other one a letter, a length and its text. */
function counter(onMessage: () => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  let isProbe = false
  return chunk => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      const letters = started ? 1 : 0
      if (rest.length < letters + 4) return
      const length = letters + rest.readUInt32BE(letters)
      if (rest.length < length) return
      if (!started) isProbe = rest.subarray(0, length).includes(PROBE)
      else if (!isProbe && rest[0] !== PASSWORD) onMessage()
      started = true
      rest = rest.subarray(length)
    }
  }
}
