import { randomBytes } from 'node:crypto'
import type { FastifyError, FastifyInstance, FastifyRequest, FastifySchema } from 'fastify'
import { errors as core } from '../../src/index.ts'
import { type AuthorizeOptions, authorizeHook } from './authorize.ts'
import { errors } from './errors.ts'
import { CsrfGuard, isSameOrigin } from './web/csrf.ts'
import { addEditRoutes } from './web/edit-routes.ts'
import { addHistoryRoutes } from './web/history-routes.ts'
import { html } from './web/html.ts'
import { contentSecurityPolicy, layout } from './web/layout.ts'
import { addListRoutes } from './web/list-routes.ts'
import { addLiveUpdates } from './web/live.ts'
import { type Form, type Site, send } from './web/site.ts'

/** Options of the pages. */
export interface FlagsWebUiOptions extends AuthorizeOptions {
  /**
   * Signs the tokens of the forms; at least 32 characters. Processes behind one address need the same one. Default: a
   * random one, so that a form that was open when the process began again must be opened again.
   */
  readonly secret?: string
}

/** Longer forms are refused: bytes. */
const BODY_LIMIT = 1_048_576

/**
 * Pages to look at flags and to change them, under any prefix: HTML of the server, which works without JavaScript; with it
 * an open page hears of what others change. Mount it behind a login of yours.
 *
 * @param options `authorize`: who may, asked before everything else on every route; `author`: who it is, for the history
 * @throws SQLA_ERR_FLAG_AUTHORIZE without `authorize`, SQLA_ERR_FLAG_PLUGIN without the plugin `flags`,
 *   SQLA_ERR_INVALID_OPTION
 *
 * @example
 * ```ts
 * await app.register(flags)
 * await app.register(flagsWebUi, { prefix: '/admin/flags', authorize: isAdmin, author: request => request.user.name })
 * ```
 */
export async function flagsWebUi(app: FastifyInstance, options: FlagsWebUiOptions): Promise<void> {
  const authorize = authorizeHook('flagsWebUi', options)
  if (!app.hasDecorator('flags')) throw new errors.SQLA_ERR_FLAG_PLUGIN('flagsWebUi')
  const { secret = randomBytes(32).toString('hex') } = options
  if (typeof secret !== 'string' || secret.length < 32) {
    throw new core.SQLA_ERR_INVALID_OPTION('secret', 'must have at least 32 characters')
  }
  const base = app.prefix.replace(/\/$/, '')
  const guard = new CsrfGuard(secret, base === '' ? '/' : base)
  const { flags: client } = app

  // Forms and nothing else, whatever the application reads elsewhere.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_LIMIT },
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
    if (request.method === 'POST' && !isSameOrigin(request)) throw new errors.SQLA_ERR_FLAG_FORM()
  })
  app.addHook<Form>('preHandler', async request => {
    if (request.method === 'POST' && !guard.accepts(request, request.body?.get('_csrf') ?? ''))
      throw new errors.SQLA_ERR_FLAG_FORM()
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    // What `authorize` and Fastify throw is for the application to answer.
    if (!error.code?.startsWith('SQLA_ERR_FLAG_')) throw error
    if ((error.statusCode ?? 500) >= 500) request.log.error({ err: error }, 'the page of the flags failed')
    const text =
      error.statusCode === 409 ? `${error.message}. Look at it again, then decide.` : `${error.message}.`
    return send(
      reply.code(error.statusCode ?? 500),
      layout(base, {
        title: 'Not done',
        message: { kind: 'problem', text },
        content: html`<h1>Not done</h1><p><a href="${base}/">Back to the flags</a></p>`,
      }),
    )
  })

  const site: Site = {
    base,
    client,
    viewOf: (request, reply) => ({
      base,
      token: guard.token(request, reply),
      seen: client.snapshot.version,
    }),
    authorOf: request => options.author?.(request),
  }
  addListRoutes(app, site)
  addEditRoutes(app, site)
  addHistoryRoutes(app, site)
  addLiveUpdates(app)
}
