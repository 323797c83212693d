import type { FastifyInstance } from 'fastify'
import { Note, type TestApp } from './app.ts'

// Routes for tests in which servers fail: each answers with the port of the server that it read from.

/** Reads the table for half a second. */
const VICTIM = `select inet_server_port() as port, pg_sleep(0.5)::text as slept from victim`

interface Where {
  port: number
}

/**
 * `/read`, and `/read?ms=50` that takes that long on the server; `/primary` the same on the primary; `/unit` and
 * `/snapshot` (of an engine `frozen`) read in a transaction; `POST /notes/:tag` writes, `/notes/:tag` finds it or
 * answers 404. `/victim` and `/victim-unit` are half a second in the middle of a table `victim`.
 */
export function failingRoutes(app: FastifyInstance): void {
  app.get('/read', async request => {
    const { ms = '0' } = request.query as { ms?: string }
    const [row] = (await request.db.reader.execute(sleepSql(ms))) as [Where]
    return { port: row.port }
  })
  app.get('/unit', request => {
    const { ms = '0' } = request.query as { ms?: string }
    return request.db.reader.transactional(async em => {
      const [row] = (await em.execute('select inet_server_port() as port')) as [Where]
      await em.execute(sleepSql(ms))
      return { port: row.port }
    })
  })
  app.get('/snapshot', async request => {
    const { ms = '0' } = request.query as { ms?: string }
    const frozen = request.db.get('frozen')
    const [row] = (await frozen.execute('select inet_server_port() as port')) as [Where]
    await frozen.execute(sleepSql(ms))
    return { port: row.port }
  })
  app.get('/primary', { config: { db: { consistency: 'primary' } } }, async request => {
    const { ms = '0' } = request.query as { ms?: string }
    const [row] = (await request.db.reader.execute(sleepSql(ms))) as [Where]
    return { port: row.port }
  })
  app.get('/victim', async request => {
    const [row] = (await request.db.reader.execute(VICTIM)) as [Where]
    return { port: row.port }
  })
  app.get('/victim-unit', request =>
    request.db.reader.transactional(async em => {
      // Only now has the transaction seen anything; before, it could begin again elsewhere.
      await em.execute('select 1')
      const [row] = (await em.execute(VICTIM)) as [Where]
      return { port: row.port }
    }),
  )
  app.post('/notes/:tag', async (request, reply) => {
    const { tag } = request.params as { tag: string }
    const note = request.db.writer.create(Note, { tag, body: 'a' })
    reply.code(201)
    return note
  })
  app.get('/notes/:tag', async (request, reply) => {
    const { tag } = request.params as { tag: string }
    const { reader } = request.db
    const note = await reader.findOne(Note, { tag })
    const [row] = (await reader.execute('select inet_server_port() as port')) as [Where]
    if (note === null) reply.code(404)
    return { port: row.port, found: note !== null }
  })
}

function sleepSql(ms: string): string {
  return `select inet_server_port() as port, pg_sleep(${Number(ms) / 1_000})::text as slept`
}

/** How many statements of `/read?ms=` and its like a server runs. */
export const SLEEPERS = `select count(*)::int as count from pg_stat_activity
  where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()`

/** Ends the sessions that run them. */
export const TERMINATE = `select pg_terminate_backend(pid) from pg_stat_activity
  where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()`

/** The lines that say how a server's state changed: `replica1: online -> down`. */
export function transitions(test: TestApp): string[] {
  return test.logs
    .filter(line => line.replica !== undefined && line.to !== undefined)
    .map(line => `${line.replica}: ${line.from} -> ${line.to}`)
}
