import fastifySwagger from '@fastify/swagger'
import { defineEntity, p } from '@mikro-orm/sql'
import Fastify, { type InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import {
  type CrudOptions,
  filterQuery,
  orderBy,
  Repository,
  registerCrud,
  Service,
  uuidPrimary,
} from '../../plugins/repository/index.ts'
import sqlAssist, { type EngineOptions, type SqlAssistOptions, type SqlEm } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'

const AuthorSchema = defineEntity({
  name: 'Author',
  tableName: 'crud_author',
  properties: {
    id: p.integer().primary(),
    name: p.string().length(40).unique(),
    rank: p.integer().default(7),
    secret: p.string().hidden().nullable(),
    books: () => p.oneToMany(Book).mappedBy('author'),
  },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const BookSchema = defineEntity({
  name: 'Book',
  tableName: 'crud_book',
  properties: {
    ...uuidPrimary(),
    title: p.string(),
    author: () => p.manyToOne(Author).deleteRule('no action'),
  },
})
class Book extends BookSchema.class {}
BookSchema.setClass(Book)

const SeatSchema = defineEntity({
  name: 'Seat',
  tableName: 'crud_seat',
  properties: { row: p.string().primary(), number: p.integer().primary(), guest: p.string().nullable() },
})
class Seat extends SeatSchema.class {}
SeatSchema.setClass(Seat)

const authorSchemas = {
  item: {
    type: 'object',
    properties: { id: { type: 'integer' }, name: { type: 'string' }, rank: { type: 'integer' } },
  },
  create: {
    type: 'object',
    required: ['name'],
    additionalProperties: false,
    properties: { name: { type: 'string', maxLength: 60 }, rank: { type: 'integer', default: 1 } },
  },
}

async function crudApp(
  t: Test,
  backend: TestBackend,
  options: Partial<CrudOptions<Author>> = {},
  plugin: Partial<SqlAssistOptions> = {},
) {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = () => backend.options({ entities: [Author, Book, Seat] })
  await app.register(sqlAssist, {
    engines: { writer: { orm: orm(), createAll: true } as EngineOptions },
    ...plugin,
  })
  await app.register(fastifySwagger, { openapi: {} })
  await registerCrud(app, {
    prefix: '/authors',
    service: (session: SqlEm) => new Service(Author, session),
    schemas: authorSchemas,
    ...options,
  })
  return app
}

await onEveryBackend(t, async (t, backend) => {
  const cleaner = await backend.orm(t, { entities: [Author, Book, Seat] })
  await cleaner.schema.update()
  t.beforeEach(async () => {
    const em = cleaner.em.fork()
    await em.nativeDelete(Book, {})
    await em.nativeDelete(Author, {})
    await em.nativeDelete(Seat, {})
  })

  t.test('five routes of one entity, saved though the commit mode is manual', async t => {
    const app = await crudApp(t, backend)
    const created = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada', nope: 1 } })
    t.equal(created.statusCode, 201)
    const { id } = created.json()
    t.strictSame(created.json(), { id, name: 'Ada', rank: 1 })
    t.equal(created.headers.location, `/authors/${id}`)

    const read = await app.inject(String(created.headers.location))
    t.strictSame([read.statusCode, read.json()], [200, { id, name: 'Ada', rank: 1 }])

    const patched = await app.inject({ method: 'PATCH', url: `/authors/${id}`, payload: { name: 'Ada L.' } })
    t.strictSame(
      [patched.statusCode, patched.json()],
      [200, { id, name: 'Ada L.', rank: 1 }],
      'what a patch does not mention stays, defaults of the create or not',
    )
    await app.inject({ method: 'PATCH', url: `/authors/${id}`, payload: { rank: 5 } })

    await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Bea' } })
    const list = await app.inject('/authors?pageSize=1&currentPage=2')
    t.equal(list.statusCode, 200)
    t.match(list.json(), { total: 2, limit: 1, offset: 1, items: [{ name: 'Bea' }] })

    const deleted = await app.inject({ method: 'DELETE', url: `/authors/${id}` })
    t.strictSame([deleted.statusCode, deleted.body], [204, ''])
    t.equal((await app.inject(`/authors/${id}`)).statusCode, 404)
    t.equal(await new Repository(Author, cleaner.em.fork() as SqlEm).count(), 1)
  })

  t.test('what cannot be is refused, and nothing is saved', async t => {
    const app = await crudApp(t, backend)
    const ada = (await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada' } })).json()
    const em = cleaner.em.fork()
    em.create(Book, { title: 'one', author: ada.id })
    await em.flush()
    const attempts: [string, InjectOptions, number, string][] = [
      ['a name that is taken', { method: 'POST', url: '/authors', payload: { name: 'Ada' } }, 409, 'UNIQUE'],
      [
        'a key that is not there',
        { method: 'PATCH', url: '/authors/9999999', payload: { rank: 1 } },
        404,
        'NOT_FOUND',
      ],
      ['a key that is not there', { method: 'DELETE', url: '/authors/9999999' }, 404, 'NOT_FOUND'],
      ['a key that is none', { url: '/authors/x' }, 400, 'VALIDATION'],
      ['an empty patch', { method: 'PATCH', url: `/authors/${ada.id}`, payload: {} }, 400, 'VALIDATION'],
      ['a body without a name', { method: 'POST', url: '/authors', payload: {} }, 400, 'VALIDATION'],
      ['a page of nothing', { url: '/authors?pageSize=0' }, 400, 'VALIDATION'],
      ['too large a page', { url: '/authors?pageSize=101' }, 400, 'VALIDATION'],
      ['somebody who is referred to', { method: 'DELETE', url: `/authors/${ada.id}` }, 409, 'FOREIGN_KEY'],
    ]
    // SQLite has no lengths.
    if (backend.dialect !== 'sqlite') {
      const payload = { name: 'x'.repeat(50) }
      attempts.push([
        'a name that is too long',
        { method: 'POST', url: '/authors', payload },
        422,
        'INVALID_VALUE',
      ])
    }
    for (const [name, request, status, code] of attempts) {
      const answer = await app.inject(request)
      t.equal(answer.statusCode, status, `${name}: ${answer.body}`)
      t.match(answer.json().code, code, name)
    }
    const rows = await cleaner.em.fork().find(Author, {})
    t.match(rows, [{ name: 'Ada', rank: 1 }])
  })

  t.test('a list takes the filters that were declared', async t => {
    const filters = filterQuery(Author, { pagination: true, search: ['name'], orderBy: ['rank', 'name'] })
    const app = await crudApp(t, backend, { filters })
    for (const [name, rank] of Object.entries({ Ada: 3, Bea: 2, Adam: 1 })) {
      await app.inject({ method: 'POST', url: '/authors', payload: { name, rank } })
    }
    const answer = await app.inject('/authors?searchString=Ada&orderBy=rank&sortOrder=desc')
    t.equal(answer.statusCode, 200)
    t.same(
      answer.json().items.map((author: Author) => author.name),
      ['Ada', 'Adam'],
    )
    t.equal(answer.json().total, 2)
    t.equal((await app.inject('/authors?orderBy=secret')).statusCode, 400)
  })

  t.test('a composite key is a path of several parts', async t => {
    const app = await crudApp(t, backend)
    await registerCrud(app, {
      prefix: '/seats',
      service: (session: SqlEm) => new Service(Seat, session),
      schemas: {
        key: { row: { type: 'string' }, number: { type: 'integer' } },
        item: {
          type: 'object',
          properties: {
            row: { type: 'string' },
            number: { type: 'integer' },
            guest: { type: ['string', 'null'] },
          },
        },
        create: {
          type: 'object',
          required: ['row', 'number'],
          properties: {
            row: { type: 'string' },
            number: { type: 'integer' },
            guest: { type: 'string' },
          },
        },
        patch: { type: 'object', additionalProperties: false, properties: { guest: { type: 'string' } } },
      },
    })
    const payload = { row: 'a/b c', number: 3 }
    const created = await app.inject({ method: 'POST', url: '/seats', payload })
    t.equal(created.headers.location, '/seats/a%2Fb%20c/3')
    const location = String(created.headers.location)
    const patched = await app.inject({ method: 'PATCH', url: location, payload: { guest: 'Bea' } })
    t.strictSame(patched.json(), { ...payload, guest: 'Bea' })
    t.equal((await app.inject('/seats/a%2Fb%20c/4')).statusCode, 404)
    t.equal((await app.inject({ method: 'DELETE', url: location })).statusCode, 204)
  })
})

t.test('on PostgreSQL', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      t.test('a service class, some of the routes, and a session of the handler', async t => {
        const sessions: string[] = []
        class Shouting extends Service<Author> {
          constructor(session: SqlEm) {
            super(Author, session)
          }
          override toModelOnCreate(data: { name: string }) {
            return { ...data, name: data.name.toUpperCase() }
          }
        }
        const app = await crudApp(t, backend, {
          service: Shouting,
          routes: ['create', 'list'],
          write: request => {
            sessions.push('write')
            return request.db.get('writer')
          },
          read: request => {
            sessions.push('read')
            return request.db.get('writer')
          },
        })
        const created = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'ada' } })
        t.equal(created.json().name, 'ADA')
        t.equal((await app.inject('/authors')).json().total, 1)
        t.same(sessions, ['write', 'read'])
        t.equal((await app.inject(`/authors/${created.json().id}`)).statusCode, 404, 'there is no such route')
        t.equal((await app.inject({ method: 'DELETE', url: '/authors/1' })).statusCode, 404)
      })

      t.test('reads go to the reader where there is one', async t => {
        const orm = () => backend.options({ entities: [Author, Book, Seat] })
        const app = await crudApp(
          t,
          backend,
          {},
          {
            engines: {
              writer: { orm: orm(), createAll: true },
              reader: { orm: orm(), readOnly: true },
            } as Record<string, EngineOptions>,
          },
        )
        const used: string[] = []
        app.addHook('onSend', async request => {
          used.push(
            Object.entries(request.db.status)
              .filter(([, status]) => status !== 'INIT')
              .map(([name]) => name)
              .join(),
          )
        })
        await registerCrud(app, {
          prefix: '/again',
          service: (session: SqlEm) => new Service(Author, session),
          schemas: authorSchemas,
        })
        const { id } = (await app.inject({ method: 'POST', url: '/again', payload: { name: 'Cy' } })).json()
        await app.inject(`/again/${id}`)
        await app.inject('/again')
        t.same(used, ['writer', 'reader', 'reader'])
      })

      t.test('OpenAPI shows the routes with their parameters', async t => {
        const app = await crudApp(t, backend, { tags: ['authors'] })
        await app.ready()
        const { paths } = app.swagger() as unknown as {
          paths: Record<string, Record<string, { tags: string[]; responses: object }>>
        }
        t.same(Object.keys(paths).sort(), ['/authors', '/authors/{id}'])
        t.same(Object.keys(paths['/authors/{id}'] ?? {}).sort(), ['delete', 'get', 'patch'])
        t.same(paths['/authors']?.post?.tags, ['authors'])
        t.same(Object.keys(paths['/authors']?.post?.responses ?? {}), ['201', '400', '409', '422'])
      })

      t.test('schemas that say too little are an error at once', async t => {
        const without = (schemas: object) => async () =>
          crudApp(t, backend, { schemas: { ...authorSchemas, ...schemas } as CrudOptions<Author>['schemas'] })
        await t.rejects(without({ item: { $ref: 'Author#' } }), {
          code: 'SQLA_ERR_INVALID_OPTION',
          message: /schemas.key/,
        })
        await t.rejects(without({ create: { $ref: 'AuthorInput#' } }), {
          code: 'SQLA_ERR_INVALID_OPTION',
          message: /schemas.patch/,
        })
      })

      t.test('a cursor instead of pages: a route of one’s own beside it', async t => {
        const app = await crudApp(t, backend)
        app.get<{ Querystring: { cursor?: string } }>('/feed', request =>
          new Service(Author, request.db.get('writer')).cursorPage({
            limit: 2,
            orderBy: [orderBy('name')],
            cursor: request.query.cursor,
          }),
        )
        for (const name of ['a', 'b', 'c']) {
          await app.inject({ method: 'POST', url: '/authors', payload: { name: `feed ${name}` } })
        }
        const first = (await app.inject('/feed')).json()
        t.type(first.next, 'string')
        t.equal((await app.inject(`/feed?cursor=${first.next}`)).statusCode, 200)
        t.equal((await app.inject('/feed?cursor=nonsense')).statusCode, 400)
      })
    },
    ['PostgreSQL'],
  )
})
