import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { FastifyReply } from 'fastify'
import { errors } from '../errors.ts'

/**
 * What Fastify would refuse to send after our COMMIT: the client would get a 500 for what has been saved. So
 * it is refused before.
 *
 * @throws SQLA_ERR_INVALID_RESPONSE
 */
export function assertSendable(reply: FastifyReply, payload: unknown): void {
  if (!isBody(payload)) {
    throw new errors.SQLA_ERR_INVALID_RESPONSE(
      `the payload is a ${typeof payload} after the onSend hooks; it must be a string, a Buffer or a stream`,
    )
  }
  const headers = reply.getHeaders()
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    try {
      validateHeaderName(name)
      for (const one of Array.isArray(value) ? value : [value]) validateHeaderValue(name, String(one))
    } catch (cause) {
      throw new errors.SQLA_ERR_INVALID_RESPONSE(
        `the header '${name}' has a character that HTTP does not allow`,
        {
          cause,
        },
      )
    }
  }
}

/** A stream of Node's or of the Web's: its bytes are made after COMMIT, with the sessions still usable. */
export function isStream(payload: unknown): boolean {
  if (typeof payload !== 'object' || payload === null) return false
  return 'pipe' in payload || 'getReader' in payload || isResponse(payload)
}

/** A handler may return a `Response`, which brings its own status. */
export function statusOf(reply: FastifyReply, payload: unknown): number {
  return isResponse(payload) ? payload.status : reply.statusCode
}

/** What `reply.send` ends in takes nothing else; a `Response` can be sent once. */
function isBody(payload: unknown): boolean {
  if (payload === undefined || payload === null || typeof payload === 'string') return true
  if (isResponse(payload)) return payload.body === null || !payload.bodyUsed
  return Buffer.isBuffer(payload) || isStream(payload)
}

function isResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === '[object Response]'
}

/** Headers that a handler sets for what it believes to have done; they must not go out with an error. */
const SUCCESS_HEADERS = [
  'location',
  'content-location',
  'set-cookie',
  'etag',
  'last-modified',
  'cache-control',
  'expires',
  'content-disposition',
]

/** After a COMMIT that failed: Fastify keeps the headers of the answer that was not to be. */
export function removeSuccessHeaders(reply: FastifyReply): void {
  for (const name of SUCCESS_HEADERS) reply.removeHeader(name)
}
