import { defineEntity, p } from '@mikro-orm/sql'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { type ClientError, databaseErrors, isClientError } from '../../plugins/repository/index.ts'
import sqlAssist, { type EngineOptions } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'

const Author = defineEntity({
  name: 'Author',
  tableName: 'tbl_author',
  properties: {
    id: p.integer().primary(),
    name: p.string().fieldName('col_name').unique(),
    age: p.integer().check('age >= 0').nullable(),
  },
})
const Note = defineEntity({
  name: 'Note',
  tableName: 'tbl_note',
  properties: {
    id: p.integer().primary(),
    author: () =>
      p
        .manyToOne(Author)
        .fieldName('col_author')
        .deferMode('deferred' as never),
  },
})

const TAKEN = {
  statusCode: 409,
  code: 'SQLA_ERR_UNIQUE_VIOLATION',
  error: 'Conflict',
  message: 'There is already an Author with this name',
}

interface Line {
  readonly level: number
  readonly msg: string
  readonly err?: { readonly code?: string; readonly message: string; readonly stack: string }
}

interface Scene {
  readonly app: FastifyInstance
  readonly logs: Line[]
  readonly names: () => Promise<string[]>
  readonly ask: (url: string) => Promise<{ status: number; body: unknown }>
}

async function scene(
  t: Test,
  backend: TestBackend,
  routes: (app: FastifyInstance) => unknown,
  plugin: 'registered' | 'left out' = 'registered',
): Promise<Scene> {
  const orm = await backend.orm(t, {
    entities: backend.dialect === 'mysql' ? [Author] : [Author, Note],
  })
  await orm.schema.drop()
  await orm.schema.create()
  await orm.em.fork().insert(Author, { id: 1, name: 'Ann' })
  const logs: Line[] = []
  const app = Fastify({
    logger: { level: 'info', stream: { write: (line: string) => logs.push(JSON.parse(line)) } },
  })
  t.teardown(() => app.close())
  await app.register(sqlAssist, {
    engines: { writer: { orm } as EngineOptions },
    commitMode: 'autocommit',
  })
  if (plugin === 'registered') await app.register(databaseErrors)
  routes(app)
  return {
    app,
    logs,
    names: async () => (await orm.em.fork().find(Author, {}, { orderBy: { id: 1 } })).map(({ name }) => name),
    async ask(url) {
      const { statusCode, body } = await app.inject({ url })
      return { status: statusCode, body: body.startsWith('{') ? JSON.parse(body) : body }
    },
  }
}

await onEveryBackend(t, async (t, backend) => {
  t.test(
    'what a handler throws, and the flush and COMMIT after it, are answered with their status',
    async t => {
      const { ask, names, logs } = await scene(t, backend, app => {
        app.get('/statement', async request => {
          await request.db.writer.insert(Author, { id: 2, name: 'Ann' })
        })
        // An object: flushed before it is serialised.
        app.get('/flush-object', async request => request.db.writer.create(Author, { id: 2, name: 'Ann' }))
        // Text: flushed in front of COMMIT.
        app.get('/flush-text', async request => {
          request.db.writer.create(Author, { id: 3, name: 'Bob' })
          request.db.writer.create(Author, { id: 2, name: 'Ann' })
          return 'saved'
        })
        app.get('/check', async request => request.db.writer.create(Author, { id: 2, name: 'Bob', age: -1 }))
        app.get('/missing', async request => request.db.writer.create(Author, { id: 2 } as never))
        app.get('/nobody', async request => request.db.writer.findOneOrFail(Author, 55))
      })
      for (const url of ['/statement', '/flush-object', '/flush-text']) {
        t.same(await ask(url), { status: 409, body: TAKEN }, url)
      }
      t.match(await ask('/check'), {
        status: 422,
        body: { code: 'SQLA_ERR_CHECK_VIOLATION', message: 'age of Author: this value is not allowed' },
      })
      t.match(await ask('/missing'), { status: 422, body: { message: 'name of Author is required' } })
      t.match(await ask('/nobody'), { status: 404, body: { message: 'There is no Author with this key' } })
      t.same(await names(), ['Ann'], 'nothing was saved')
      const levels = logs.filter(line => line.err !== undefined).map(line => line.level)
      t.same(levels, Array(6).fill(30), 'none of it is an error of the server')
      t.ok(
        logs.some(line => line.err?.stack.includes('caused by')),
        'the log has the original',
      )
    },
  )

  t.test('error handlers are given the error: that of the application, a context and a route', async t => {
    const seen: unknown[] = []
    const { ask } = await scene(t, backend, app => {
      const handler = async (request: FastifyRequest) =>
        request.db.writer.insert(Author, { id: 2, name: 'Ann' })
      app.setErrorHandler((error, _request, reply) => {
        seen.push(error)
        if (!isClientError(error)) return reply.send(error)
        reply.code(error.statusCode).send({ entity: error.entity, fields: error.fields })
      })
      app.get('/application', handler)
      app.get(
        '/route',
        {
          errorHandler(error, _request, reply) {
            reply.code(418).send({ message: error.message })
          },
        },
        handler,
      )
      app.get(
        '/rethrown',
        {
          errorHandler(error) {
            throw error
          },
        },
        handler,
      )
      app.register(async context => {
        context.setErrorHandler((error, _request, reply) => {
          reply.code(419).send({ fields: (error as ClientError).fields })
        })
        context.get('/context', handler)
      })
    })
    t.same(await ask('/application'), { status: 409, body: { entity: 'Author', fields: ['name'] } })
    t.same(await ask('/route'), { status: 418, body: { message: TAKEN.message } })
    t.same(await ask('/rethrown'), { status: 409, body: { entity: 'Author', fields: ['name'] } })
    t.same(await ask('/context'), { status: 419, body: { fields: ['name'] } })
    t.equal(seen.length, 2)
  })

  t.test('a route says no, and so does an application that does not register it', async t => {
    const routes = (app: FastifyInstance) => {
      app.get('/no', { config: { databaseErrors: false } }, async request =>
        request.db.writer.insert(Author, { id: 2, name: 'Ann' }),
      )
      app.get('/yes', async request => request.db.writer.insert(Author, { id: 2, name: 'Ann' }))
    }
    const some = await scene(t, backend, routes)
    t.equal((await some.ask('/no')).status, 500)
    t.equal((await some.ask('/yes')).status, 409)
    const none = await scene(t, backend, routes, 'left out')
    t.equal((await none.ask('/yes')).status, 500)
  })

  // MariaDB checks foreign keys at once.
  if (backend.dialect === 'mysql') return
  t.test(
    'a COMMIT that fails on a deferred constraint is a 409, and the client never sees success',
    async t => {
      const { ask, app } = await scene(t, backend, app => {
        app.get('/note', async (request, reply) => {
          const { writer } = request.db
          if (backend.dialect === 'sqlite') await writer.execute('pragma defer_foreign_keys = on')
          await writer.insert(Note, { id: 1, author: 99 } as never)
          reply.code(201)
          return { saved: true }
        })
      })
      const answer = await ask('/note')
      t.match(answer, { status: 409, body: { code: 'SQLA_ERR_FOREIGN_KEY_VIOLATION' } })
      if (backend.dialect === 'postgresql') {
        t.match(answer, { body: { message: 'author: there is no Author with this key' } })
      }
      t.equal(await app.sqlAssist.run(db => db.writer.count(Note)), 0)
    },
  )
})

t.test('everything else is what it was without it', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const boom = Object.assign(new Error('boom'), { statusCode: 503 })
      const thrown: Record<string, unknown> = {
        error: new Error('plain'),
        status: boom,
        text: 'text',
        object: { statusCode: 418, message: 'teapot' },
        nothing: null,
      }
      const answers = async (plugin: 'registered' | 'left out', own: boolean) => {
        const seen: unknown[] = []
        const hooked: unknown[] = []
        const { app, ask } = await scene(
          t,
          backend,
          app => {
            if (own) {
              app.setErrorHandler((error, _request, reply) => {
                seen.push(error)
                reply.send(error)
              })
            }
            app.addHook('onError', async (_request, _reply, error) => {
              hooked.push(error)
            })
            for (const [name, value] of Object.entries(thrown)) {
              app.get(`/${name}`, async () => {
                throw value
              })
            }
            app.get('/sql', async request => request.db.writer.execute('select nonsense'))
            app.get(
              '/invalid',
              { schema: { querystring: { type: 'object', required: ['a'] } } },
              async () => 1,
            )
            app.get('/fine', async () => ({ fine: true }))
          },
          plugin,
        )
        const urls = [...Object.keys(thrown).map(name => `/${name}`), '/sql', '/invalid', '/fine', '/nowhere']
        const told: unknown[] = []
        for (const url of urls) told.push(await ask(url))
        await app.close()
        return {
          told,
          seen: seen.filter(error => Object.values(thrown).includes(error)),
          hooks: hooked.length,
        }
      }
      for (const own of [false, true]) {
        t.same(await answers('registered', own), await answers('left out', own), `own error handler: ${own}`)
      }
    },
    ['SQLite'],
  )
})

t.test(
  'of several engines, those whose entities know the table are asked; where they disagree, nobody',
  async t => {
    await onEveryBackend(
      t,
      async (t, backend) => {
        const writers = (name: string) =>
          defineEntity({
            name,
            tableName: 'tbl_author',
            properties: {
              id: p.integer().primary(),
              name: p.string().fieldName('col_name').unique(),
            },
          })
        const ask = async (name: string) => {
          const orm = await backend.orm(t, { entities: [writers('Writer')] })
          await orm.schema.refresh()
          const app = Fastify()
          t.teardown(() => app.close())
          const other = await backend.orm(t, { entities: [writers(name)] })
          const engines = { default: { orm }, other: { orm: other } } as Record<string, EngineOptions>
          await app.register(sqlAssist, { engines })
          await app.register(databaseErrors)
          app.get('/', async request => {
            await request.db.get('default').execute("insert into tbl_author (col_name) values ('a'), ('a')")
          })
          return (await app.inject('/')).json().message
        }
        t.equal(await ask('Writer'), 'There is already a Writer with this name')
        t.equal(await ask('Person'), 'There is already one like this')
      },
      ['SQLite'],
    )
  },
)

t.test('a request that does not fail meets none of it: a route has no hook more', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const hooks = async (plugin: 'registered' | 'left out') => {
        const { app } = await scene(t, backend, app => app.get('/', async () => 'fine'), plugin)
        await app.ready()
        return app.printRoutes({ includeHooks: true }).replaceAll(/errorHandler.*\n/g, '')
      }
      t.equal(await hooks('registered'), await hooks('left out'))
    },
    ['SQLite'],
  )
})

t.test('it needs sqlAssist, and says so', async t => {
  const app = Fastify()
  await t.rejects(async () => app.register(databaseErrors), /fastify-sqlassist/)
})
