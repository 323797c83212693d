import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Records } from './records.ts'

/** What a `change` event says. Without an id there were several. */
type Change = Parameters<Parameters<Records['onChange']>[0]>[0]

/** Milliseconds in which changes of a kind become one event. */
const WINDOW = 200
/** Milliseconds between two comments, which show whether anybody is still there. */
const HEARTBEAT = 15_000
/** Bytes that wait for a client that does not read; then it is cut off. */
const MOST_WAITING = 65_536
const MOST_CLIENTS = 50
/** Milliseconds that a client has to take the end, when the application closes. */
const GRACE = 500
/** Milliseconds after which a browser comes again. */
const RETRY = 2_000

/**
 * Adds `GET /events`: server-sent events (HTML standard, 9.2) of what is recorded. `change` says what has changed, not how: who
 * hears of it asks again. `ready` says that from now on nothing is missed.
 */
export function addLive(app: FastifyInstance, records: Records): void {
  const clients = new Set<Client>()
  let stop: (() => void) | undefined
  let isClosed = false

  app.get('/events', { exposeHeadRoute: false }, async (_request, reply) => {
    // A browser takes this for an answer, and does not come again.
    if (clients.size >= MOST_CLIENTS) return reply.code(204).send()
    const client = new Client(reply.raw)
    reply.raw.once('close', () => client.stream.destroy())
    client.stream.once('close', () => {
      clients.delete(client)
      if (clients.size > 0) return
      stop?.()
      stop = undefined
    })
    clients.add(client)
    stop ??= start(records, clients)
    client.write(`retry: ${RETRY}\n\nevent: ready\ndata: {}\n\n`)
    if (isClosed) void client.end()
    reply.headers({ 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' })
    return reply.type('text/event-stream').send(client.stream)
  })
  app.addHook('preClose', async () => {
    isClosed = true
    await Promise.all([...clients].map(client => client.end()))
  })
}

/** One listener and one heartbeat for all clients, and none without clients. */
function start(records: Records, clients: ReadonlySet<Client>): () => void {
  const pending = new Map<Change['kind'], Change>()
  let timer: NodeJS.Timeout | undefined
  const tell = (): void => {
    timer = undefined
    for (const change of pending.values()) {
      for (const client of clients) client.write(`event: change\ndata: ${JSON.stringify(change)}\n\n`)
    }
    pending.clear()
  }
  const stop = records.onChange(change => {
    const before = pending.get(change.kind)
    const isSame = before === undefined || before.id === change.id
    pending.set(change.kind, isSame ? change : { kind: change.kind })
    timer ??= setTimeout(tell, WINDOW).unref()
  })
  const heartbeat = setInterval(() => {
    for (const client of clients) client.write(':\n\n')
  }, HEARTBEAT).unref()
  return () => {
    stop()
    clearTimeout(timer)
    clearInterval(heartbeat)
  }
}

/** Somebody who listens. */
export class Client {
  readonly stream = new Readable({ read() {} })
  readonly #response: ServerResponse
  #isEnded = false

  constructor(response: ServerResponse) {
    this.#response = response
  }

  write(text: string): void {
    if (this.stream.destroyed || this.#isEnded) return
    const waiting = this.stream.readableLength + this.#response.writableLength
    if (waiting > MOST_WAITING) this.stream.destroy()
    else this.stream.push(text)
  }

  /** @returns when the client has taken the end, or has had the time to */
  async end(): Promise<void> {
    if (!this.#isEnded) this.stream.push(null)
    this.#isEnded = true
    if (this.#response.closed || this.#response.destroyed) return
    const timer = setTimeout(() => this.#response.destroy(), GRACE)
    await once(this.#response, 'close')
    clearTimeout(timer)
  }
}
