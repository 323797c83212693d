import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import { Application, type ApplicationOptions } from '../../plugins/events/application.ts'
import sqlAssist, { type SqlEm } from '../../src/index.ts'
import type { TestBackend } from '../support/backends.ts'

// An application with an engine, and the events of Emmett's streams in tables of their own.

export interface StreamApp {
  readonly app: FastifyInstance
  /** On the engine: each append is a transaction of its own. */
  readonly events: Application
  /** Runs `work` with the session of a request, and the application in its transaction; commits when it returns. */
  inRequest<R>(work: (events: Application, session: SqlEm) => Promise<R>): Promise<R>
}

let places = 0

export async function streamApp(
  t: Test,
  backend: TestBackend,
  options: Partial<ApplicationOptions> = {},
  routes: (app: FastifyInstance, eventsOf: (request: FastifyRequest) => Application) => void = () => {},
): Promise<StreamApp> {
  const app = Fastify()
  const orm = backend.options({
    entities: [],
    discovery: { warnWhenNoEntities: false },
    logger: () => {},
    pool: { min: 0, max: 24 },
  })
  await app.register(sqlAssist, {
    engines: { writer: { orm } },
    commitMode: 'autocommit',
  } as never)
  routes(app, request => events.at(request.db.get('writer' as never)))
  await app.ready()
  const events = new Application({
    on: app.sqlAssist.engines.get('writer' as never),
    aggregates: [],
    name: `streams${places++}`,
    ...options,
  })
  await events.createTables()
  t.teardown(async () => {
    await events.close()
    await app.close()
  })
  return {
    app,
    events,
    inRequest: work =>
      app.sqlAssist.run(async db => {
        const session = db.get('writer' as never) as SqlEm
        return work(events.at(session), session)
      }),
  }
}
