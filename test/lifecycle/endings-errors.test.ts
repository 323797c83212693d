import { Note } from '../support/app.ts'
import { type Ending, endings, MODES, type Run } from '../support/matrix.ts'

const worksThenThrows =
  (thrown: unknown): Ending['handler'] =>
  async (run, request, reply) => {
    await run.write(request)
    reply.code(201)
    throw thrown
  }

const works: Ending['handler'] = async (run, request, reply) => {
  await run.write(request)
  return reply.code(201).send({ saved: true })
}

function claimsSuccess(app: Parameters<NonNullable<Ending['around']>>[0]): void {
  app.setErrorHandler((_error, _request, reply) => reply.code(200).send({ friendly: true }))
}

const thrown: Ending[] = [
  {
    name: 'an error without an error handler',
    saves: 'never',
    status: 500,
    handler: worksThenThrows(new Error('after the work')),
  },
  {
    name: 'an error with a status of its own',
    saves: 'never',
    status: 409,
    handler: worksThenThrows(Object.assign(new Error('taken'), { statusCode: 409 })),
  },
  {
    name: 'an error with an error handler',
    saves: 'never',
    status: 418,
    around: app => app.setErrorHandler((_error, _request, reply) => reply.code(418).send('teapot')),
    handler: worksThenThrows(new Error('after the work')),
  },
  {
    name: 'an error with an error handler that answers 200',
    saves: 'never',
    status: 200,
    around: claimsSuccess,
    handler: worksThenThrows(new Error('after the work')),
  },
  {
    name: 'an error handler that answers 200 and writes on top',
    saves: 'never',
    status: 200,
    around: (app, run) =>
      app.setErrorHandler(async (_error, request, reply) => {
        request.db.writer.create(Note, { tag: run().tag, body: 'of the error handler' })
        await request.db.writer.flush()
        return reply.code(200).send({ friendly: true })
      }),
    handler: worksThenThrows(new Error('after the work')),
  },
  {
    name: 'a string that is thrown, with an error handler that answers 200',
    saves: 'never',
    status: 200,
    around: claimsSuccess,
    handler: worksThenThrows('a string'),
  },
  {
    name: 'null that is thrown, with an error handler that answers 200',
    saves: 'never',
    status: 200,
    around: claimsSuccess,
    handler: worksThenThrows(null),
  },
  {
    name: 'undefined that is thrown, with an error handler that answers 200',
    saves: 'never',
    status: 200,
    around: claimsSuccess,
    handler: worksThenThrows(undefined),
  },
  {
    name: 'an error handler that throws as well',
    saves: 'never',
    status: 500,
    around: app =>
      app.setErrorHandler(error => {
        throw error
      }),
    handler: worksThenThrows(new Error('after the work')),
  },
  {
    name: 'reply.send(error)',
    saves: 'never',
    status: 500,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.send(new Error('sent'))
    },
  },
  {
    name: 'an error in a preHandler after a write',
    saves: 'never',
    status: 500,
    around: (app, run) =>
      app.addHook('preHandler', async request => {
        await run().write(request)
        throw new Error('in a hook')
      }),
    handler: works,
  },
  {
    name: 'an error after a commit by hand',
    saves: 'always',
    status: 500,
    handler: async (run, request) => {
      await run.write(request)
      await request.db.commit()
      request.db.writer.create(Note, { tag: run.tag, body: 'third' })
      await request.db.writer.flush()
      throw new Error('after the commit')
    },
  },
  {
    name: 'a body that does not validate, after a hook has written',
    saves: 'never',
    status: 400,
    route: { schema: { body: { type: 'object', required: ['missing'] } } },
    around: (app, run) => app.addHook('preValidation', async request => run().write(request)),
    handler: works,
  },
  {
    name: 'an answer that does not fit its schema',
    saves: 'never',
    status: 500,
    route: {
      schema: { response: { 201: { type: 'object', properties: { id: {} }, required: ['id'] } } },
    },
    handler: works,
  },
  {
    name: 'an error in a preSerialization hook',
    saves: 'never',
    status: 500,
    around: app =>
      app.addHook('preSerialization', async () => {
        throw new Error('in a hook')
      }),
    handler: works,
  },
]

endings('errors', thrown)

const failsAtCommit: Ending = {
  name: 'a COMMIT that the server refuses',
  saves: 'never',
  status: mode => (mode === 'manual' ? 201 : 500),
  handler: async (run, request, reply) => {
    await run.write(request, 'refused')
    return reply.code(201).send({ saved: true })
  },
}

endings(
  'failing work',
  [
    failsAtCommit,
    {
      ...failsAtCommit,
      name: 'the same with an error handler that answers 200',
      around: claimsSuccess,
      status: mode => (mode === 'manual' ? 201 : 200),
    },
    {
      name: 'the same before a string is sent',
      saves: 'never',
      status: mode => (mode === 'manual' ? 200 : 500),
      handler: async (run, request) => {
        await run.write(request, 'refused')
        return 'saved'
      },
    },
    {
      name: 'a pending entity that the server refuses, found before serialization',
      saves: 'never',
      status: mode => (mode === 'manual' ? 201 : 500),
      handler: async (run, request, reply) => {
        await run.write(request)
        request.db.writer.create(Note, { id: 2 ** 40, tag: run.tag, body: 'out of range' })
        return reply.code(201).send({ saved: true })
      },
    },
    {
      name: 'a pending entity that the server refuses, found when a string is sent',
      saves: 'never',
      status: mode => (mode === 'manual' ? 200 : 500),
      handler: async (run, request) => {
        await run.write(request)
        request.db.writer.create(Note, { id: 2 ** 40, tag: run.tag, body: 'out of range' })
        return 'saved'
      },
    },
    {
      name: 'a failed statement whose error was swallowed',
      saves: 'never',
      status: mode => (mode === 'manual' ? 200 : 500),
      handler: async (run, request) => {
        await run.write(request)
        await request.db.writer.flush()
        await request.db.writer.execute('select 1 / 0').catch(() => {})
        return 'saved'
      },
    },
    {
      name: 'a line of the logger engine that the server refuses',
      saves: 'never',
      audits: 1,
      status: mode => (mode === 'manual' ? 200 : 500),
      handler: async (run: Run, request) => {
        await run.write(request)
        request.db.logger.create(Note, { id: 2 ** 40, tag: run.tag, body: 'out of range' })
        return 'saved'
      },
    },
  ],
  { places: MODES },
)
