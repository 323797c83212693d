import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { SqlEm } from '../../src/index.ts'
import { committed, createTables, NOTHING, Note, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { type Ending, endings, MODES } from '../support/matrix.ts'

const HANDLER_TIMEOUT = 500
const route = { handlerTimeout: HANDLER_TIMEOUT }
/** Long after the handler has written, and long before its slow COMMIT (1.4 s) has ended. */
const duringCommit = { handlerTimeout: 700 }

/** Asks, and refuses an answer that did not come at once when the time was up. */
const atOnce: NonNullable<Ending['client']> = async run => {
  const start = performance.now()
  // Not a POST: Fastify 5.12 forgets handlerTimeout when it has read a body.
  const answer = await run.test.ask('GET', run.path)
  return performance.now() - start < HANDLER_TIMEOUT + 1_500 ? answer : 'no answer'
}

const handlerTimeouts: Ending[] = [
  {
    name: 'a handler that is stuck in a statement',
    method: 'GET',
    saves: 'never',
    status: 503,
    route,
    client: atOnce,
    handler: async (run, request) => {
      await run.write(request)
      const stuck = request.db.writer.execute('select pg_sleep(60)')
      run.after.resolve(await stuck.catch(error => error))
      return { saved: true }
    },
    verify: async (run, t) => t.match(await run.after.promise, { code: '57014' }, 'it was cancelled'),
  },
  {
    name: 'a handler that is stuck in statements of every engine',
    method: 'GET',
    saves: 'never',
    status: 503,
    route,
    client: atOnce,
    handler: async (run, request) => {
      await run.write(request)
      const { writer, reader, logger } = request.db
      await Promise.all([writer, reader, logger].map(em => em.execute('select pg_sleep(60)')))
      return { saved: true }
    },
  },
  {
    name: 'a handler that waits for what never comes',
    method: 'GET',
    saves: 'never',
    status: 503,
    route,
    client: atOnce,
    handler: async (run, request) => {
      await run.write(request)
      return new Promise(() => {})
    },
  },
  {
    name: 'a handler that goes on using its session after its time was up',
    method: 'GET',
    saves: 'never',
    status: 503,
    route,
    client: atOnce,
    handler: async (run, request, reply) => {
      await run.write(request)
      await once(reply.raw, 'close')
      run.after.resolve(await request.db.writer.find(Note, {}).catch(error => error))
      return { saved: true }
    },
    verify: async (run, t) => t.match(await run.after.promise, { code: 'SQLA_ERR_SESSION_CLOSED' }),
  },
  {
    name: 'a handler that never stops asking',
    method: 'GET',
    saves: 'never',
    status: 503,
    route,
    client: atOnce,
    handler: async (run, request) => {
      await run.write(request)
      try {
        for (;;) await request.db.writer.execute('select pg_sleep(0.001)')
      } catch (error) {
        run.after.resolve(error)
        throw error
      }
    },
    verify: async (run, t) => t.ok((await run.after.promise) instanceof Error, 'it was stopped'),
  },
  {
    name: 'an error handler that answers 200 to a timeout',
    method: 'GET',
    saves: 'never',
    status: 200,
    route,
    client: atOnce,
    around: app => app.setErrorHandler((_error, _request, reply) => reply.code(200).send({ friendly: true })),
    handler: async (run, request) => {
      await run.write(request)
      return new Promise(() => {})
    },
  },
  {
    name: 'a time that is up while COMMIT is under way: COMMIT is not cut, and waited for',
    method: 'GET',
    saves: 'success',
    status: mode => (mode === 'manual' ? 200 : 503),
    route: duringCommit,
    client: async run => {
      const answer = await run.test.ask('GET', run.path)
      run.after.resolve((await committed(run.database, run.tag)).length)
      return answer
    },
    verify: async (run, t) =>
      t.equal(
        await run.after.promise,
        run.mode === 'manual' ? 0 : 2,
        'the outcome is certain with the answer',
      ),
    handler: async (run, request) => {
      await run.write(request, 'slow')
      return { saved: true }
    },
  },
  {
    name: 'the same when a string is sent',
    method: 'GET',
    saves: 'success',
    status: mode => (mode === 'manual' ? 200 : 503),
    route: duringCommit,
    handler: async (run, request) => {
      await run.write(request, 'slow')
      return 'saved'
    },
  },
]

endings('handlers whose time is up', handlerTimeouts, { places: MODES.slice(0, 2) })

endings(
  'connections whose time is up',
  [
    {
      name: 'a handler that answers after connectionTimeout',
      saves: 'never',
      status: undefined,
      handler: async (run, request, reply) => {
        await run.write(request)
        await once(reply.raw, 'close')
        return { saved: true }
      },
    },
    {
      name: 'a handler that never answers',
      saves: 'never',
      status: undefined,
      handler: async (run, request) => {
        await run.write(request)
        return new Promise(() => {})
      },
    },
  ],
  { server: { connectionTimeout: 250 }, plugin: { abortGrace: 60 }, places: MODES },
)

endings(
  'bodies whose time is up',
  [
    {
      name: 'a body that comes too slowly, after a hook has written',
      saves: 'never',
      status: 408,
      around: (app, run) => app.addHook('onRequest', async request => run().write(request)),
      handler: async () => ({ saved: true }),
      client: async run => {
        const headers = { 'content-type': 'application/json', 'content-length': '100' }
        return run.test.ask('POST', run.path, { headers, unfinished: '{"half":' })
      },
    },
  ],
  {
    server: {
      serverFactory: handler =>
        createServer({ requestTimeout: 250, connectionsCheckingInterval: 30 }, handler) as never,
    },
    places: MODES,
  },
)

t.test('a cancel that comes late does not hit who holds the connection next', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const slow = async (em: SqlEm, ms: number) => {
    await em.execute(`select pg_sleep(${ms / 1_000})`)
    return { slept: true }
  }
  const test = await testApp(t, database, {
    max: 1,
    engines: { reader: { snapshot: false } },
    routes: app => {
      app.get('/late/:engine/:ms', { handlerTimeout: 20 }, request => {
        const { engine, ms } = request.params as { engine: string; ms: string }
        return slow(request.db.get(engine), Number(ms))
      })
      app.get('/innocent/:engine', request =>
        slow(request.db.get((request.params as { engine: string }).engine), 25),
      )
    },
  })
  for (const engine of ['writer', 'reader', 'logger']) {
    const answers = new Set<string>()
    for (let ms = 14; ms < 28; ms++) {
      const late = test.ask('GET', `/late/${engine}/${ms}`)
      await sleep(5)
      answers.add((await test.ask('GET', `/innocent/${engine}`)).body)
      await late
    }
    t.same([...answers], ['{"slept":true}'], engine)
  }
  t.same(await test.remains(), NOTHING)
})
