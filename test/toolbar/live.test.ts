import { once } from 'node:events'
import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import { addLive, Client } from '../../plugins/toolbar/live.ts'
import type { Records } from '../../plugins/toolbar/records.ts'
import { eventually } from '../support/app.ts'
import { toolbarSite } from './site.ts'

async function listening(t: Tap) {
  const app = await toolbarSite(t, {}, one => one.get('/plain', async () => 'plain'))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, port, url: `http://127.0.0.1:${port}` }
}
type Tap = Parameters<typeof toolbarSite>[0]

/** What a client has heard so far. (Not with fetch: it opens connections in advance, which keep a server from closing.) */
async function listener(t: Tap, port: number) {
  const request = get({ port, host: '127.0.0.1', path: '/_sqlassist/events', agent: false })
  t.teardown(() => request.destroy())
  request.on('error', () => {})
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const heard = { text: '', ended: false, response, stop: () => request.destroy() }
  response.setEncoding('utf8').on('data', text => {
    heard.text += text
  })
  response.on('error', () => {})
  response.on('end', () => {
    heard.ended = true
  })
  await eventually(() => heard.text.includes('event: ready') || heard.ended)
  return heard
}

const changesIn = (text: string): { kind: string; id?: number }[] =>
  [...text.matchAll(/event: change\ndata: (.*)\n/g)].map(([, data = '']) => JSON.parse(data))

t.test('who listens hears what has changed, a few times a second at most', async t => {
  const { port, url } = await listening(t)
  const heard = await listener(t, port)
  t.equal(heard.response.headers['content-type'], 'text/event-stream')
  t.match(heard.text, /^retry: 2000\n\nevent: ready\ndata: {}\n\n$/)
  await fetch(`${url}/plain`)
  await eventually(() => changesIn(heard.text).length === 1)
  t.same(changesIn(heard.text), [{ kind: 'entry', id: 1 }])
  const from = performance.now()
  let asked = 0
  for (; performance.now() - from < 1_000; asked++) await fetch(`${url}/plain`)
  await sleep(300)
  const changes = changesIn(heard.text).slice(1)
  t.ok(asked > 10)
  t.ok(changes.length >= 2 && changes.length <= 7, `${changes.length} events for ${asked} requests`)
  t.ok(
    changes.some(({ id }) => id === undefined),
    'several at once have no id',
  )
})

t.test('a client that does not read is cut off', async t => {
  const slow = new Client({ writableLength: 60_000 } as ServerResponse)
  slow.write('a')
  t.notOk(slow.stream.destroyed)
  slow.write('b'.repeat(10_000))
  slow.write('c')
  t.ok(slow.stream.destroyed)
  slow.write('d')
})

t.test('one that leaves is forgotten, and without clients nobody asks what has changed', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  let asking = 0
  addLive(app, {
    onChange() {
      asking++
      return () => {
        asking--
      }
    },
  } as unknown as Records)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const clients = [1, 2].map(() => get({ port, host: '127.0.0.1', path: '/events', agent: false }))
  for (const client of clients) client.on('error', () => {})
  await Promise.all(clients.map(client => once(client, 'response')))
  t.equal(asking, 1)
  clients[0]?.destroy()
  await sleep(50)
  t.equal(asking, 1)
  clients[1]?.destroy()
  t.ok(await eventually(() => asking === 0))
})

t.test('there is an end to how many may listen', async t => {
  const { port } = await listening(t)
  const all = await Promise.all(Array.from({ length: 50 }, () => listener(t, port)))
  t.ok(all.every(({ response }) => response.statusCode === 200))
  t.equal((await listener(t, port)).response.statusCode, 204, 'a browser does not come again then')
  all[0]?.stop()
  t.ok(await eventually(async () => (await listener(t, port)).response.statusCode === 200))
})

t.test('the end of the application is the end of the stream', async t => {
  const { app, port } = await listening(t)
  const heard = await listener(t, port)
  const from = performance.now()
  await app.close()
  t.ok(performance.now() - from < 3_000)
  t.ok(await eventually(() => heard.ended))
})
