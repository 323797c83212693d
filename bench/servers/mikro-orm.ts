// The same by hand: MikroORM as its documentation says, with a fork per request.
import { MikroORM } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
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
const orm = await MikroORM.init(ormConfig(acquisitions))
const app = Fastify({ keepAliveTimeout: 600_000 })
app.post<{ Body: NewNote }>('/notes', { schema: insertSchema }, async (request, reply) => {
  const em = orm.em.fork()
  const note = em.create(Note, request.body)
  await em.flush()
  reply.code(201)
  return note
})
app.get<{ Params: NoteParams }>('/notes/:id', { schema: readSchema }, async request =>
  orm.em.fork().findOne(Note, request.params.id),
)
app.get('/touch', { schema: helloSchema }, async () => ({ hello: orm.em.fork().name }))
await serve(app, () => acquisitions.count)
