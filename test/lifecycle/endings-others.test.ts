import { once } from 'node:events'
import { Note } from '../support/app.ts'
import { type Ending, endings } from '../support/matrix.ts'

const others: Ending[] = [
  {
    name: 'HEAD, answered by the route that Fastify adds for a GET',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request) => {
      await run.write(request)
      return { saved: true }
    },
    client: run => run.test.ask('HEAD', run.path),
  },
  {
    name: 'a request that was injected',
    saves: 'success',
    status: 201,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(201).send({ saved: true })
    },
    client: async run =>
      (await run.test.app.inject({ method: 'POST', url: run.path, payload: {} })).statusCode,
  },
  {
    name: 'an injected request that failed',
    saves: 'never',
    status: 500,
    handler: async (run, request) => {
      await run.write(request)
      throw new Error('after the work')
    },
    client: async run =>
      (await run.test.app.inject({ method: 'POST', url: run.path, payload: {} })).statusCode,
  },
  {
    name: 'a preHandler that answers before the handler can',
    saves: 'success',
    status: 202,
    around: (app, run) =>
      app.addHook('preHandler', async (request, reply) => {
        await run().write(request)
        return reply.code(202).send('early')
      }),
    handler: () => 'never asked',
  },
  {
    name: 'a preHandler that refuses after a write',
    saves: 'never',
    status: 403,
    around: (app, run) =>
      app.addHook('preHandler', async (request, reply) => {
        await run().write(request)
        return reply.code(403).send('no')
      }),
    handler: () => 'never asked',
  },
  {
    name: 'reply.send in a callback',
    saves: 'success',
    status: 200,
    handler: (run, request, reply) => {
      run.write(request).then(() => reply.send('saved'))
    },
  },
  {
    name: 'an answer without a body',
    saves: 'success',
    status: 204,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(204).send()
    },
  },
  {
    name: 'not modified',
    method: 'GET',
    saves: 'redirect',
    status: 304,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(304).send()
    },
  },
  {
    name: 'a redirect',
    saves: 'redirect',
    status: 302,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.redirect('/elsewhere')
    },
  },
  {
    name: 'a second send, which Fastify ignores',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      reply.send({ first: true })
      reply.send({ second: true })
      return reply
    },
  },
  {
    name: 'a handler that goes on using its session after the response',
    saves: 'success',
    status: 201,
    handler: async (run, request, reply) => {
      await run.write(request)
      reply.code(201).send({ saved: true })
      await once(reply.raw, 'close')
      const uses: (() => Promise<unknown>)[] = [
        () => {
          request.db.writer.create(Note, { tag: run.tag, body: 'too late' })
          return request.db.writer.flush()
        },
        () => request.db.writer.find(Note, {}),
        () => request.db.writer.begin(),
        () => request.db.reader.find(Note, {}),
        () => request.db.logger.execute('select 1'),
        () => request.db.writer.transactional(em => em.find(Note, {})),
        () => request.db.logger.transactional(em => em.find(Note, {})),
        async () => {
          for await (const note of request.db.writer.stream(Note)) return note
        },
      ]
      const outcomes: unknown[] = []
      for (const use of uses) outcomes.push(...(await Promise.allSettled([use()])))
      run.after.resolve(outcomes)
      return reply
    },
    async verify(run, t) {
      for (const outcome of (await run.after.promise) as PromiseSettledResult<unknown>[]) {
        t.match(outcome, {
          status: 'rejected',
          reason: { code: 'SQLA_ERR_SESSION_CLOSED', message: `POST ${run.path}` },
        })
      }
    },
  },
  {
    name: 'reply.hijack, then raw.end',
    saves: 'never',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      reply.hijack()
      reply.raw.end('by hand')
    },
  },
  {
    name: 'reply.hijack, with a commit by hand',
    saves: 'always',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      reply.hijack()
      await request.db.commit()
      reply.raw.end('by hand')
    },
  },
  {
    name: 'raw.end without hijack',
    saves: 'never',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      reply.raw.end('by hand')
      return reply
    },
  },
  {
    name: 'a commit by hand before a 500',
    saves: 'always',
    status: 500,
    handler: async (run, request, reply) => {
      await run.write(request)
      await request.db.commit()
      request.db.writer.create(Note, { tag: run.tag, body: 'third' })
      await request.db.writer.flush()
      return reply.code(500).send('after a commit')
    },
  },
  {
    name: 'a rollback by hand before a 200',
    saves: 'never',
    status: 200,
    handler: async (run, request) => {
      await run.write(request)
      await request.db.rollback()
      return 'nothing was saved'
    },
  },
  {
    name: 'reply.callNotFound after a write',
    saves: 'never',
    status: 404,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.callNotFound()
    },
  },
  {
    name: 'a route that was registered before the plugin, 200',
    where: 'before the plugin',
    saves: 'success',
    status: 200,
    handler: async (run, request) => {
      await run.write(request)
      return { saved: true }
    },
  },
  {
    name: 'a route that was registered before the plugin, 400',
    where: 'before the plugin',
    saves: 'never',
    status: 400,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(400).send('no')
    },
  },
  {
    name: 'a route of the root',
    where: 'root',
    saves: 'success',
    status: 200,
    handler: async (run, request) => {
      await run.write(request)
      return 'saved'
    },
  },
  {
    name: 'a route that touches no database',
    saves: 'never',
    status: 200,
    audits: 0,
    touches: false,
    handler: async () => 'nothing',
  },
]

endings('other answers', others)
