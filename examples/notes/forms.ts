import type { FastifyInstance, FastifyRequest } from 'fastify'
import { problem } from './errors.ts'
import { isSameOrigin } from './same-origin.ts'

/** Lets the routes of one plugin take forms: those of our own pages. Others go on refusing what any site could post. */
export function acceptForms(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_request: FastifyRequest, body: string) => Object.fromEntries(new URLSearchParams(body)),
  )
  app.addHook('preValidation', async request => {
    if (request.method !== 'POST' || isSameOrigin(request)) return
    throw problem(403, 'Forms come from the pages of this service')
  })
}
