import type { FastifyInstance } from 'fastify'
import { addAssets } from './assets.ts'
import { enginesPage } from './engines-page.ts'
import { addExplain } from './explain-route.ts'
import { pluginsPage } from './plugins-page.ts'
import { replicasPage } from './replicas-page.ts'
import { addRequestRoutes } from './request-routes.ts'
import { type Site, send } from './site.ts'

export type { Site } from './site.ts'

/**
 * Adds the pages of the toolbar to `app`, which has the prefix, and checks who may and where forms come from.
 *
 * @param app encapsulated; reads forms into `URLSearchParams`
 */
export function addPages(app: FastifyInstance, site: Site): void {
  addAssets(app)
  addRequestRoutes(app, site)
  if (site.explain) addExplain(app, site)
  app.get('/engines', async (_request, reply) => send(reply, enginesPage(site)))
  app.get('/replicas', async (_request, reply) => send(reply, replicasPage(site)))
  app.get('/plugins', async (_request, reply) => send(reply, pluginsPage(site)))
}
