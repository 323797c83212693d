import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { ProjectionRunner } from 'fastify-sqlassist/events'
import { readApplause } from './list.ts'
import { applauseList } from './page-view.ts'

/** Server-sent events: the list as it is, and again whenever somebody has clapped, in whichever process. */
export function addApplauseStream(app: FastifyInstance, runner: ProjectionRunner): void {
  app.get('/stream', { exposeHeadRoute: false, schema: { hide: true } }, async (_request, reply) => {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    // The connection ends with the stream, so that closing the application does not wait for it to be used again.
    reply.type('text/event-stream').headers({ 'cache-control': 'no-store', connection: 'close' })
    return Readable.from(lists(gone.signal))
  })

  async function* lists(signal: AbortSignal): AsyncGenerator<string> {
    // A browser comes back after so many milliseconds, and then first gets what it has missed.
    yield 'retry: 2000\n\n'
    let shown = await app.events.settled()
    yield await listAt(shown, signal)
    // Ends when the browser has gone, and with the log when the application closes.
    for await (const { id } of app.events.subscribe({ after: shown, signal })) {
      // Many events at once are shown together.
      if (id <= shown) continue
      shown = await app.events.settled()
      yield await listAt(shown, signal)
    }
  }

  async function listAt(position: number, signal: AbortSignal): Promise<string> {
    await runner.wait(position, { signal })
    const list = await app.sqlAssist.run(({ reader }) => readApplause(reader, app.events), {
      consistency: 'primary',
    })
    return `data: ${JSON.stringify(applauseList(list).text)}\n\n`
  }
}
