import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/**
 * A load of HTTP requests over kept-alive connections, one request at a time on each. Written by hand over `net`:
 * it shares two cores with the server and PostgreSQL, and a full client costs more than the server that it measures.
 */
export class Load {
  readonly #connections: Connection[]

  private constructor(connections: Connection[]) {
    this.#connections = connections
  }

  static async connect(port: number, connections: number): Promise<Load> {
    const sockets = Array.from({ length: connections }, () =>
      connect({ port, host: '127.0.0.1', noDelay: true }),
    )
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    return new Load(sockets.map(socket => new Connection(socket)))
  }

  /**
   * Sends `count` requests, as many at a time as there are connections.
   *
   * @param requests are taken in turns
   * @param status what each must be answered with
   * @returns how long it took, in milliseconds
   */
  async run(requests: readonly Buffer[], count: number, status: number): Promise<number> {
    let sent = 0
    const next = (): Buffer | undefined => (sent < count ? requests[sent++ % requests.length] : undefined)
    const begin = performance.now()
    await Promise.all(this.#connections.map(connection => connection.run(next, String(status))))
    return performance.now() - begin
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}

class Connection {
  readonly #socket: Socket
  #answered: (answer: Buffer) => void = () => {}
  #failed: (error: Error) => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#answered(chunk))
    socket.on('error', error => this.#failed(error))
    socket.on('close', () => this.#failed(new Error('the server closed a connection')))
  }

  run(next: () => Buffer | undefined, status: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#failed = reject
      let received: Buffer | undefined
      const send = (): void => {
        const request = next()
        if (request === undefined) resolve()
        else this.#socket.write(request)
      }
      this.#answered = chunk => {
        received = received === undefined ? chunk : Buffer.concat([received, chunk])
        if (!isComplete(received)) return
        if (received.toString('latin1', 9, 12) === status) {
          received = undefined
          send()
        } else {
          reject(new Error(`expected ${status}, received: ${received.toString()}`))
        }
      }
      send()
    })
  }

  close(): void {
    this.#failed = () => {}
    this.#socket.destroy()
  }
}

const LENGTH = 'content-length: '

/** Whether a whole answer is there. Fastify tells the length of all that is sent here. */
function isComplete(received: Buffer): boolean {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd === -1) return false
  const head = received.toString('latin1', 0, headEnd)
  const length = Number.parseInt(head.slice(head.indexOf(LENGTH) + LENGTH.length), 10)
  return received.length >= headEnd + 4 + length
}

/** A request as its bytes. */
export function request(method: string, path: string, body?: unknown): Buffer {
  const head = `${method} ${path} HTTP/1.1\r\nhost: bench\r\n`
  if (body === undefined) return Buffer.from(`${head}\r\n`)
  const json = JSON.stringify(body)
  return Buffer.from(
    `${head}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  )
}
