import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Teardown } from '../support/cluster.ts'

// A TCP proxy before PostgreSQL that loses the connection around a COMMIT.

/** Where it cuts: before COMMIT reaches the server, while the server commits, or when the answer is on its way back. */
export type CutPoint = 'before' | 'during' | 'after'

export interface CuttingProxy {
  /** The URL of the same database, through the proxy. */
  url(original: string): string
  /**
   * Cuts the next connection that sends COMMIT; once.
   *
   * @param text what it must send instead, anywhere in its message
   */
  cutNext(point: CutPoint, text?: string): void
  /** Refuses connections, or takes them again. */
  refuse(refused: boolean): void
  /** From the next cut on nobody is answered any more, on whatever connection; `false`: until now. */
  fallSilent(silent: boolean): void
  /** The server notices at last that those who were cut are gone. */
  forget(): void
  /** How many connections were cut. */
  readonly cuts: number
}

/** @param target a URL of the server */
export async function cuttingProxy(t: Teardown, target: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const leftBehind: Socket[] = []
  let point: CutPoint | undefined
  let wanted: string | undefined
  let isRefusing = false
  let fallsSilent = false
  let isSilent = false
  let cuts = 0
  const server = createServer(client => {
    if (isRefusing) {
      client.destroy()
      return
    }
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    let isCut = false
    let cutsAnswer = false
    const cut = (): void => {
      isCut = true
      isSilent = fallsSilent
      cuts++
      leftBehind.push(upstream)
      client.resetAndDestroy()
    }
    client.on('data', data => {
      if (isCut || isSilent) return
      const isCommit =
        point !== undefined && (wanted === undefined ? isQuery(data, 'commit') : data.includes(wanted))
      if (!isCommit) {
        upstream.write(data)
        return
      }
      const at = point
      point = undefined
      if (at === 'before') {
        // The server keeps its side open: it has noticed nothing.
        cut()
        return
      }
      upstream.write(data)
      if (at === 'during') cut()
      else cutsAnswer = true
    })
    upstream.on('data', data => {
      if (cutsAnswer) cut()
      if (!isCut) client.write(data)
    })
    client.on('close', () => {
      if (!isCut) upstream.end()
    })
    upstream.on('close', () => client.end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return {
    url(original) {
      const url = new URL(original)
      url.hostname = '127.0.0.1'
      url.port = String((server.address() as AddressInfo).port)
      return url.href
    },
    cutNext(at, text) {
      point = at
      wanted = text
    },
    refuse(refused) {
      isRefusing = refused
    },
    fallSilent(silent) {
      fallsSilent = silent
      if (!silent) isSilent = false
    },
    forget() {
      for (const socket of leftBehind.splice(0)) socket.destroy()
    },
    get cuts() {
      return cuts
    },
  }
}

/** A message of the simple protocol: `Q`, its length, its text. */
function isQuery(data: Buffer, begin: string): boolean {
  return data[0] === 0x51 && data.toString('latin1', 5, 5 + begin.length).toLowerCase() === begin
}
