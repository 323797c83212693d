import type { Primary, RequiredEntityData } from '@mikro-orm/core'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors as core, type SqlEm } from '../../src/index.ts'
import { databaseErrors } from './database-errors.ts'
import type { FieldsOf } from './fields.ts'
import { type Filter, limitOffset } from './filters.ts'
import { offsetPageSchema } from './pages.ts'
import type { DataOf, FilterFor } from './repository.ts'
import { Service } from './service.ts'

type Schema = Record<string, unknown>

export type CrudRoute = 'list' | 'read' | 'create' | 'patch' | 'delete'

/** The part of `filterQuery(…)` that a list needs. */
interface ListFilters<T> {
  readonly querystring: object
  parse(query: unknown): readonly Filter<FieldsOf<T>>[]
}

/** What {@link registerCrud} registers. */
export interface CrudOptions<T extends object> {
  /** Where the routes are: `'/authors'`. Default: at the prefix of `app`. */
  readonly prefix?: string
  /** A subclass of {@link Service} whose constructor takes a session, or a function that makes a service. */
  readonly service:
    | (new (
        session: SqlEm,
      ) => Service<T, unknown>)
    | ((session: SqlEm, request: FastifyRequest) => Service<T, unknown>)
  /** JSON schemas; what is no property of them neither comes in nor goes out. */
  readonly schemas: {
    /** One item of an answer. */
    readonly item: object
    /** The body of a create. */
    readonly create: object
    /** The body of a patch. Default: that of a create, nothing required and no defaults. */
    readonly patch?: object
    /** The key in the path, by name: `{ id: { type: 'integer' } }`. Default: the item's property `id`. */
    readonly key?: Readonly<Record<string, object>>
  }
  /** What the list takes from the query string. Default: `currentPage` and `pageSize` (20, at most 100). */
  readonly filters?: ListFilters<T>
  /** Default: all five. */
  readonly routes?: readonly CrudRoute[]
  /** The session of list and read. Default: `request.db.reader` if there is such an engine, else that of the others. */
  readonly read?: (request: FastifyRequest) => SqlEm
  /** The session of create, patch and delete. Default: `request.db.writer`, else the default engine's. */
  readonly write?: (request: FastifyRequest) => SqlEm
  /** For OpenAPI. */
  readonly tags?: readonly string[]
}

/**
 * Registers list, read, create, patch and delete of one entity, with schemas and statuses: 200 and a page, 200, 201 and
 * `Location`, 200, 204; 404 for a key that is not there, 409 and 422 for what the database refuses. What is
 * written is committed before the answer leaves, also where the plugin's commit mode is `'manual'`.
 *
 * @returns when the routes are registered, as `app.register`
 * @throws SQLA_ERR_INVALID_OPTION a schema that cannot be found out is missing
 *
 * @example
 * ```ts
 * await registerCrud(app, {
 *   prefix: '/authors',
 *   service: session => new Service(Author, session),
 *   schemas: {
 *     item: { type: 'object', properties: { id: { type: 'integer' }, name: { type: 'string' } } },
 *     create: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
 *   },
 * })
 * ```
 */
export async function registerCrud<T extends object>(
  app: FastifyInstance,
  options: CrudOptions<T>,
): Promise<void> {
  const { prefix = '', schemas, filters = PAGES, tags, routes = ALL } = options
  const key = keySchemas(schemas)
  const patch = schemas.patch ?? patchSchema(schemas.create)
  const path = Object.keys(key)
    .map(name => `/:${name}`)
    .join('')
  const params = { type: 'object', required: Object.keys(key), properties: key }
  const keyOf = (request: FastifyRequest): Primary<T> => {
    const values = Object.keys(key).map(name => (request.params as Schema)[name])
    return (values.length === 1 ? values[0] : values) as Primary<T>
  }
  const serviceOf = serviceMaker(options.service)
  const { read = session('reader', 'writer'), write = session('writer') } = options
  const reading = (request: FastifyRequest) => serviceOf(read(request), request)
  const writing = (request: FastifyRequest) => serviceOf(write(request), request)
  // Whoever asks for these routes wants them saved.
  const config = { db: { commitMode: 'autocommit' as const } }
  const documented = tags === undefined ? {} : { tags: [...tags] }

  const register: Record<CrudRoute, (scope: FastifyInstance) => void> = {
    list(scope) {
      const response = { 200: offsetPageSchema(schemas.item), ...problems(400) }
      const schema = { ...documented, querystring: filters.querystring, response }
      scope.get('', { schema }, async function list(request) {
        const service = reading(request)
        const parsed = filters.parse(request.query) as FilterFor<T>[]
        const [items, total] = await service.listAndCount(...parsed)
        return service.toSchema(items, total, parsed)
      })
    },
    read(scope) {
      const schema = { ...documented, params, response: { 200: schemas.item, ...problems(400, 404) } }
      scope.get(path, { schema }, async function read(request) {
        const service = reading(request)
        return service.toSchema(await service.get(keyOf(request)))
      })
    },
    create(scope) {
      const response = { 201: schemas.item, ...problems(400, 409, 422) }
      const schema = { ...documented, body: schemas.create, response }
      scope.post('', { schema, config }, async function create(request, reply) {
        const service = writing(request)
        const entity = await service.create(request.body as RequiredEntityData<T>)
        const item = service.toSchema(entity)
        const at = Object.keys(key).map(name => encodeURIComponent(String((entity as Schema)[name])))
        reply.code(201).header('location', [scope.prefix, ...at].join('/'))
        return item
      })
    },
    patch(scope) {
      const response = { 200: schemas.item, ...problems(400, 404, 409, 422) }
      const schema = { ...documented, params, body: patch, response }
      scope.patch(path, { schema, config }, async function patch(request) {
        const service = writing(request)
        return service.toSchema(await service.update(keyOf(request), request.body as DataOf<T>))
      })
    },
    delete(scope) {
      const response = { 204: { type: 'null', description: 'deleted' }, ...problems(400, 404, 409) }
      scope.delete(
        path,
        { schema: { ...documented, params, response }, config },
        async function remove(request, reply) {
          await writing(request).delete(keyOf(request))
          reply.code(204)
        },
      )
    },
  }
  await app.register(
    async scope => {
      await scope.register(databaseErrors)
      for (const route of ALL) if (routes.includes(route)) register[route](scope)
    },
    { prefix },
  )
}

const ALL: readonly CrudRoute[] = ['list', 'read', 'create', 'patch', 'delete']

/** A list without filters of its own. */
const PAGES: ListFilters<unknown> = {
  querystring: {
    type: 'object',
    properties: {
      currentPage: { type: 'integer', minimum: 1, maximum: 1_000_000, default: 1 },
      pageSize: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
    },
  },
  parse(query) {
    const { currentPage, pageSize } = query as { currentPage: number; pageSize: number }
    return [limitOffset(pageSize, (currentPage - 1) * pageSize)]
  },
}

function serviceMaker<T extends object>(
  service: CrudOptions<T>['service'],
): (session: SqlEm, request: FastifyRequest) => Service<T, unknown> {
  return service.prototype instanceof Service
    ? session => new (service as new (session: SqlEm) => Service<T, unknown>)(session)
    : (service as (session: SqlEm, request: FastifyRequest) => Service<T, unknown>)
}

/** The session of the first of these engines that there is, else the default one. */
function session(...names: string[]): (request: FastifyRequest) => SqlEm {
  return request => {
    const { engines } = request.server.sqlAssist
    const name = names.find(each => engines.has(each)) ?? engines.get().name
    return request.db.get(name) as SqlEm
  }
}

function keySchemas({ key, item }: CrudOptions<object>['schemas']): Readonly<Record<string, object>> {
  if (key !== undefined) return key
  const { id } = ((item as Schema).properties ?? {}) as Record<string, object>
  if (id !== undefined) return { id }
  throw new core.SQLA_ERR_INVALID_OPTION(
    'schemas.key',
    "is needed, as schemas.item has no property 'id': { number: { type: 'integer' } }",
  )
}

/** A default would overwrite what a patch does not mention. */
function patchSchema(create: object): Schema {
  const { required: _, properties, ...rest } = create as Schema & { properties?: Record<string, Schema> }
  if (properties === undefined) {
    throw new core.SQLA_ERR_INVALID_OPTION(
      'schemas.patch',
      'is needed, as schemas.create has no properties of its own to take it from',
    )
  }
  const optional = Object.entries(properties).map(([name, { default: _default, ...property }]) => [
    name,
    property,
  ])
  return { minProperties: 1, ...rest, properties: Object.fromEntries(optional) }
}

const PROBLEM = {
  type: 'object',
  required: ['statusCode', 'error', 'message'],
  properties: {
    statusCode: { type: 'integer' },
    code: { type: 'string' },
    error: { type: 'string' },
    message: { type: 'string' },
  },
}

const MEANINGS: Readonly<Record<number, string>> = {
  400: 'The request does not match its schema',
  404: 'There is none with this key',
  409: 'It contradicts what is there; nothing was saved',
  422: 'A value cannot be stored; nothing was saved',
}

function problems(...statuses: number[]): Record<number, object> {
  return Object.fromEntries(statuses.map(status => [status, { description: MEANINGS[status], ...PROBLEM }]))
}
