import { randomBytes } from 'node:crypto'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Authorize, authorizeHook } from '../web/authorize.ts'
import { CsrfGuard } from '../web/csrf.ts'
import { html } from '../web/html.ts'
import { protectPages } from '../web/protected-pages.ts'
import { buttonCss } from './button.ts'
import { errors } from './errors.ts'
import { addLive } from './live.ts'
import { whyNotLocal } from './local-only.ts'
import { addPages, type Site } from './pages/index.ts'
import { noticePage } from './pages/layout.ts'

const BODY_LIMIT = 16_384

const contentSecurityPolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

/** What the context of the pages is made from. */
export interface WebUiOptions extends Omit<Site, 'tokenOf'> {
  /** Who may; undefined: this machine. */
  readonly authorize: Authorize | 'none' | undefined
}

/** All routes of the toolbar, in a context of their own: who may, headers, forms, errors, pages. */
export function addWebUi(app: FastifyInstance, { authorize, ...site }: WebUiOptions): void {
  const { base } = site
  const guard = new CsrfGuard('sqlassist_toolbar', randomBytes(32).toString('hex'), base)
  protectPages(app, {
    contentSecurityPolicy,
    authorize: authorize === undefined ? localOnly : authorizeHook(authorize, refusals),
    guard,
    bodyLimit: BODY_LIMIT,
    forged: () => new errors.SQLA_ERR_TOOLBAR_FORM(),
  })
  const refuse = (reply: FastifyReply, status: number, title: string, text: string) =>
    reply
      .code(status)
      .type('text/html; charset=utf-8')
      .send(noticePage(base, title, html`${text}`))
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    // What `authorize` and Fastify throw is for the application to answer.
    if (!error.code?.startsWith('SQLA_ERR_TOOLBAR_')) throw error
    return refuse(reply, error.statusCode ?? 500, 'Not done', `${error.message}.`)
  })
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, 'Not found', 'There is no such page.'))
  app.get('/button.css', async (_request, reply) =>
    reply.header('cache-control', 'private, max-age=86400').type('text/css; charset=utf-8').send(buttonCss),
  )
  addLive(app, site.records)
  addPages(app, { ...site, tokenOf: (request, reply) => guard.token(request, reply) })
}

const refusals = {
  missing: () => new errors.SQLA_ERR_TOOLBAR_AUTHORIZE(),
  forbidden: () => new errors.SQLA_ERR_TOOLBAR_FORBIDDEN('`authorize` says so'),
}

async function localOnly(request: FastifyRequest): Promise<void> {
  const reason = whyNotLocal(request)
  if (reason !== undefined) throw new errors.SQLA_ERR_TOOLBAR_FORBIDDEN(reason)
}
