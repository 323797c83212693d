import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** A proxy before a database that counts what applications ask it. */
export interface CountingProxy extends TcpProxy {
  /** Messages of the applications so far, without those of logging in, and without probes. */
  readonly messages: number
}

/** The connections on which routing asks servers how they are, as often whatever the load is. */
const PROBE = 'fastify-sqlassist probe'
const PASSWORD = 'p'.charCodeAt(0)

export async function startCountingProxy(databaseUrl: string): Promise<CountingProxy> {
  let messages = 0
  const proxy = await startTcpProxy(databaseUrl, (client, database) => {
    client.on(
      'data',
      counter(() => messages++),
    )
    client.pipe(database)
    database.pipe(client)
  })
  return {
    ...proxy,
    get messages() {
      return messages
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
