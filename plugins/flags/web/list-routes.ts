import type { FastifyInstance } from 'fastify'
import type { Html } from '../../web/html.ts'
import { isFound, searchFlags, unusedFlags } from '../edits.ts'
import { type Listed, listPage } from './list-page.ts'
import { type ListQuery, listQueryOf } from './list-url.ts'
import { pageOf } from './paging.ts'
import { doneMessage, type Query, type Site, send } from './site.ts'
import { askedNote, UNUSED_DAYS, unusedIntro } from './unused-page.ts'

/** The lists: active, deleted and unused flags. */
export function addListRoutes(app: FastifyInstance, site: Site): void {
  app.get<Query>('/', async (request, reply) => {
    const query = listQueryOf(request.query)
    const view = site.viewOf(request, reply)
    const { listed, intro } = await listOf(site, query)
    const page = pageOf(listed, query.page)
    return send(reply, listPage(view, { query, page, intro, message: doneMessage(request.query) }))
  })
}

async function listOf(
  { client }: Site,
  { view, search }: ListQuery,
): Promise<{ listed: Listed[]; intro?: Html }> {
  if (view !== 'unused') {
    const { flags } = await searchFlags(client, search, view === 'deleted')
    return { listed: flags.map(flag => ({ flag })) }
  }
  const { since, flags } = await unusedFlags(client, UNUSED_DAYS)
  const listed = flags
    .filter(({ flag }) => isFound(flag, search))
    .sort((a, b) => (a.flag.name < b.flag.name ? -1 : 1))
    .map(unused => ({ flag: unused.flag, note: askedNote(unused) }))
  return { listed, intro: unusedIntro(since) }
}
