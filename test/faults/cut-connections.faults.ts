import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { createTables, eventually, NOTHING, ormConfig, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

t.test('a statement that nobody waits for and that cannot be cancelled is cut', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const door = await doorTo(t, new URL(database.writerUrl))
  const outcome = Promise.withResolvers<unknown>()
  const test = await testApp(t, database, {
    plugin: { abortGrace: 20 },
    engines: { guarded: { orm: ormConfig(door.url, { pool: { min: 0, max: 1 } }) } },
    routes: app => {
      app.get('/stuck', async (request, reply) => {
        const guarded = request.db.get('guarded')
        await guarded.execute('select 1')
        const stuck = guarded.execute('select pg_sleep(60)')
        stuck.catch(outcome.resolve)
        const closed = once(reply.raw, 'close')
        started.resolve()
        await closed
        return stuck
      })
      app.get('/works', request => request.db.get('guarded').execute('select 1 as one'))
    },
  })
  const started = Promise.withResolvers<void>()
  const call = test.call('GET', '/stuck')
  await started.promise
  // Whoever cancels needs a connection of his own: now there is none to be had.
  door.close()
  call.abort()
  const start = performance.now()
  const { sessions, engines } = test.app.sqlAssist
  t.ok(await eventually(() => sessions.scopes === 0 && engines.get('guarded').figures.used === 0, 12_000))
  t.ok(performance.now() - start > 4_000, 'it is given time to be cancelled')
  t.ok((await outcome.promise) instanceof Error)
  door.open()
  t.equal((await test.ask('GET', '/works')).status, 200, 'its connection keeps no slot of a pool of one')
  t.same(await test.remains(), NOTHING)
})

/** A way to a server that can be shut for those who come from now on. */
async function doorTo(t: Test, server: URL): Promise<{ url: string; open(): void; close(): void }> {
  let isOpen = true
  const door = createServer(outside => {
    outside.on('error', () => {})
    if (!isOpen) {
      outside.destroy()
      return
    }
    const inside = connect(Number(server.port), server.hostname)
    inside.on('error', () => outside.destroy())
    outside.on('close', () => inside.destroy())
    inside.on('close', () => outside.destroy())
    outside.pipe(inside).pipe(outside)
  })
  door.listen(0, '127.0.0.1')
  await once(door, 'listening')
  t.teardown(() => door.close())
  const url = new URL(server)
  url.hostname = '127.0.0.1'
  url.port = String((door.address() as AddressInfo).port)
  return {
    url: url.href,
    open: () => {
      isOpen = true
    },
    close: () => {
      isOpen = false
    },
  }
}
