import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { partsOf } from './parts.ts'
import type { ControlRoom } from './room.ts'

/** Milliseconds between two messages: however much happens, a page is told five times a second. */
const PACE = 200
/** Pages that are told at the same time. The next one is as good without. */
const MOST = 100

/** Server-sent events: the parts of the page that have changed, and which statements went where. */
export function addStream(app: FastifyInstance, room: ControlRoom): void {
  let open = 0
  const ending = new AbortController()
  app.get('/live', { exposeHeadRoute: false, schema: { hide: true } }, async (_request, reply) => {
    if (open >= MOST) return reply.code(204).send()
    const gone = new AbortController()
    open++
    reply.raw.once('close', () => {
      open--
      gone.abort()
    })
    // The connection ends with the stream, so that closing the application does not wait for it to be used again.
    reply.type('text/event-stream').headers({ 'cache-control': 'no-store', connection: 'close' })
    return Readable.from(messages(AbortSignal.any([gone.signal, ending.signal])))
  })
  app.addHook('preClose', async () => ending.abort())

  async function* messages(signal: AbortSignal): AsyncGenerator<string> {
    yield 'retry: 2000\n\n'
    const unwatch = room.watch()
    const shown = new Map<string, string>()
    let seen = room.feed.lastSent
    try {
      while (!signal.aborted) {
        // From here on: what changes while the message is made or taken belongs to the next one.
        const change = room.change(signal)
        // Nobody waits for it where the reader leaves before.
        change.catch(() => {})
        const parts = Object.entries(partsOf(room)).filter(([name, html]) => shown.get(name) !== html)
        for (const [name, html] of parts) shown.set(name, html)
        const flow = room.feed.sentSince(seen)
        seen = room.feed.lastSent
        const states = Object.fromEntries(room.servers().map(({ name, state }) => [name, state]))
        const message = { parts: Object.fromEntries(parts), states, flow, version: room.version }
        if (parts.length > 0 || flow.length > 0) yield `data: ${JSON.stringify(message)}\n\n`
        await Promise.all([change, sleep(PACE, undefined, { signal })])
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      unwatch()
    }
  }
}
