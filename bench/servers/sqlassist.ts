// fastify-sqlassist, used as its README says.
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import {
  Acquisitions,
  helloSchema,
  insertSchema,
  type NewNote,
  Note,
  type NoteParams,
  ormConfig,
  readSchema,
} from './note.ts'
import { serve } from './serve.ts'

const acquisitions = new Acquisitions()
const app = Fastify({ keepAliveTimeout: 600_000 })
await app.register(sqlAssist, {
  engines: {
    writer: { orm: ormConfig(acquisitions) },
    reader: { orm: ormConfig(acquisitions), readOnly: true },
  },
  commitMode: 'autocommit',
})
app.post<{ Body: NewNote }>('/notes', { schema: insertSchema }, async (request, reply) => {
  const note = request.db.writer.create(Note, request.body)
  reply.code(201)
  return note
})
app.get<{ Params: NoteParams }>('/notes/:id', { schema: readSchema }, async request =>
  request.db.reader.findOne(Note, request.params.id),
)
app.get('/touch', { schema: helloSchema }, async request => ({ hello: request.db.writer.name }))
app.get('/hello', { schema: helloSchema }, async () => ({ hello: 'default' }))
await serve(app, () => acquisitions.count)
