import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { sqlAssist } from '../../src/index.ts'
import { Note, ormConfig } from './app.ts'

// What a worker of node:cluster runs: it serves one route, says where, and makes fresh pools when it is told to.

const { WRITER_URL = '' } = process.env
const name = `worker-${process.pid}`
const app = Fastify()
await app.register(sqlAssist, {
  commitMode: 'autocommit',
  engines: { writer: { orm: ormConfig(WRITER_URL, { pool: { min: 0, max: 2 } }, name) } },
})
app.post('/', async request => {
  const { writer } = request.db
  writer.create(Note, { tag: 'worker', body: name })
  return { rows: await writer.execute('select pg_backend_pid() as pid') }
})
await app.listen({ port: 0, host: '127.0.0.1', exclusive: true })
process.on('message', async () => {
  await app.sqlAssist.reinit()
  process.send?.({ done: true })
})
process.send?.({ port: (app.server.address() as AddressInfo).port, name })
