import { connect, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'

/** What we use of a connected client of `pg` to stop what it is doing. */
export interface CancellableClient {
  readonly host: string
  readonly port: number
  readonly ssl?: unknown
  readonly sslNegotiation?: string
  readonly processID: number | null
  readonly secretKey: number | null
}

const SSL_REQUEST = 80877103
const CANCEL_REQUEST = 80877102

/**
 * Asks the server to stop what a client's connection is doing, with the protocol's own message for it (PostgreSQL,
 * "Canceling Requests in Progress"): on a connection of its own to where that client is connected, and with that
 * client's secret. So it can hit nobody else, wherever the engine's connections go by now; and a pooler, whose
 * clients have no backend that `pg_cancel_backend` could name, passes it on. Never rejects.
 *
 * @param patience milliseconds
 * @returns whether it is over for certain: a request that was sent and not answered may still take effect later
 */
export function requestCancel(client: CancellableClient, patience: number): Promise<boolean> {
  const { processID, secretKey } = client
  if (processID === null || secretKey === null) return Promise.resolve(true)
  return new Promise(resolve => {
    let isSent = false
    let hasAnswered = false
    const socket = open(client)
    const timer = setTimeout(() => socket.destroy(), patience)
    const send = (stream: Socket): void => {
      isSent = true
      stream.write(message(CANCEL_REQUEST, processID, secretKey))
    }
    // The server says nothing: that it closes the connection is its answer.
    const watch = (stream: Socket): void => {
      stream.on('error', () => {})
      stream.on('end', () => {
        hasAnswered = true
      })
      stream.resume()
    }
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(hasAnswered || !isSent)
    })
    socket.on('error', () => {})
    socket.once('connect', () => {
      if (!client.ssl) {
        watch(socket)
        send(socket)
      } else if (client.sslNegotiation === 'direct') {
        encrypt(['postgresql'])
      } else {
        socket.once('data', answer => {
          if (answer.toString('latin1') === 'S') encrypt()
          else socket.destroy()
        })
        socket.write(message(SSL_REQUEST))
      }
    })

    function encrypt(protocols?: string[]): void {
      const secure = connectTls({
        ...(typeof client.ssl === 'object' ? (client.ssl as ConnectionOptions) : {}),
        socket,
        ...(isIP(client.host) === 0 ? { servername: client.host } : {}),
        ...(protocols === undefined ? {} : { ALPNProtocols: protocols }),
      })
      secure.once('secureConnect', () => send(secure))
      watch(secure)
      // A handshake that fails leaves the socket open.
      secure.on('close', () => socket.destroy())
    }
  })
}

/** A host that is a directory has the server's socket in it. */
function open({ host, port }: CancellableClient): Socket {
  return host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
}

function message(...words: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 + 4 * words.length)
  for (const [index, word] of [buffer.length, ...words].entries()) buffer.writeInt32BE(word, 4 * index)
  return buffer
}
