import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { changeFlag, createFlag, findFlag, removeFlag } from '../edits.ts'
import { errors } from '../errors.ts'
import type { FlagInput } from '../flag-data.ts'
import { deletedPage, editPage, newPage, purgePage } from './edit-page.ts'
import { type FlagForm, formOf, parseForm, readForm } from './form.ts'
import { editUrl, type Message, type View } from './layout.ts'
import { listQueryOf, listUrl } from './list-url.ts'
import { changedText } from './live.ts'
import {
  type Done,
  doneMessage,
  type Form,
  nameOf,
  type Query,
  redirect,
  type Site,
  send,
  versionIn,
} from './site.ts'

const MOST_BLANK_ROWS = 50

/** What makes, changes and deletes flags. */
export function addEditRoutes(app: FastifyInstance, site: Site): void {
  addNew(app, site)
  addEdit(app, site)
  addActions(app, site)
  addRemovals(app, site)
}

function addNew(app: FastifyInstance, site: Site): void {
  app.get('/new', async (request, reply) =>
    send(reply, newPage(site.viewOf(request, reply), { form: formOf({}) })),
  )

  app.post<Form>('/new', async (request, reply) => {
    const form = readForm(request.body)
    const view = site.viewOf(request, reply)
    const blankRows = moreRows(request.body)
    if (blankRows !== undefined) return send(reply, newPage(view, { form, blankRows }))
    const { change, problems } = parseForm(form, formOf({}))
    if (form.name.trim() === '') problems.name = 'A flag needs a name.'
    if (Object.keys(problems).length > 0) return send(reply.code(400), newPage(view, { form, problems }))
    const author = site.authorOf(request)
    try {
      await createFlag(site.client, { ...change, name: form.name }, author)
    } catch (error) {
      const isTaken = error instanceof errors.SQLA_ERR_FLAG_EXISTS
      if (!isTaken && !(error instanceof errors.SQLA_ERR_FLAG_INVALID)) throw error
      const text = `${error.message}.`
      const found = isTaken || /: its? (name|needs|begins)/.test(text) ? { name: text } : { form: text }
      return send(reply.code(isTaken ? 409 : 400), newPage(view, { form, problems: found }))
    }
    return redirect(reply, doneAt(editUrl(site.base, form.name), 'created'))
  })
}

function addEdit(app: FastifyInstance, site: Site): void {
  const { client, base } = site

  app.get<Query>('/edit', async (request, reply) => {
    const view = site.viewOf(request, reply)
    const flag = await findFlag(client, nameOf(request.query.name))
    const form = formOf(flag)
    const message = doneMessage(request.query)
    return send(
      reply,
      flag.deleted ? deletedPage(view, flag, form, message) : editPage(view, flag, { form, message }),
    )
  })

  app.post<Form>('/edit', async (request, reply) => {
    const view = site.viewOf(request, reply)
    const form = readForm(request.body)
    const flag = await findFlag(client, nameOf(form.name))
    const stored = formOf(flag)
    if (flag.deleted) {
      const text = 'Not saved: somebody has deleted this flag in the meantime. Restore it first.'
      return send(reply.code(409), deletedPage(view, flag, stored, { kind: 'problem', text }, form))
    }
    const expected = versionIn(request.body)
    const blankRows = moreRows(request.body)
    if (blankRows !== undefined) {
      const message: Message | undefined =
        flag.version === expected ? undefined : { kind: 'notice', text: changedText(view, flag.name) }
      return send(reply, editPage(view, { ...flag, version: expected }, { form, blankRows, message }))
    }
    if (flag.version !== expected) return conflict(site, reply, view, form)
    const { change, problems } = parseForm(form, stored)
    if (Object.keys(problems).length > 0) {
      return send(reply.code(400), editPage(view, flag, { form, problems }))
    }
    const author = site.authorOf(request)
    try {
      await changeFlag(client, flag.name, change, { expected, author })
    } catch (error) {
      if (error instanceof errors.SQLA_ERR_FLAG_CONFLICT) return conflict(site, reply, view, form)
      if (!(error instanceof errors.SQLA_ERR_FLAG_INVALID)) throw error
      return send(reply.code(400), editPage(view, flag, { form, problems: { form: `${error.message}.` } }))
    }
    return redirect(reply, doneAt(editUrl(base, flag.name), 'saved'))
  })
}

/** Somebody else was quicker: both sides are shown. */
async function conflict(
  { client }: Site,
  reply: FastifyReply,
  view: View,
  form: FlagForm,
): Promise<FastifyReply> {
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

/** Buttons that change one thing. */
function addActions(app: FastifyInstance, site: Site): void {
  const actions: Record<string, [change: Omit<FlagInput, 'name'>, done: Done]> = {
    enable: [{ enabled: true }, 'enabled'],
    disable: [{ enabled: false }, 'disabled'],
    restore: [{ deleted: false }, 'restored'],
  }
  for (const [action, [change, done]] of Object.entries(actions)) {
    app.post<Form>(`/${action}`, async (request, reply) => {
      const isOfTombstone = action === 'restore'
      const { name, ...edit } = editIn(site, request)
      await changeFlag(site.client, name, change, { ...edit, isOfTombstone })
      const url = isOfTombstone
        ? doneAt(editUrl(site.base, name), done)
        : listAfter(site, request.body, name, done)
      return redirect(reply, url)
    })
  }
}

function addRemovals(app: FastifyInstance, site: Site): void {
  app.post<Form>('/delete', async (request, reply) => {
    const { name, ...edit } = editIn(site, request)
    await removeFlag(site.client, name, false, edit)
    return redirect(reply, listAfter(site, request.body, name, 'deleted'))
  })

  app.get<Query>('/purge', async (request, reply) => {
    const view = site.viewOf(request, reply)
    return send(reply, purgePage(view, await findFlag(site.client, nameOf(request.query.name))))
  })

  app.post<Form>('/purge', async (request, reply) => {
    const { name, ...edit } = editIn(site, request)
    await removeFlag(site.client, name, true, edit)
    return redirect(reply, listUrl(site.base, { view: 'deleted' }, { name, done: 'purged' }))
  })
}

/** What the form of a button says: which flag, as it was shown, and who presses it. */
function editIn(
  site: Site,
  request: FastifyRequest<Form>,
): { name: string; expected: number; author: string | undefined } {
  return {
    name: nameOf(request.body.get('name')),
    expected: versionIn(request.body),
    author: site.authorOf(request as FastifyRequest),
  }
}

function doneAt(url: string, done: Done): string {
  return `${url}&done=${done}`
}

/** The list that a form came from, as it was looked at. */
function listAfter({ base }: Site, body: URLSearchParams, name: string, done: Done): string {
  const list = Object.fromEntries(new URLSearchParams(body.get('list') ?? ''))
  return listUrl(base, listQueryOf(list), { name, done })
}

/** How many empty rows the button "More rows" asks for. */
function moreRows(body: URLSearchParams): number | undefined {
  const rows = Number(body.get('_more') ?? Number.NaN)
  return Number.isInteger(rows) ? Math.min(Math.max(rows, 1), MOST_BLANK_ROWS) : undefined
}
