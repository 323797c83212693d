import t from 'tap'
import { NOTHING, Note } from '../support/app.ts'
import { Browser, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'
import type { FastifyInstance } from 'fastify'

const SERVER = 'select inet_server_port() as port'

function routes(app: FastifyInstance): void {
  app.post('/notes/:tag', async (request, reply) => {
    const note = request.db.writer.create(Note, { tag: (request.params as { tag: string }).tag, body: 'a' })
    reply.code(201)
    return note
  })
  app.get('/notes/:tag', async (request, reply) => {
    const { reader } = request.db
    const note = await reader.findOne(Note, { tag: (request.params as { tag: string }).tag })
    const [{ port }] = (await reader.execute(SERVER)) as [{ port: number }]
    if (note === null) reply.code(404)
    return { port, found: note !== null }
  })
}

t.test('a write and the read behind it', async t => {
  const cluster = await replicatedCluster(t, 2)
  const [first, second] = cluster.replicas
  const test = await routedApp(t, cluster, { routes })
  t.same(await statesBecome(test, { replica1: 'online', replica2: 'online' }), { replica1: 'online', replica2: 'online' })
  const standbys = [first?.port, second?.port]
  const browser = new Browser(test)
  for (let i = 0; i < 20; i++) {
    t.equal((await browser.ask('POST', `/notes/n${i}`, {})).status, 201)
    const read = await browser.ask('GET', `/notes/n${i}`)
    t.same([read.status, standbys.includes(JSON.parse(read.body).port)], [200, true], `${read.body}`)
  }
  console.log(test.app.sqlAssist.routing, test.app.sqlAssist.engines.get('reader').replicas)
  t.same(await test.remains(), NOTHING)
})
