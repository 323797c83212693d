import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Audit, Note } from '../support/app.ts'

/** One kind of ending: what its handler does after it has written its two rows. */
interface Kind {
  /** Whether the rows of a request that was answered are there. */
  readonly saves: boolean
  /** The status of an answer, if it always is the same; undefined: there is none. */
  readonly status: number | undefined
  /** Never answers: its client always hangs up. */
  readonly stuck?: boolean
  end(request: FastifyRequest, reply: FastifyReply): unknown
}

async function* failsMidway() {
  yield 'first'
  throw new Error('midway')
}

const thrown =
  (statusCode: number): Kind['end'] =>
  () => {
    throw Object.assign(new Error('asked for'), { statusCode })
  }

export const KINDS = {
  object: { saves: true, status: 200, end: () => ({ saved: true }) },
  string: { saves: true, status: 200, end: () => 'saved' },
  buffer: { saves: true, status: 200, end: () => Buffer.from('saved') },
  empty: { saves: true, status: 204, end: (_, reply) => reply.code(204).send() },
  created: { saves: true, status: 201, end: (_, reply) => reply.code(201).send({ saved: true }) },
  callback: {
    saves: true,
    status: 201,
    end: (_, reply) => {
      setImmediate(() => reply.code(201).send({ saved: true }))
      return reply
    },
  },
  twice: {
    saves: true,
    status: 200,
    end: (_, reply) => {
      reply.send({ first: true })
      return reply.send({ second: true })
    },
  },
  stream: { saves: true, status: 200, end: (_, reply) => reply.send(Readable.from(['a', 'b'])) },
  rows: {
    saves: true,
    status: 200,
    end: (request, reply) => {
      const rows = request.db.writer.stream(Note, { where: { tag: (request.query as Query).tag } })
      const texts = async function* () {
        for await (const note of rows) yield note.body
      }
      return reply.send(Readable.from(texts()))
    },
  },
  midway: { saves: true, status: 200, end: (_, reply) => reply.send(Readable.from(failsMidway())) },
  beforeFirstByte: {
    saves: true,
    status: 500,
    end: (_, reply) =>
      reply.send(
        new Readable({
          read() {
            this.destroy(new Error('before the first byte'))
          },
        }),
      ),
  },
  goesOn: {
    saves: true,
    status: 200,
    end: async (request, reply) => {
      reply.send({ saved: true })
      await once(reply.raw, 'close')
      await request.db.writer.find(Note, {}).catch(() => {})
      return reply
    },
  },
  slow: {
    saves: true,
    status: 200,
    end: async request => {
      await request.db.writer.execute('select pg_sleep(0.005)')
      return { saved: true }
    },
  },
  redirect: { saves: false, status: 302, end: (_, reply) => reply.redirect('/elsewhere') },
  refused: { saves: false, status: 400, end: (_, reply) => reply.code(400).send({ saved: false }) },
  notFound: { saves: false, status: 404, end: (_, reply) => reply.callNotFound() },
  failed: { saves: false, status: 500, end: (_, reply) => reply.code(500).send('failed') },
  thrown: { saves: false, status: 500, end: thrown(500) },
  conflict: { saves: false, status: 409, end: thrown(409) },
  friendly: { saves: false, status: 200, end: thrown(499) },
  hijacked: {
    saves: false,
    status: 200,
    end: (_, reply) => {
      reply.hijack()
      reply.raw.end('by hand')
    },
  },
  byHand: {
    saves: false,
    status: 200,
    end: (_, reply) => {
      reply.raw.end('by hand')
      return reply
    },
  },
  badHeader: { saves: false, status: 500, end: (_, reply) => reply.header('x-bad', 'a\nb').send({}) },
  hookThrows: { saves: false, status: 500, end: (_, reply) => reply.header('x-throw', 'please').send({}) },
  unserializable: { saves: false, status: 500, end: () => ({ big: 1n }) },
  atCommit: {
    saves: false,
    status: 500,
    end: request => {
      request.db.writer.create(Note, { tag: (request.query as Query).tag, body: 'refused' })
      return { saved: true }
    },
  },
  atFlush: {
    saves: false,
    status: 500,
    end: request => {
      request.db.writer.create(Note, { id: 2 ** 40, tag: (request.query as Query).tag, body: 'no' })
      return { saved: true }
    },
  },
  swallowed: {
    saves: false,
    status: 500,
    end: async request => {
      await request.db.writer.execute('select 1 / 0').catch(() => {})
      return { saved: true }
    },
  },
  killed: {
    saves: false,
    status: 503,
    end: async request => {
      await request.db.writer.execute('select pg_terminate_backend(pg_backend_pid())').catch(() => {})
      return { saved: true }
    },
  },
  rolledBack: {
    saves: false,
    status: 200,
    end: async request => {
      await request.db.rollback()
      return { saved: false }
    },
  },
  committed: {
    saves: true,
    status: 500,
    end: async (request, reply) => {
      await request.db.commit()
      return reply.code(500).send('after a commit')
    },
  },
  never: { saves: false, status: undefined, stuck: true, end: () => new Promise(() => {}) },
  sleeps: {
    saves: false,
    status: undefined,
    stuck: true,
    end: request => request.db.writer.execute('select pg_sleep(60)'),
  },
  unread: {
    saves: false,
    status: undefined,
    stuck: true,
    end: async request => {
      await request.db.writer.stream(Note).next()
      return new Promise(() => {})
    },
  },
} satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS
export const kindOf = (name: KindName): Kind => KINDS[name]

interface Query {
  readonly tag: string
  readonly kind: KindName
}

/** Every request writes two rows in two statements, uses the other engines too, and ends as it was asked to. */
export function addEndings(app: FastifyInstance): void {
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const { statusCode = 500 } = error
    return statusCode === 499 ? reply.code(200).send({ friendly: true }) : reply.code(statusCode).send(error)
  })
  app.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('x-throw')) return
    reply.removeHeader('x-throw')
    throw new Error('in a hook')
  })
  for (const method of ['GET', 'POST'] as const) {
    app.route({
      method,
      url: '/',
      exposeHeadRoute: false,
      handler: async (request, reply) => {
        const { tag, kind } = request.query as Query
        const { writer, reader, logger } = request.db
        await writer.persist(writer.create(Note, { tag, body: 'first' })).flush()
        await reader.findOne(Note, { id: 0 })
        logger.create(Audit, { tag })
        await writer.persist(writer.create(Note, { tag, body: 'second' })).flush()
        return kindOf(kind).end(request, reply)
      },
    })
  }
}
