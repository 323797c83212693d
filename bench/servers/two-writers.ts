// The application of both servers that write to two databases in a request.
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { SECOND_DATABASE } from '../lib/database.ts'
import { Acquisitions, databaseUrl, insertSchema, type NewNote, Note, ormConfig } from './note.ts'
import { serve } from './serve.ts'

/** Runs it until the bench says stop. */
export async function serveTwoWriters(twoPhase: boolean): Promise<void> {
  const acquisitions = new Acquisitions()
  const second = new URL(databaseUrl())
  second.pathname = `/${SECOND_DATABASE}`
  const app = Fastify({ keepAliveTimeout: 600_000 })
  await app.register(sqlAssist, {
    engines: {
      writer: { orm: ormConfig(acquisitions) },
      second: { orm: ormConfig(acquisitions, second.href) },
    },
    commitMode: 'autocommit',
    twoPhase,
  })
  app.post<{ Body: NewNote }>('/notes', { schema: insertSchema }, async (request, reply) => {
    request.db.get('second').create(Note, request.body)
    const note = request.db.writer.create(Note, request.body)
    reply.code(201)
    return note
  })
  await serve(app, () => acquisitions.count)
}
