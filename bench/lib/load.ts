import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Bench } from './bench.ts'

/**
 * A load of HTTP requests over kept-alive connections, one request at a time on each. Written by hand over `net`:
 * it shares two cores with the server and PostgreSQL, and a full client costs more than the server that it measures.
 */
export class Load {
  readonly #connections: Connection[]

  private constructor(connections: Connection[]) {
    this.#connections = connections
  }

  static async connect(port: number, { connections, keepsToken }: Bench): Promise<Load> {
    const sockets = Array.from({ length: connections }, () =>
      connect({ port, host: '127.0.0.1', noDelay: true }),
    )
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    return new Load(sockets.map(socket => new Connection(socket, keepsToken ? new Cookie() : undefined)))
  }

  /**
   * Sends `count` requests of a bench, in turns, as many at a time as there are connections.
   *
   * @returns how long it took, in milliseconds
   */
  async run({ requests, status }: Bench, count: number): Promise<number> {
    const statuses = requests.map((_, index) => String(typeof status === 'number' ? status : status[index]))
    let sent = 0
    const next = (): number | undefined => (sent < count ? sent++ % requests.length : undefined)
    const begin = performance.now()
    await Promise.all(this.#connections.map(connection => connection.run(next, requests, statuses)))
    return performance.now() - begin
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}

class Connection {
  readonly #socket: Socket
  readonly #cookie: Cookie | undefined
  #answered: (answer: Buffer) => void = () => {}
  #failed: (error: Error) => void = () => {}

  constructor(socket: Socket, cookie: Cookie | undefined) {
    this.#socket = socket
    this.#cookie = cookie
    socket.on('data', (chunk: Buffer) => this.#answered(chunk))
    socket.on('error', error => this.#failed(error))
    socket.on('close', () => this.#failed(new Error('the server closed a connection')))
  }

  run(
    next: () => number | undefined,
    requests: readonly Buffer[],
    statuses: readonly string[],
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#failed = reject
      let received: Buffer | undefined
      let status: string | undefined
      const send = (): void => {
        const index = next()
        if (index === undefined) {
          resolve()
          return
        }
        const request = requests[index] as Buffer
        status = statuses[index]
        this.#socket.write(this.#cookie === undefined ? request : this.#cookie.addTo(request))
      }
      this.#answered = chunk => {
        received = received === undefined ? chunk : Buffer.concat([received, chunk])
        if (!isComplete(received)) return
        if (received.toString('latin1', 9, 12) === status) {
          this.#cookie?.takeFrom(received)
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

const SET_COOKIE = 'set-cookie: '
/** Where the headers of a request begin that `request` has made, behind its first line. */
const HEADERS = 'host: bench\r\n'

/**
 * The one cookie of a client. Before a server has set one it is as long as a causal token: a server that knows
 * nothing of tokens gets the same bytes to parse as one that does.
 */
class Cookie {
  #line = Buffer.from(`cookie: sqlassist=${'0'.repeat(56)}\r\n`)

  addTo(request: Buffer): Buffer {
    const at = request.indexOf(HEADERS)
    return Buffer.concat([request.subarray(0, at), this.#line, request.subarray(at)])
  }

  takeFrom(answer: Buffer): void {
    const at = answer.indexOf(SET_COOKIE)
    if (at === -1) return
    const pair = answer.subarray(at + SET_COOKIE.length, answer.indexOf(';', at))
    this.#line = Buffer.from(`cookie: ${pair.toString('latin1')}\r\n`)
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
  const head = `${method} ${path} HTTP/1.1\r\n${HEADERS}`
  if (body === undefined) return Buffer.from(`${head}\r\n`)
  const json = JSON.stringify(body)
  return Buffer.from(
    `${head}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  )
}
