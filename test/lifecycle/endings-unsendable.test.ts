import { type Ending, endings, MODES } from '../support/matrix.ts'

const works: Ending['handler'] = async (run, request, reply) => {
  await run.write(request)
  return reply.code(201).send({ saved: true })
}

function claimsSuccess(app: Parameters<NonNullable<Ending['around']>>[0]): void {
  app.setErrorHandler((_error, _request, reply) => reply.code(200).send({ friendly: true }))
}

const throwing = async () => {
  throw new Error('in a hook')
}
const replacedBy =
  (payload: unknown): NonNullable<Ending['around']> =>
  app =>
    app.addHook('onSend', async (_request, reply) => (reply.statusCode < 300 ? payload : '{}'))

const withHeader =
  (name: string, value: unknown): Ending['handler'] =>
  async (run, request, reply) => {
    await run.write(request)
    return reply.code(201).header(name, value).send({ saved: true })
  }

const unsendable: Ending[] = [
  {
    name: 'an onSend hook of the context that throws',
    saves: 'never',
    status: 500,
    around: app => app.addHook('onSend', throwing),
    handler: works,
  },
  {
    name: 'an onSend hook of the route that throws',
    saves: 'never',
    status: 500,
    route: { onSend: throwing },
    handler: works,
  },
  {
    name: 'an onSend hook of a later plugin, added by onRoute, that throws',
    saves: 'never',
    status: 500,
    around: app =>
      app.addHook('onRoute', route => {
        route.onSend = [route.onSend ?? [], throwing].flat()
      }),
    handler: works,
  },
  {
    name: 'an onSend hook that throws once, with an error handler that answers 200',
    saves: 'never',
    status: 200,
    around: app => {
      let thrown = false
      claimsSuccess(app)
      app.addHook('onSend', async () => {
        if (thrown) return
        thrown = true
        throw new Error('once')
      })
    },
    handler: works,
  },
  {
    name: 'a header with a line feed',
    saves: 'never',
    status: 500,
    handler: withHeader('x-note', 'two\nlines'),
  },
  {
    name: 'a header with a character beyond latin 1',
    saves: 'never',
    status: 500,
    handler: withHeader('x-note', '\u0394'),
  },
  {
    name: 'a header whose name has a space',
    saves: 'never',
    status: 500,
    handler: withHeader('x note', 'value'),
  },
  {
    name: 'a list of cookies of which one cannot be sent',
    saves: 'never',
    status: 500,
    handler: withHeader('set-cookie', ['a=1', 'b=\u0000']),
  },
  {
    name: 'an onSend hook that answers an object',
    saves: 'never',
    status: 500,
    around: replacedBy({ an: 'object' }),
    handler: works,
  },
  {
    name: 'an onSend hook that answers a number',
    saves: 'never',
    status: 500,
    around: replacedBy(7),
    handler: works,
  },
  {
    name: 'an onSend hook that answers a Uint8Array',
    saves: 'never',
    status: 500,
    around: replacedBy(new Uint8Array([55])),
    handler: works,
  },
  {
    name: 'a Response whose body has been read',
    saves: 'never',
    status: 500,
    handler: async (run, request) => {
      await run.write(request)
      const response = new Response('read')
      await response.text()
      return response
    },
  },
]

endings('answers that cannot be sent', unsendable, { places: MODES })
