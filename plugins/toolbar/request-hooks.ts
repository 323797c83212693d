import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Recorder } from './recorder.ts'

/**
 * Tells a recorder of every request of an application, but not of those of the toolbar. Callback hooks that return at once, because
 * every request passes them.
 *
 * @param base where the toolbar is
 */
export function addRecording(app: FastifyInstance, recorder: Recorder, base: string): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (isOwn(request, base)) {
      recorder.ignore(request)
    } else {
      recorder.begin(request)
      // The one event that every kind of ending has.
      reply.raw.once('close', () => {
        const { raw } = reply
        recorder.end(request, raw.headersSent ? raw.statusCode : undefined)
      })
    }
    done()
  })
}

function isOwn({ url, routeOptions }: FastifyRequest, base: string): boolean {
  const path = routeOptions.url ?? url.split('?', 1)[0] ?? ''
  return path === base || path.startsWith(`${base}/`)
}
