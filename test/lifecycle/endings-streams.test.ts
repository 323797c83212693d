import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { sql } from 'kysely'
import type { SqlEm } from '../../src/index.ts'
import { Note } from '../support/app.ts'
import { type Ending, endings, MODES, type Run } from '../support/matrix.ts'

/** Reads what a stream sends until the first byte, then hangs up and waits for the server to notice. */
const hangsUp =
  (method: string): NonNullable<Ending['client']> =>
  async run => {
    const call = run.test.call(method, run.path, method === 'POST' ? { body: {} } : {})
    await call.started
    call.abort()
    await run.after.promise
    return (await call.answer).status
  }

/** Tells the client when the server has noticed that it hung up. */
function tellsWhenClosed(run: Run, reply: FastifyReply): void {
  once(reply.raw, 'close').then(run.after.resolve)
}

async function* forever() {
  yield 'first'
  await new Promise(() => {})
}

async function* failsMidway() {
  yield 'first'
  throw new Error('midway')
}

type Rows = AsyncIterable<{ id: number }>

/** Rows without an end that anybody would wait for. */
function manyRows(session: SqlEm): Rows {
  const numbers = sql<{ id: number }>`(select generate_series(1, 10000000) as id)`.as('numbers')
  return session.getKysely().selectFrom(numbers).select('id').stream(1) as Rows
}

/** One row at once, the next one in a minute. */
function slowRows(session: SqlEm): Rows {
  const numbers = sql<{ id: number }>`(
    select id, pg_sleep(case when id = 1 then 0 else 60 end) from generate_series(1, 2) as id
  )`.as('numbers')
  return session.getKysely().selectFrom(numbers).select('id').stream(1) as Rows
}

/** Stops in the middle of a stream of entities, with its cursor open. */
async function* stopsReading(rows: Rows) {
  yield 'first'
  for await (const { id } of rows) {
    yield `${id}`
    await new Promise(() => {})
  }
}

async function* idsOf(rows: Rows) {
  for await (const { id } of rows) yield `${id}\n`
}

const complete =
  (expected: boolean): NonNullable<Ending['verify']> =>
  (_run, t, answer) =>
    t.match(answer, { complete: expected })

const table: Ending[] = [
  {
    name: 'a stream that is read to its end',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.send(Readable.from(['all', ' of it']))
    },
    verify: complete(true),
  },
  {
    name: 'a stream with a status that does not commit',
    method: 'GET',
    saves: 'never',
    status: 409,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.code(409).send(Readable.from(['no']))
    },
  },
  {
    name: 'a stream that fails midway: the answer had begun, so it had been committed',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.send(Readable.from(failsMidway()))
    },
    verify: complete(false),
  },
  {
    name: 'a stream that fails before its first byte: committed, and a 500',
    method: 'GET',
    saves: 'success',
    status: 500,
    handler: async (run, request, reply) => {
      await run.write(request)
      const stream = new Readable({
        read() {
          this.destroy(new Error('before the first byte'))
        },
      })
      return reply.send(stream)
    },
  },
  {
    name: 'a client that hangs up in the middle of a stream',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.from(forever()))
    },
    client: hangsUp('GET'),
  },
  {
    name: 'a client that hangs up in the middle of the stream that answers a POST',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.from(forever()))
    },
    client: hangsUp('POST'),
  },
  {
    name: 'a client that hangs up in the middle of a web stream',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.toWeb(Readable.from(forever())) as unknown as ReadableStream)
    },
    client: hangsUp('GET'),
  },
  {
    name: 'a stream of rows of the reader',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      const rows = request.db.reader
        .getKysely()
        .selectFrom(sql<{ id: number }>`(select generate_series(1, 2) as id)`.as('t'))
      return reply.send(Readable.from(idsOf(rows.select('id').stream() as Rows)))
    },
    verify: (_run, t, answer) => t.match(answer, { body: '1\n2\n' }),
  },
  {
    name: 'a stream of rows of the session that has written them',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.send(
        Readable.from(idsOf(request.db.writer.stream(Note, { where: { tag: run.tag } }) as Rows)),
      )
    },
    verify: (run, t, answer) =>
      t.match(answer, { complete: true, body: run.mode === 'manual' ? '' : /^\d+\n\d+\n$/ }),
  },
  {
    name: 'a client that hangs up in the middle of a stream of rows of the session',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.from(idsOf(manyRows(request.db.writer))))
    },
    client: hangsUp('GET'),
  },
  {
    name: 'a client that hangs up in the middle of a stream of entities that is not read any further',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.from(stopsReading(request.db.writer.stream(Note) as Rows)))
    },
    client: hangsUp('GET'),
  },
  {
    name: 'a client that hangs up in the middle of a stream of rows of a snapshot',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.from(idsOf(manyRows(request.db.reader))))
    },
    client: hangsUp('GET'),
  },
  {
    name: 'a client that hangs up while a stream waits for a row that does not come',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      tellsWhenClosed(run, reply)
      return reply.send(Readable.from(idsOf(slowRows(request.db.writer))))
    },
    client: hangsUp('GET'),
  },
  {
    name: 'a connection that dies in the middle of a stream of its rows',
    method: 'GET',
    saves: 'success',
    status: 200,
    handler: async (run, request, reply) => {
      await run.write(request)
      return reply.send(Readable.from(idsOf(manyRows(request.db.writer))))
    },
    client: async run => {
      const call = run.test.call('GET', run.path)
      await call.started
      await run.database.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = $1 and application_name = $2 and query like '%generate_series(1, 10000000)%'`,
        [run.database.name, run.test.applicationName],
      )
      return call.answer
    },
    verify: complete(false),
  },
]

endings('streams', table, { places: MODES })
