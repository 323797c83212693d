import type { FastifyInstance } from 'fastify'
import { events, followers, ProjectionRunner } from 'fastify-sqlassist/events'
import { Applause } from './aggregate.ts'
import { NoteApplause } from './application.ts'
import { applauseView } from './projection.ts'

/**
 * Applause for notes: its events in the writer's database, and the view that is made of them.
 *
 * @returns what keeps the view up to date. Of several processes one does the work; all can wait for it.
 */
export async function addApplause(app: FastifyInstance): Promise<ProjectionRunner> {
  await app.register(events, { application: NoteApplause, aggregates: [Applause] })
  const runner = new ProjectionRunner({ application: app.events, projection: applauseView })
  // Not now, for the reason that feature-flags.ts has.
  app.addHook('onReady', () => app.events.createTables())
  followers(app, runner)
  return runner
}
