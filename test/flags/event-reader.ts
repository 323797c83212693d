import { Agent, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** One server-sent event, or a comment. */
export interface ServerEvent {
  readonly id?: string
  readonly event?: string
  readonly data?: { version: number; complete?: boolean; flags?: { name: string }[]; gone?: string[] }
  readonly comment?: true
}

/** What a client of `GET /flags/events` gets. */
export interface EventReader {
  readonly response: IncomingMessage
  /** The next event that is not a comment. */
  next(): Promise<ServerEvent>
  readonly comments: () => number
  /** When the response has ended: how. */
  readonly ended: Promise<'end' | 'cut'>
  abort(): void
}

/** Opens `GET /flags/events` on a socket of its own. */
export async function readEvents(
  app: FastifyInstance,
  headers: Record<string, string> = {},
): Promise<EventReader> {
  const { port } = app.server.address() as AddressInfo
  // As browsers do: the connection is kept for the next request.
  const agent = new Agent({ keepAlive: true })
  const sent = request({ port, host: '127.0.0.1', path: '/flags/events', headers, agent }).end()
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).once('error', reject)
  })
  sent.on('error', () => {})
  const events: ServerEvent[] = []
  const waiting: ((event: ServerEvent) => void)[] = []
  let comments = 0
  let rest = ''
  response.setEncoding('utf8').on('data', (chunk: string) => {
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      if (block.startsWith(':')) comments++
      const fields = Object.fromEntries(block.split('\n').map(line => line.split(/: (.*)/s, 2)))
      if (fields.event === undefined) continue
      const event = { ...fields, data: JSON.parse(fields.data) } as ServerEvent
      const waiter = waiting.shift()
      if (waiter === undefined) events.push(event)
      else waiter(event)
    }
  })
  return {
    response,
    next: async () => events.shift() ?? new Promise(resolve => waiting.push(resolve)),
    comments: () => comments,
    ended: new Promise(resolve => {
      response.once('end', () => resolve('end')).once('error', () => resolve('cut'))
    }),
    abort: () => void response.destroy(),
  }
}
