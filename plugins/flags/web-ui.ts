import { randomBytes } from 'node:crypto'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errors as core } from '../../src/index.ts'
import { type AuthorizeOptions, authorizeHook } from './authorize.ts'
import { changeFlag, createFlag, findFlag, removeFlag, searchFlags } from './edits.ts'
import { errors } from './errors.ts'
import type { FlagInput } from './flag-data.ts'
import { CsrfGuard, isSameOrigin } from './web/csrf.ts'
import { deletedPage, editPage, newPage, purgePage } from './web/edit-page.ts'
import { formOf, parseForm, readForm } from './web/form.ts'
import { html } from './web/html.ts'
import { contentSecurityPolicy, editUrl, layout, type Message, type View } from './web/layout.ts'
import { listPage } from './web/list-page.ts'

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
const MOST_BLANK_ROWS = 50

/** What the page says after the redirect; nothing of it comes from the URL but the name. */
const DONE: Readonly<Record<string, string>> = {
  created: 'Created.',
  saved: 'Saved.',
  enabled: 'Switched on.',
  disabled: 'Switched off.',
  deleted: 'Deleted. You find it among the deleted flags.',
  restored: 'Restored.',
  purged: 'Deleted for ever.',
}

type Query = { Querystring: Record<string, unknown> }
type Form = { Body: URLSearchParams }

/**
 * Pages to look at flags and to change them, under any prefix: HTML of the server, without JavaScript. Mount it behind a
 * login of yours.
 *
 * @param options `authorize`: who may, asked before everything else on every route
 * @throws SQLA_ERR_FLAG_AUTHORIZE without `authorize`, SQLA_ERR_FLAG_PLUGIN without the plugin `flags`,
 *   SQLA_ERR_INVALID_OPTION
 *
 * @example
 * ```ts
 * await app.register(flags)
 * await app.register(flagsWebUi, { prefix: '/admin/flags', authorize: request => isAdmin(request) })
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
    if (request.method === 'POST' && !isSameOrigin(request)) throw foreign()
  })
  app.addHook<Form>('preHandler', async request => {
    if (request.method === 'POST' && !guard.accepts(request, request.body?.get('_csrf') ?? ''))
      throw foreign()
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

  const viewOf = (request: FastifyRequest, reply: FastifyReply): View => ({
    base,
    token: guard.token(request, reply),
  })
  const route = { schema: { hide: true } as object }

  app.get<Query>('/', route, async (request, reply) => {
    const { q, view } = request.query
    const search = textOf(q)
    const isDeleted = view === 'deleted'
    const { flags } = await searchFlags(client, search, isDeleted)
    return send(
      reply,
      listPage(viewOf(request, reply), { flags, search, isDeleted, message: doneMessage(request.query) }),
    )
  })

  app.get('/new', route, async (request, reply) =>
    send(reply, newPage(viewOf(request, reply), { form: formOf({}) })),
  )

  app.post<Form>('/new', route, async (request, reply) => {
    const form = readForm(request.body)
    const view = viewOf(request, reply)
    const blankRows = moreRows(request.body)
    if (blankRows !== undefined) return send(reply, newPage(view, { form, blankRows }))
    const { change, problems } = parseForm(form, formOf({}))
    if (form.name.trim() === '') problems.name = 'A flag needs a name.'
    if (Object.keys(problems).length > 0) return send(reply.code(400), newPage(view, { form, problems }))
    try {
      await createFlag(client, { ...change, name: form.name })
    } catch (error) {
      const isTaken = error instanceof errors.SQLA_ERR_FLAG_EXISTS
      if (!isTaken && !(error instanceof errors.SQLA_ERR_FLAG_INVALID)) throw error
      const text = `${error.message}.`
      const found = isTaken || /: its? (name|needs|begins)/.test(text) ? { name: text } : { form: text }
      return send(reply.code(isTaken ? 409 : 400), newPage(view, { form, problems: found }))
    }
    return done(reply, editUrl(base, form.name), 'created')
  })

  app.get<Query>('/edit', route, async (request, reply) => {
    const flag = await findFlag(client, textOf(request.query.name))
    const view = viewOf(request, reply)
    const form = formOf(flag)
    const message = doneMessage(request.query)
    return send(
      reply,
      flag.deleted ? deletedPage(view, flag, form, message) : editPage(view, flag, { form, message }),
    )
  })

  app.post<Form>('/edit', route, async (request, reply) => {
    const view = viewOf(request, reply)
    const form = readForm(request.body)
    const flag = await findFlag(client, form.name)
    const stored = formOf(flag)
    if (flag.deleted) {
      const text = 'Not saved: somebody has deleted this flag in the meantime. Restore it first.'
      return send(reply.code(409), deletedPage(view, flag, stored, { kind: 'problem', text }, form))
    }
    const expected = versionIn(request.body)
    const shownFlag = { ...flag, version: expected }
    const blankRows = moreRows(request.body)
    if (blankRows !== undefined) return send(reply, editPage(view, shownFlag, { form, blankRows }))
    if (flag.version !== expected) return conflict()
    const { change, problems } = parseForm(form, stored)
    if (Object.keys(problems).length > 0) {
      return send(reply.code(400), editPage(view, flag, { form, problems }))
    }
    try {
      await changeFlag(client, flag.name, change, { expected })
    } catch (error) {
      if (error instanceof errors.SQLA_ERR_FLAG_CONFLICT) return conflict()
      if (!(error instanceof errors.SQLA_ERR_FLAG_INVALID)) throw error
      return send(reply.code(400), editPage(view, flag, { form, problems: { form: `${error.message}.` } }))
    }
    return done(reply, editUrl(base, flag.name), 'saved')

    async function conflict() {
      const now = await findFlag(client, form.name)
      const text = 'Not saved: somebody else has changed this flag while you had it open. Below are both.'
      const message: Message = { kind: 'problem', text }
      const theirs = formOf(now)
      return send(
        reply.code(409),
        now.deleted
          ? deletedPage(view, now, theirs, message, form)
          : editPage(view, now, { form, message }, theirs),
      )
    }
  })

  const actions: Record<string, [change: Omit<FlagInput, 'name'>, code: string]> = {
    enable: [{ enabled: true }, 'enabled'],
    disable: [{ enabled: false }, 'disabled'],
    restore: [{ deleted: false }, 'restored'],
  }
  for (const [action, [change, code]] of Object.entries(actions)) {
    app.post<Form>(`/${action}`, route, async (request, reply) => {
      const name = request.body.get('name') ?? ''
      const isOfTombstone = action === 'restore'
      await changeFlag(client, name, change, { expected: versionIn(request.body), isOfTombstone })
      return done(
        reply,
        isOfTombstone ? editUrl(base, name) : `${base}/?name=${encodeURIComponent(name)}`,
        code,
      )
    })
  }

  app.post<Form>('/delete', route, async (request, reply) => {
    const name = request.body.get('name') ?? ''
    await removeFlag(client, name, false, { expected: versionIn(request.body) })
    return done(reply, `${base}/?name=${encodeURIComponent(name)}`, 'deleted')
  })

  app.get<Query>('/purge', route, async (request, reply) =>
    send(reply, purgePage(viewOf(request, reply), await findFlag(client, textOf(request.query.name)))),
  )

  app.post<Form>('/purge', route, async (request, reply) => {
    const name = request.body.get('name') ?? ''
    await removeFlag(client, name, true, { expected: versionIn(request.body) })
    return done(reply, `${base}/?view=deleted&name=${encodeURIComponent(name)}`, 'purged')
  })
}

function foreign(): Error {
  return new errors.SQLA_ERR_FLAG_FORM()
}

function send(reply: FastifyReply, page: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(page)
}

function done(reply: FastifyReply, url: string, code: string): FastifyReply {
  return reply.redirect(`${url}&done=${code}`, 303)
}

function doneMessage({ done: code, name }: Record<string, unknown>): Message | undefined {
  const text = typeof code === 'string' && Object.hasOwn(DONE, code) ? DONE[code] : undefined
  return text === undefined
    ? undefined
    : { kind: 'success', text: html`<strong>${textOf(name)}</strong> – ${text}` }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Every form has one; without it nobody can tell what was looked at. */
function versionIn(body: URLSearchParams): number {
  const text = body.get('version') ?? ''
  if (!/^\d{1,15}$/.test(text)) throw foreign()
  return Number(text)
}

/** How many empty rows the button "More rows" asks for. */
function moreRows(body: URLSearchParams): number | undefined {
  const rows = Number(body.get('_more') ?? Number.NaN)
  return Number.isInteger(rows) ? Math.min(Math.max(rows, 1), MOST_BLANK_ROWS) : undefined
}
