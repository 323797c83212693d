import type { FastifyInstance } from 'fastify'
import { toolbar } from 'fastify-sqlassist/toolbar'

/** Where the toolbar is. It shows the last requests in full to whoever asks from this machine. */
export const TOOLBAR = '/_sqlassist'

/** For whoever develops the service, and not for production, where the plugin refuses to be. Before the routes. */
export async function addDebugging(app: FastifyInstance): Promise<void> {
  await app.register(toolbar, { prefix: TOOLBAR })
}
