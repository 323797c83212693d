import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import sqlAssist from 'fastify-sqlassist'

/** What the one route answers: who served it. */
export interface Served {
  /** Process id of the worker. */
  readonly worker: number
  /** Process id of the PostgreSQL backend, that is of the connection. */
  readonly backend: number
}

export async function buildApp(url: string): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(sqlAssist, {
    engines: {
      writer: {
        orm: defineConfig({
          clientUrl: url,
          entities: [],
          discovery: { warnWhenNoEntities: false },
          pool: { max: 2 },
          driverOptions: { application_name: `worker ${process.pid}` },
        }),
      },
    },
  })

  app.get('/', async (request): Promise<Served> => {
    // The sleep keeps the connection busy, so that requests that come together need several.
    const [row] = await request.db.writer.execute<{ backend: number }[]>(
      'select pg_backend_pid() as backend, pg_sleep(0.05)',
    )
    return { worker: process.pid, backend: row?.backend ?? 0 }
  })
  return app
}
