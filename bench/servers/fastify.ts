// Fastify alone.
import Fastify from 'fastify'
import { helloSchema } from './note.ts'
import { serve } from './serve.ts'

const app = Fastify({ keepAliveTimeout: 600_000 })
app.get('/touch', { schema: helloSchema }, async () => ({ hello: 'default' }))
app.get('/hello', { schema: helloSchema }, async () => ({ hello: 'default' }))
await serve(app)
