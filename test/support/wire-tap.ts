import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import type { Teardown } from './cluster.ts'

// A proxy in front of a PostgreSQL server that writes down what clients send to it.

/** One message that makes the server work: a simple query (`Q`) or a statement that is to be prepared (`P`). */
export interface TappedMessage {
  readonly server: string
  readonly kind: 'Q' | 'P'
  readonly sql: string
}

const SSL_REQUEST = 80_877_103
const PROBE = 'fastify-sqlassist probe'
/** What a pool asks once: whether its connections are read-only by themselves. */
const GUARD_QUESTION = 'select pg_backend_pid() as pid'
/** What routing, and what a COMMIT without an answer may need, puts behind a statement. */
const TRAILER = /\n;select (case|pg_current_xact_id_if_assigned\(\)).*$/s
/** The latter behind a statement with bound parameters. */
const WITNESS = 'select pg_current_xact_id_if_assigned()'
/** Nobody's statements. */
const QUESTIONS = [GUARD_QUESTION, WITNESS]

/** All servers of a cluster behind proxies that share one list. */
export class WireTap {
  readonly messages: TappedMessage[] = []
  readonly #ports = new Map<number, number>()
  readonly #sockets = new Set<Socket>()

  static async of(t: Teardown, cluster: EmbeddedCluster): Promise<WireTap> {
    const tap = new WireTap()
    await tap.#listen(t, 'primary', cluster.primary.port)
    for (const [index, { port }] of cluster.replicas.entries())
      await tap.#listen(t, `replica${index + 1}`, port)
    return tap
  }

  /** The same URL, through the proxy. */
  url(url: string): string {
    const tapped = new URL(url)
    tapped.port = String(this.#ports.get(Number(tapped.port)))
    return tapped.href
  }

  /** What was sent since the last call, without what routing adds: `server: SQL`. */
  taken(): string[] {
    return this.messages.splice(0).map(({ server, sql }) => `${server}: ${sql.replace(TRAILER, '').trim()}`)
  }

  async #listen(t: Teardown, server: string, target: number): Promise<void> {
    const proxy = createServer(client => {
      const upstream = connect(target, '127.0.0.1')
      const reader = new FrontendReader((kind, sql) => this.messages.push({ server, kind, sql }))
      for (const socket of [client, upstream]) {
        socket.setNoDelay(true)
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          upstream.destroy()
        })
      }
      client.on('data', chunk => {
        reader.read(chunk)
        upstream.write(chunk)
      })
      upstream.pipe(client)
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    this.#ports.set(target, (proxy.address() as AddressInfo).port)
    t.teardown(() => {
      for (const socket of this.#sockets) socket.destroy()
      proxy.close()
    })
  }
}

/** Cuts what a client sends into messages (PostgreSQL, "Message Formats"). */
class FrontendReader {
  readonly #onQuery: (kind: 'Q' | 'P', sql: string) => void
  #rest = Buffer.alloc(0)
  #started = false
  #isProbe = false

  constructor(onQuery: (kind: 'Q' | 'P', sql: string) => void) {
    this.#onQuery = onQuery
  }

  read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (;;) {
      // Only the startup message has no letter in front of its length.
      const head = this.#started ? 1 : 0
      if (this.#rest.length < head + 4) return
      const end = head + this.#rest.readInt32BE(head)
      if (this.#rest.length < end) return
      const message = this.#rest.subarray(0, end)
      this.#rest = this.#rest.subarray(end)
      if (this.#started) this.#take(String.fromCharCode(message[0] as number), message.subarray(5))
      else if (message.readInt32BE(4) !== SSL_REQUEST) {
        this.#started = true
        this.#isProbe = message.includes(PROBE)
      }
    }
  }

  #take(kind: string, body: Buffer): void {
    if (this.#isProbe) return
    if (kind === 'Q' && !QUESTIONS.some(question => textOf(body).startsWith(question)))
      this.#onQuery(kind, textOf(body))
    // In front of the SQL is the statement's name.
    if (kind === 'P') this.#onQuery(kind, textOf(body.subarray(body.indexOf(0) + 1)))
  }
}

function textOf(body: Buffer): string {
  return body.subarray(0, body.indexOf(0)).toString()
}
