import type { FastifyInstance } from 'fastify'
import { html } from '../../web/html.ts'
import type { Entry } from '../records.ts'
import { noticePage } from './layout.ts'
import { requestPage } from './request-page.ts'
import { filterOf, requestsPage } from './requests-page.ts'
import { numberIn, type Site, send } from './site.ts'
import { loadFormatter } from './sql-format.ts'
import { pageOf } from './statement-pages.ts'

type Query = { Querystring: Record<string, unknown> }
type ById = { Params: { id: string } }

/** The list of requests, and each of them. */
export function addRequestRoutes(app: FastifyInstance, site: Site): void {
  const { base, records } = site
  app.get<Query>('/', async (request, reply) =>
    send(reply, requestsPage(site, filterOf(request.query), site.tokenOf(request, reply))),
  )
  app.get<ById & Query>('/requests/:id', async (request, reply) => {
    await loadFormatter()
    const entry = records.get(numberIn(request.params.id) ?? 0)
    if (entry === undefined) return send(reply.code(404), gonePage(site))
    return send(reply, requestPage(site, entry, pageIn(request.query, entry), site.tokenOf(request, reply)))
  })
  app.post('/clear', async (_request, reply) => {
    records.clear()
    return reply.redirect(`${base}/`, 303)
  })
}

/** For entries and statements that are not there, or not any more. */
export function gonePage({ base, records }: Site): string {
  return noticePage(
    base,
    'Not here any more',
    html`Only the last ${records.limit} requests are kept, in the memory of this process. This one was dropped or cleared, or it was another process's.`,
  )
}

/** A page of the statements that there is. */
function pageIn({ page }: Record<string, unknown>, { statements }: Entry): number {
  const wanted = numberIn(page) ?? 1
  return wanted >= 1 && wanted <= pageOf(Math.max(1, statements.length)) ? wanted : 1
}
