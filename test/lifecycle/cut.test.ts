import { once } from 'node:events'
import t from 'tap'
import { createTables, eventually, NOTHING, ormConfig, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

t.test('a statement that nobody waits for and that cannot be cancelled is cut', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const url = new URL(database.writerUrl)
  let password = decodeURIComponent(url.password)
  const { hostname: host, port, username: user } = url
  const options = { host, port: Number(port), user, dbName: database.name, password: () => password }
  const outcome = Promise.withResolvers<unknown>()
  const test = await testApp(t, database, {
    plugin: { abortGrace: 20 },
    engines: { guarded: { orm: ormConfig(undefined as never, { ...options, pool: { min: 0, max: 1 } }) } },
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
  password = 'wrong'
  call.abort()
  const start = performance.now()
  const { sessions, engines } = test.app.sqlAssist
  t.ok(await eventually(() => sessions.scopes === 0 && engines.get('guarded').figures.used === 0, 12_000))
  t.ok(performance.now() - start > 4_000, 'it is given time to be cancelled')
  t.ok((await outcome.promise) instanceof Error)
  password = decodeURIComponent(url.password)
  t.equal((await test.ask('GET', '/works')).status, 200, 'its connection keeps no slot of a pool of one')
  t.same(await test.remains(), NOTHING)
})
