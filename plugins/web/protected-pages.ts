import type { FastifyInstance, FastifyRequest, FastifySchema, onRequestAsyncHookHandler } from 'fastify'
import { type CsrfGuard, isSameOrigin } from './csrf.ts'

/** What {@link protectPages} needs to know. */
export interface Protection {
  readonly contentSecurityPolicy: string
  /** Who may, asked before everything but the headers. */
  readonly authorize: onRequestAsyncHookHandler
  /** Knows the tokens of the forms, which are in their field `_csrf`. */
  readonly guard: CsrfGuard
  /** Longer forms are refused: bytes. */
  readonly bodyLimit: number
  /** What a form that is not of these pages is answered with. */
  forged(): Error
}

/**
 * Makes a context one of pages with forms: it reads nothing else, is shown in no other site's frame, is kept by no cache, and takes
 * forms of its own alone. To be called before its routes are added.
 *
 * @param app a context of its own: what is set here is set for all of its routes
 *
 * @example
 * ```ts
 * protectPages(app, { contentSecurityPolicy, authorize, guard, bodyLimit: 10_000, forged: () => new errors.SQLA_ERR_FLAG_FORM() })
 * ```
 */
export function protectPages(app: FastifyInstance, protection: Protection): void {
  const { contentSecurityPolicy, authorize, guard, bodyLimit, forged } = protection
  // Forms and nothing else, whatever the application reads elsewhere.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit },
    async (_request: FastifyRequest, body: string) => new URLSearchParams(body),
  )
  // These are no routes for programs.
  app.addHook('onRoute', route => {
    route.schema = { ...route.schema, hide: true } as FastifySchema
  })
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({
      'content-security-policy': contentSecurityPolicy,
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      // Not 'no-referrer': with that browsers do not say where a form was.
      'referrer-policy': 'same-origin',
      'cache-control': 'no-store',
    })
  })
  app.addHook('onRequest', authorize)
  app.addHook('onRequest', async request => {
    if (request.method === 'POST' && !isSameOrigin(request)) throw forged()
  })
  app.addHook<{ Body: URLSearchParams | undefined }>('preHandler', async request => {
    if (request.method === 'POST' && !guard.accepts(request, request.body?.get('_csrf') ?? '')) throw forged()
  })
}
