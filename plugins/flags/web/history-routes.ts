import type { FastifyInstance } from 'fastify'
import { findFlag, flagHistory, rollBackFlag } from '../edits.ts'
import { errors } from '../errors.ts'
import type { FlagData } from '../flag-data.ts'
import { HISTORY_PAGE, historyPage } from './history-page.ts'
import { historyUrl, type Message, type View } from './layout.ts'
import { doneMessage, type Form, nameOf, type Query, redirect, type Site, send, versionIn } from './site.ts'

/** What was done to a flag, and the way back. */
export function addHistoryRoutes(app: FastifyInstance, site: Site): void {
  const { client, base } = site

  app.get<Query>('/history', async (request, reply) => {
    const { name, before } = request.query
    const view = site.viewOf(request, reply)
    return send(reply, await pageOf(site, view, nameOf(name), doneMessage(request.query), versionOf(before)))
  })

  app.post<Form>('/rollback', async (request, reply) => {
    const view = site.viewOf(request, reply)
    const name = nameOf(request.body.get('name'))
    const expected = versionIn(request.body)
    const target = versionIn(request.body, 'target')
    const author = site.authorOf(request)
    try {
      await rollBackFlag(client, name, target, { expected, author })
    } catch (error) {
      if (!(error instanceof errors.SQLA_ERR_FLAG_CONFLICT)) throw error
      const text = 'Not rolled back: somebody else has changed this flag while you had its history open.'
      return send(reply.code(409), await pageOf(site, view, name, { kind: 'problem', text }))
    }
    return redirect(reply, `${historyUrl(base, name)}&done=rolledback`)
  })
}

async function pageOf(
  { client }: Site,
  view: View,
  name: string,
  message: Message | undefined,
  before?: number,
): Promise<string> {
  const limit = HISTORY_PAGE + 1
  const entries = await flagHistory(client, name, { limit, ...(before === undefined ? {} : { before }) })
  const flag = await findFlag(client, name).catch((error: unknown): FlagData | undefined => {
    // A flag that is gone still has its history; what never was has neither.
    const isGone = error instanceof errors.SQLA_ERR_FLAG_NOT_FOUND
    if (isGone && (entries.length > 0 || before !== undefined)) return undefined
    throw error
  })
  return historyPage(view, { name, flag, entries, before, message })
}

/** A version in an address; nonsense is none. */
function versionOf(text: unknown): number | undefined {
  return typeof text === 'string' && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined
}
