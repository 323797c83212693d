import type { FastifyInstance, FastifyReply } from 'fastify'
import { buttonHtml, hasButton } from './button.ts'
import { whyNotLocal } from './local-only.ts'
import type { Recorder } from './recorder.ts'

/**
 * Puts the button into the HTML pages of an application.
 *
 * @param base where the toolbar is
 * @param localOnly whether only this machine may see the toolbar: others need no button
 */
export function addButton(app: FastifyInstance, recorder: Recorder, base: string, localOnly: boolean): void {
  app.addHook<unknown>('onSend', (request, reply, payload, done) => {
    const known = isPage(reply, payload) ? recorder.ofRequest(request) : undefined
    if (known === undefined || (localOnly && whyNotLocal(request) !== undefined)) {
      done(null, payload)
      return
    }
    const { entry, elapsed } = known
    const figures = { id: entry.id, elapsed, statements: entry.statements.length + entry.dropped }
    const page = inject(payload as string | Buffer, buttonHtml(base, figures))
    if (page !== undefined) reply.removeHeader('content-length')
    done(null, page ?? payload)
  })
}

/**
 * Whether a response is a page that something can be put into. An encoded one is no text any more, a stream is not there yet, a
 * part of a page (206) has its length.
 */
export function isPage(reply: FastifyReply, payload: unknown): payload is string | Buffer {
  const { statusCode, request } = reply
  return (
    (typeof payload === 'string' || Buffer.isBuffer(payload)) &&
    request.method !== 'HEAD' &&
    ![204, 206, 304].includes(statusCode) &&
    /^text\/html\s*(?:;|$)/i.test(String(reply.getHeader('content-type') ?? '')) &&
    /^(?:identity)?$/i.test(String(reply.getHeader('content-encoding') ?? ''))
  )
}

/**
 * Puts `part` before the last `</body>`.
 *
 * @param page in any encoding that has the bytes of ASCII
 * @param part HTML in ASCII
 * @returns undefined where there is no such place: a fragment, or a page that has it already
 */
export function inject(page: string | Buffer, part: string): string | Buffer | undefined {
  // One character for each byte.
  const text = typeof page === 'string' ? page : page.toString('latin1')
  const place = lastEndOfBody(text)
  if (place === undefined || hasButton(text)) return undefined
  if (typeof page === 'string') return page.slice(0, place) + part + page.slice(place)
  return Buffer.concat([page.subarray(0, place), Buffer.from(part), page.subarray(place)])
}

function lastEndOfBody(text: string): number | undefined {
  let place: number | undefined
  for (const { index } of text.matchAll(/<\/body\s*>/gi)) place = index
  return place
}
