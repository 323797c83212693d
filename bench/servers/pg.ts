// The same without any mapper: what is left is Fastify, pg and PostgreSQL.
import Fastify from 'fastify'
import pg from 'pg'
import { databaseUrl, insertSchema, type NewNote, type NoteParams, POOL_SIZE, readSchema } from './note.ts'
import { serve } from './serve.ts'

const pool = new pg.Pool({ connectionString: databaseUrl(), max: POOL_SIZE })
const app = Fastify({ keepAliveTimeout: 600_000 })
app.post<{ Body: NewNote }>('/notes', { schema: insertSchema }, async (request, reply) => {
  const { title, body } = request.body
  const client = await pool.connect()
  try {
    await client.query('begin')
    const { rows } = await client.query(
      'insert into notes (title, body) values ($1, $2) returning id, title, body',
      [title, body],
    )
    await client.query('commit')
    reply.code(201)
    return rows[0]
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
})
app.get<{ Params: NoteParams }>('/notes/:id', { schema: readSchema }, async request => {
  const { rows } = await pool.query('select id, title, body from notes where id = $1', [request.params.id])
  return rows[0]
})
await serve(app)
