import { once } from 'node:events'
import { eventually, Note } from '../support/app.ts'
import { type Ending, endings, MODES } from '../support/matrix.ts'

/** Hangs up when the handler has come to its interesting point. */
const hangsUp =
  (method = 'POST'): NonNullable<Ending['client']> =>
  async run => {
    const call = run.test.call(method, run.path, method === 'POST' ? { body: { a: 'body' } } : {})
    await run.reached.promise
    call.abort()
    return (await call.answer).status
  }

/** Works, lets the client hang up, and answers as if nothing had happened. */
const goesOn: Ending['handler'] = async (run, request, reply) => {
  await run.write(request)
  run.reached.resolve()
  await once(reply.raw, 'close')
  return { saved: true }
}

const goesOnWith =
  (rest: Ending['handler']): Ending['handler'] =>
  async (run, request, reply) => {
    await run.write(request)
    run.reached.resolve()
    await once(reply.raw, 'close')
    return rest(run, request, reply)
  }

/** Waits until the server is at it, then hangs up. Where it never is (in manual mode), waits for the answer. */
const hangsUpDuring =
  (statement: string): NonNullable<Ending['client']> =>
  async run => {
    const call = run.test.call('POST', run.path, { body: {} })
    let answered = false
    call.answer.then(() => {
      answered = true
    })
    await eventually(async () => {
      const rows = await run.database.sql(
        `select 1 from pg_stat_activity
         where datname = $1 and application_name = $2 and state = 'active' and query ilike $3`,
        [run.database.name, run.test.applicationName, statement],
      )
      return answered || rows.length > 0
    })
    call.abort()
    return (await call.answer).status
  }

const slowCommit: Ending = {
  name: 'a client that hangs up while COMMIT is under way',
  saves: 'success',
  status: mode => (mode === 'manual' ? 200 : undefined),
  handler: async (run, request) => {
    await run.write(request, 'slow')
    return { saved: true }
  },
  client: hangsUpDuring('commit'),
}

const slowFlush: Ending = {
  name: 'a client that hangs up while the last flush before COMMIT is under way',
  saves: 'success',
  status: mode => (mode === 'manual' ? 200 : undefined),
  handler: async (run, request) => {
    await run.write(request, 'slow insert')
    return 'saved'
  },
  client: hangsUpDuring('insert%slow insert%'),
}

const aborts: Ending[] = [
  {
    name: 'a client that hangs up during a GET',
    method: 'GET',
    saves: 'never',
    status: undefined,
    handler: goesOn,
    client: hangsUp('GET'),
  },
  {
    name: 'a client that hangs up during a POST whose body has been read',
    saves: 'never',
    status: undefined,
    handler: goesOn,
    client: hangsUp(),
  },
  {
    name: 'a handler that answers a string to nobody',
    saves: 'never',
    status: undefined,
    handler: goesOnWith(() => 'saved'),
    client: hangsUp(),
  },
  {
    name: 'a handler that throws after its client has gone',
    saves: 'never',
    status: undefined,
    handler: goesOnWith(() => {
      throw new Error('nobody hears this')
    }),
    client: hangsUp(),
  },
  {
    name: 'a handler that goes on using its session after its client has gone',
    saves: 'never',
    status: undefined,
    handler: goesOnWith(async (run, request) => {
      await request.db.writer.flush()
      run.after.resolve(await request.db.writer.count(Note, { tag: run.tag }))
      return { saved: true }
    }),
    client: hangsUp(),
    verify: async (run, t) => t.equal(await run.after.promise, 2, 'its transaction is still open'),
  },
  {
    name: 'a handler that commits by hand after its client has gone',
    saves: 'always',
    status: undefined,
    handler: goesOnWith(async (_run, request) => {
      await request.db.commit()
      return { saved: true }
    }),
    client: hangsUp(),
  },
  {
    name: 'a handler that first touches its sessions after its client has gone',
    saves: 'never',
    status: undefined,
    handler: async (run, request, reply) => {
      run.reached.resolve()
      await once(reply.raw, 'close')
      await run.write(request)
      run.after.resolve(undefined)
      return { saved: true }
    },
    client: async run => {
      const status = await hangsUp()(run)
      await run.after.promise
      return status
    },
  },
  {
    name: 'a client that hangs up during a hijacked reply',
    saves: 'never',
    status: undefined,
    handler: async (run, request, reply) => {
      await run.write(request)
      reply.hijack()
      run.reached.resolve()
    },
    client: hangsUp(),
  },
  {
    name: 'a body that never comes to its end, after a hook has written',
    saves: 'never',
    status: undefined,
    around: (app, run) =>
      app.addHook('onRequest', async request => {
        await run().write(request)
        run().reached.resolve()
      }),
    handler: async () => ({ saved: true }),
    client: async run => {
      const headers = { 'content-type': 'application/json', 'content-length': '100' }
      const call = run.test.call('POST', run.path, { headers, unfinished: '{' })
      await run.reached.promise
      call.abort()
      return (await call.answer).status
    },
  },
]

endings('clients that hang up', aborts, { places: MODES })

endings('clients that hang up when the outcome is on its way', [slowCommit, slowFlush], { places: MODES })

endings(
  "clients that hang up, with onAbort 'commit'",
  [
    {
      name: 'a client that hangs up during a GET',
      method: 'GET',
      saves: 'success',
      status: undefined,
      handler: goesOn,
      client: hangsUp('GET'),
    },
    {
      name: 'a client that hangs up during a POST',
      saves: 'success',
      status: undefined,
      handler: goesOn,
      client: hangsUp(),
    },
    {
      name: 'a handler that answers 400 to nobody',
      saves: 'never',
      status: undefined,
      handler: goesOnWith((_run, _request, reply) => reply.code(400).send({ saved: false })),
      client: hangsUp(),
    },
    {
      name: 'a handler that throws after its client has gone',
      saves: 'never',
      status: undefined,
      handler: goesOnWith(() => {
        throw new Error('nobody hears this')
      }),
      client: hangsUp(),
    },
    slowCommit,
    {
      name: "a route that sets onAbort back to 'rollback'",
      saves: 'never',
      status: undefined,
      db: { onAbort: 'rollback' },
      handler: goesOn,
      client: hangsUp(),
    },
  ],
  { plugin: { onAbort: 'commit' }, places: MODES },
)

const forever = new Promise<never>(() => {})

endings(
  'handlers that never settle after their client has gone',
  [
    {
      name: 'one that waits for what never comes',
      saves: 'never',
      status: undefined,
      handler: goesOnWith(() => forever),
      client: hangsUp(),
    },
    {
      name: 'one that waits for a slow statement',
      saves: 'never',
      status: undefined,
      handler: goesOnWith(async (run, request) => {
        const slow = request.db.writer.execute('select pg_sleep(60)')
        run.after.resolve(await slow.catch(error => error))
        return { saved: true }
      }),
      client: hangsUp(),
      verify: async (run, t) => t.match(await run.after.promise, { code: '57014' }, 'it was cancelled'),
    },
    {
      name: 'one that waits for slow statements of every engine',
      saves: 'never',
      status: undefined,
      handler: goesOnWith(async (_run, request) => {
        const { writer, reader, logger } = request.db
        await Promise.allSettled([writer, reader, logger].map(em => em.execute('select pg_sleep(60)')))
        return { saved: true }
      }),
      client: hangsUp(),
    },
    {
      name: 'one that holds a stream without reading it',
      saves: 'never',
      status: undefined,
      handler: goesOnWith(async (_run, request) => {
        await request.db.writer.stream(Note).next()
        await request.db.logger.stream(Note).next()
        return forever
      }),
      client: hangsUp(),
    },
    {
      name: "one that answers too late to be committed, with onAbort 'commit'",
      saves: 'never',
      status: undefined,
      db: { onAbort: 'commit' },
      handler: goesOnWith(async (run, request) => {
        while (request.db.status.writer !== 'END') await new Promise(resolve => setTimeout(resolve, 5))
        run.after.resolve(undefined)
        return { saved: true }
      }),
      client: hangsUp(),
      verify: run => run.after.promise,
    },
  ],
  { plugin: { abortGrace: 60 }, places: MODES },
)
