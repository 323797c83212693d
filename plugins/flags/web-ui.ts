import { randomBytes } from 'node:crypto'
import type { FastifyError, FastifyInstance } from 'fastify'
import { errors as core } from '../../src/index.ts'
import { CsrfGuard } from '../web/csrf.ts'
import { html } from '../web/html.ts'
import { protectPages } from '../web/protected-pages.ts'
import { type AuthorizeOptions, authorizeFlags } from './authorize.ts'
import { errors } from './errors.ts'
import { addEditRoutes } from './web/edit-routes.ts'
import { addHistoryRoutes } from './web/history-routes.ts'
import { contentSecurityPolicy, layout } from './web/layout.ts'
import { addListRoutes } from './web/list-routes.ts'
import { addLiveUpdates } from './web/live.ts'
import { type Site, send } from './web/site.ts'

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
  const authorize = authorizeFlags('flagsWebUi', options)
  if (!app.hasDecorator('flags')) throw new errors.SQLA_ERR_FLAG_PLUGIN('flagsWebUi')
  const { secret = randomBytes(32).toString('hex') } = options
  if (typeof secret !== 'string' || secret.length < 32) {
    throw new core.SQLA_ERR_INVALID_OPTION('secret', 'must have at least 32 characters')
  }
  const base = app.prefix.replace(/\/$/, '')
  const guard = new CsrfGuard('sqlassist_flags', secret, base === '' ? '/' : base)
  const { flags: client } = app

  protectPages(app, {
    contentSecurityPolicy,
    authorize,
    guard,
    bodyLimit: BODY_LIMIT,
    forged: () => new errors.SQLA_ERR_FLAG_FORM(),
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
