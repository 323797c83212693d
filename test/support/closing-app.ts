import Fastify from 'fastify'
import { sqlAssist } from '../../src/index.ts'
import { ormConfig } from './app.ts'
import { failingRoutes } from './failing.ts'
import { SECRET } from './routed-app.ts'

// An application in a process of its own, which closes it when its standard input ends. Nothing but what the
// application left open keeps the process from ending by itself.

const [writerUrl = '', readerUrl = '', ...replicaUrls] = process.argv.slice(2)
const NAME = 'sqlassist-closing'

const app = Fastify()
await app.register(sqlAssist, {
  routing: { token: { secret: SECRET }, probe: { interval: 100, timeout: 250 } },
  engines: {
    writer: { orm: ormConfig(writerUrl, {}, NAME) },
    reader: {
      readOnly: true,
      orm: ormConfig(readerUrl, {}, NAME),
      replicas: replicaUrls.map(clientUrl => ({ clientUrl })),
    },
  },
})
failingRoutes(app)
await app.inject({ method: 'POST', url: '/notes/closing', payload: {} })
await Promise.all(Array.from({ length: 20 }, () => app.inject('/read?ms=20')))
await app.inject('/primary')
process.stdout.write('ready\n')
process.stdin.resume()
process.stdin.once('end', async () => {
  const from = performance.now()
  await app.close()
  process.stdout.write(`${JSON.stringify({ ms: performance.now() - from })}\n`)
})
