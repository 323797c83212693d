import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { FlagClient } from './client.ts'
import { errors } from './errors.ts'
import type { FlagData } from './flag-data.ts'
import { plainSerializer, shown, strictValidator } from './schema-check.ts'

/** What a `change` event says. */
export interface FlagChange {
  /** Of the newest change that it tells of; also the event's id. */
  readonly version: number
  /** Whether `flags` are all that there are. */
  readonly complete: boolean
  /** The flags that are new or different. */
  readonly flags: readonly FlagData[]
  /** The names of those that are deleted. */
  readonly gone: readonly string[]
}

/** Bytes that wait for a client that does not read; then it is cut off, and resumes where it was when it comes again. */
const MOST_WAITING = 1_048_576
/** Milliseconds that a client has to take the end, when the application closes. */
const GRACE = 500
/** Milliseconds after which a browser comes again. */
const RETRY = 2_000

/**
 * Adds `GET /events`: server-sent events (HTML standard, 9.2) of what changes in `app.flags`, whoever has changed it. The
 * ids are versions: with `Last-Event-ID` a client first gets what it has missed. `ready` says that it is up to date.
 *
 * @param heartbeat milliseconds between two comments, which keep proxies from ending a silent connection
 */
export function addEvents(app: FastifyInstance, heartbeat = 15_000): void {
  const subscribers = new Set<Subscriber>()
  let stop: (() => void) | undefined
  let isClosed = false

  // One listener and one timer for all clients, and none without clients.
  const start = (client: FlagClient) => {
    let last = client.snapshot.version
    const unlisten = client.onChange(names => {
      const change = changeOf(client, names)
      const isReset = change.version < last
      last = change.version
      for (const subscriber of subscribers) subscriber.tell(change, isReset)
    })
    const timer = setInterval(() => {
      for (const subscriber of subscribers) subscriber.beat()
    }, heartbeat)
    timer.unref()
    return () => {
      unlisten()
      clearInterval(timer)
    }
  }
  const leave = (subscriber: Subscriber) => {
    subscribers.delete(subscriber)
    if (subscribers.size > 0) return
    stop?.()
    stop = undefined
  }

  app.get<{ Headers: { 'last-event-id'?: string } }>(
    '/events',
    {
      // For HEAD a stream would never be read.
      exposeHeadRoute: false,
      validatorCompiler: strictValidator,
      serializerCompiler: plainSerializer,
      schema: shown({
        tags: ['flags'],
        summary: 'Server-sent events of changes',
        headers: {
          type: 'object',
          properties: { 'last-event-id': { type: 'string', description: 'The version to go on from' } },
        },
        response: {
          200: {
            description: 'Events ready and change, whose ids are versions',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
        },
      }),
    },
    async (request, reply) => {
      const after = lastEventId(request)
      const subscriber = new Subscriber(reply.raw)
      // Fastify does it for streams that it sends; a hook of the application may send something else instead.
      reply.raw.once('close', () => subscriber.stream.destroy())
      subscriber.stream.once('close', () => leave(subscriber))
      subscribers.add(subscriber)
      stop ??= start(app.flags)
      await subscriber.greet(app.flags, after)
      if (isClosed) subscriber.end()
      reply.headers({ 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' })
      return reply.type('text/event-stream').send(subscriber.stream)
    },
  )
  app.addHook('preClose', async () => {
    isClosed = true
    await Promise.all([...subscribers].map(subscriber => subscriber.end()))
  })
}

/** One client that listens. */
class Subscriber {
  readonly stream = new Readable({ read() {} })
  readonly #response: ServerResponse
  /** What happens while the client is told what it has missed. */
  #held: FlagChange[] | undefined = []
  #seen = 0
  #isEnded = false
  #mostWaiting = MOST_WAITING

  constructor(response: ServerResponse) {
    this.#response = response
  }

  /** @param after the newest version that the client has seen; undefined: it wants to hear of what is new only */
  async greet(client: FlagClient, after: number | undefined): Promise<void> {
    let text = `retry: ${RETRY}\n\n`
    this.#seen = client.snapshot.version
    if (after !== undefined) {
      const missed = await missedBy(client, after)
      this.#seen = missed.version
      if (missed.complete || missed.flags.length > 0 || missed.gone.length > 0)
        text += eventOf('change', missed)
    }
    text += eventOf('ready', { version: this.#seen })
    // However much it has missed, it must be able to get that.
    this.#mostWaiting = MOST_WAITING + Buffer.byteLength(text)
    this.#write(text)
    const held = this.#held ?? []
    this.#held = undefined
    for (const change of held) this.tell(change, false)
  }

  tell(change: FlagChange, isReset: boolean): void {
    if (this.#held !== undefined) {
      this.#held.push(change)
    } else if (change.version > this.#seen || isReset) {
      this.#seen = change.version
      this.#write(eventOf('change', change))
    }
  }

  /** Whoever has something to read needs no sign of life. */
  beat(): void {
    if (this.stream.readableLength === 0) this.#write(':\n\n')
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

  #write(text: string): void {
    if (this.stream.destroyed || this.#isEnded) return
    const waiting = this.stream.readableLength + this.#response.writableLength
    if (waiting > this.#mostWaiting) this.stream.destroy()
    else this.stream.push(text)
  }
}

function eventOf(name: 'change' | 'ready', data: { readonly version: number }): string {
  return `id: ${data.version}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

function lastEventId(request: FastifyRequest): number | undefined {
  const id = request.headers['last-event-id']
  if (id === undefined || id === '') return undefined
  if (!/^\d{1,15}$/.test(String(id)))
    throw new errors.SQLA_ERR_FLAG_REQUEST('Last-Event-ID must be a version')
  return Number(id)
}

function changeOf(client: FlagClient, names: readonly string[]): FlagChange {
  const { version, flags } = client.snapshot
  const found = names.flatMap(name => flags.get(name)?.data ?? [])
  return { version, complete: false, flags: found, gone: names.filter(name => !flags.has(name)) }
}

async function missedBy(client: FlagClient, after: number): Promise<FlagChange> {
  try {
    const { version, flags, complete } = await client.storage.changesSince(after)
    return {
      version,
      complete,
      flags: flags.filter(({ deleted }) => !deleted),
      gone: flags.filter(({ deleted }) => deleted).map(({ name }) => name),
    }
  } catch {
    // An EventSource never comes again after an error; what this process knows serves meanwhile.
    const { version, flags } = client.snapshot
    return { version, complete: true, flags: [...flags.values()].map(({ data }) => data), gone: [] }
  }
}
