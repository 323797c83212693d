import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import sqlAssist, { listen } from '../../src/index.ts'
import { testDatabase } from '../support/cluster.ts'

// How listening ends; what is heard, and connecting again, the tests of flags and segments say.

const database = await testDatabase(t)

/** The database behind a proxy, which can be told to let nothing through any more. */
async function cable(t: Test): Promise<{ readonly url: string; cut(): void }> {
  const { hostname, port } = new URL(database.superUrl)
  const sockets = new Set<Socket>()
  let isCut = false
  const proxy = createServer({ allowHalfOpen: true }, client => {
    const server = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('data', chunk => isCut || to.write(chunk))
      from.on('end', () => isCut || to.end())
    }
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  const url = new URL(database.superUrl)
  url.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`
  return {
    url: url.href,
    cut() {
      isCut = true
    },
  }
}

/** Listens to `news` through a cable. @returns what was heard, and what ends it */
async function listening(t: Test, clientUrl: string) {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({ clientUrl, entities: [], discovery: { warnWhenNoEntities: false } })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  let heard = 0
  const stop = listen(app.sqlAssist.engines.get('writer'), 'news', () => heard++)
  t.teardown(stop)
  const hears = async (times: number) => {
    for (let left = 5_000; heard < times && left > 0; left -= 10) await sleep(10)
    t.equal(heard, times)
  }
  await hears(1)
  return { stop, hears }
}

t.test('what has ended hears no more, and leaves no connection', async t => {
  const { stop, hears } = await listening(t, database.superUrl)
  await database.sql('notify news')
  await hears(2)
  await stop()
  await stop()
  await database.sql('notify news')
  const listeners =
    "select from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
  for (let left = 5_000; (await database.sql(listeners)).length > 0 && left > 0; left -= 10) await sleep(10)
  t.same(await database.sql(listeners), [])
  await hears(2)
})

t.test('a server that does not say goodbye is waited for, but not for long', async t => {
  const { url, cut } = await cable(t)
  const { stop } = await listening(t, url)
  cut()
  const begin = performance.now()
  await stop()
  const took = performance.now() - begin
  t.ok(took > 900 && took < 3_000, `${took.toFixed(0)} ms`)
})
