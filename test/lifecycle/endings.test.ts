import { Readable } from 'node:stream'
import { type Ending, endings, MODES, type Run } from '../support/matrix.ts'

const STATUSES: readonly [number, Ending['saves']][] = [
  [200, 'success'],
  [201, 'success'],
  [204, 'success'],
  [302, 'redirect'],
  [303, 'redirect'],
  [400, 'never'],
  [404, 'never'],
  [500, 'never'],
]

const PAYLOADS: readonly [string, () => unknown][] = [
  ['an object', () => ({ saved: true })],
  ['a string', () => 'saved'],
  ['a Buffer', () => Buffer.from('saved')],
  ['a stream', () => Readable.from(['sa', 'ved'])],
  ['a web stream', () => new Blob(['saved']).stream()],
  ['a Response', () => undefined],
  ['null', () => null],
]

const answered: Ending[] = STATUSES.flatMap(([status, saves]) =>
  PAYLOADS.map(([kind, payload]) => ({
    name: `a handler that answers ${status} with ${kind}`,
    saves,
    status,
    async handler(run, request, reply) {
      await run.write(request)
      if (kind === 'a Response') return new Response(status === 204 ? null : 'saved', { status })
      reply.code(status)
      return payload()
    },
  })),
)

endings('answers by status and kind of payload', answered, { places: MODES })

const unknown = (run: Run) => run.test.ask('POST', `/nowhere${run.path}`, { body: {} })
const missing: Ending[] = [
  {
    name: 'a 404 handler that answers 404 after a write',
    saves: 'never',
    status: 404,
    client: unknown,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(404).send({ missing: true })
    },
  },
  {
    name: 'a 404 handler that answers 200 with an object',
    saves: 'success',
    status: 200,
    client: unknown,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(200).send({ saved: true })
    },
  },
  {
    name: 'a 404 handler that answers 200 with a string',
    saves: 'success',
    status: 200,
    client: unknown,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(200).send('saved')
    },
  },
  {
    name: 'a 404 handler that throws',
    saves: 'never',
    status: 500,
    client: unknown,
    handler: async (run, request) => {
      await run.write(request)
      throw new Error('lost')
    },
  },
  {
    name: 'reply.callNotFound with a 404 handler that answers 200',
    saves: 'success',
    status: 200,
    client: run => run.test.ask('GET', `/calls-not-found${run.path}`),
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(200).send({ saved: true })
    },
  },
]

endings('404 handlers', missing, {
  places: MODES,
  root(app, find) {
    app.get('/calls-not-found/*', (_request, reply) => reply.callNotFound())
    app.setNotFoundHandler((request, reply) => {
      const { ending, run } = find(`/${request.url.split('/').at(-1)}`)
      return ending.handler(run, request, reply)
    })
  },
})
