import type { FastifyRequest } from 'fastify'

/**
 * Whether a form came from a page of ours. Another site can make a visitor's browser post a form here, but it
 * cannot keep that browser from saying where the form was. Clients that say nothing are not browsers, and
 * nobody can trick those.
 */
export function isSameOrigin(request: FastifyRequest): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin, host } = request.headers
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
}
