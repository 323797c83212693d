import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import {
  deleteQuery,
  failure,
  flagChange,
  flagHistoryPage,
  flagList,
  flagParams,
  historyQuery,
  ifMatch,
  listQuery,
  newFlag,
  rollBack,
  storedFlag,
  unusedList,
  unusedQuery,
} from './api-schemas.ts'
import { type AuthorizeOptions, authorizeFlags } from './authorize.ts'
import {
  changeFlag,
  createFlag,
  type EditOptions,
  findFlag,
  flagHistory,
  removeFlag,
  rollBackFlag,
  searchFlags,
  unusedFlags,
} from './edits.ts'
import { errors } from './errors.ts'
import { addEvents } from './events.ts'
import type { FlagData, FlagInput } from './flag-data.ts'
import { HISTORY_LIMIT } from './history.ts'
import { plainSerializer, shown, strictValidator } from './schema-check.ts'

/** Options of {@link flagsApi}. */
export interface FlagsApiOptions extends AuthorizeOptions {
  /** The longest body, in bytes. Default 262,144. */
  readonly bodyLimit?: number
  /** Milliseconds between two signs of life of `GET /events`. Default 15,000. */
  readonly heartbeat?: number
}

interface OneFlag {
  Params: { name: string }
  Headers: { 'if-match'?: string }
}

/**
 * JSON routes that read and change the flags of `app.flags`, and `GET /events`, which tells of changes. Register it under
 * a prefix, after the plugin `flags`. What it writes is visible in this process before it answers.
 *
 * | | |
 * |---|---|
 * | `GET /?search=&deleted=true` | the flags |
 * | `POST /` | a new flag; 409 when there is one with this name |
 * | `GET /:name` | one flag, tombstones included, with its version as ETag |
 * | `PATCH /:name` | changes what is given; with `If-Match` (or `version`) only what was read, else 409 |
 * | `POST /:name/enable`, `/disable`, `/restore` | |
 * | `DELETE /:name` | leaves a tombstone; `?hard=true` does not |
 * | `GET /:name/history?limit=&before=` | what was done to it, also when it is gone |
 * | `POST /:name/rollback` | `{ to: version }`: makes it what it was |
 * | `GET /unused?days=30` | the flags that nobody has asked for |
 * | `GET /events` | server-sent events |
 *
 * @throws SQLA_ERR_FLAG_AUTHORIZE, SQLA_ERR_FLAG_PLUGIN
 *
 * @example
 * ```ts
 * await app.register(flagsApi, { prefix: '/api/flags', authorize: app.requireAdmin })
 * ```
 */
export async function flagsApi(app: FastifyInstance, options: FlagsApiOptions): Promise<void> {
  app.addHook('onRequest', authorizeFlags('flagsApi', options))
  if (!app.hasDecorator('flags')) throw new errors.SQLA_ERR_FLAG_PLUGIN('flagsApi')
  app.addHook('onRequest', refuseForgery)
  const { bodyLimit = 262_144, heartbeat } = options
  const client = app.flags
  const route = (summary: string, schema: FastifySchema, success: object) => ({
    bodyLimit,
    validatorCompiler: strictValidator,
    serializerCompiler: plainSerializer,
    schema: shown({ tags: ['flags'], summary, ...schema, response: { ...success, '4xx': failure } }),
  })
  const flag = { 200: storedFlag }
  const one = { params: flagParams, headers: ifMatch }
  const answer = (reply: FastifyReply, data: FlagData) => reply.header('etag', `"${data.version}"`).send(data)
  /** What an edit needs to know besides what changes. */
  const editOf = (request: FastifyRequest<OneFlag>): EditOptions => ({
    expected: expectedVersion(request),
    author: options.author?.(request),
  })

  app.get<{ Querystring: { search?: string; deleted?: string } }>(
    '/',
    route('The flags', { querystring: listQuery }, { 200: flagList }),
    async ({ query }) => searchFlags(client, query.search ?? '', query.deleted === 'true'),
  )
  app.post<{ Body: FlagInput }>(
    '/',
    route('Make a flag', { body: newFlag }, { 201: storedFlag }),
    async (request, reply) =>
      answer(reply.code(201), await createFlag(client, request.body, options.author?.(request))),
  )
  addEvents(app, heartbeat)
  app.get<{ Querystring: { days?: string } }>(
    '/unused',
    route('The flags that nobody has asked for', { querystring: unusedQuery }, { 200: unusedList }),
    async ({ query }) => {
      const { since, flags } = await unusedFlags(client, wholeNumber('days', query.days ?? '30', 3_650))
      // JSON has no undefined.
      return {
        since: since ?? null,
        flags: flags.map(({ flag, askedAt }) => ({ flag, askedAt: askedAt ?? null })),
      }
    },
  )
  app.get<OneFlag>('/:name', route('One flag', { params: flagParams }, flag), async (request, reply) =>
    answer(reply, await findFlag(client, request.params.name)),
  )
  app.patch<OneFlag & { Body: Omit<FlagInput, 'name'> & { version?: number } }>(
    '/:name',
    route('Change a flag', { ...one, body: flagChange }, flag),
    async (request, reply) => {
      const { version, ...change } = request.body
      const edit = editOf(request)
      const expected = edit.expected ?? version
      return answer(reply, await changeFlag(client, request.params.name, change, { ...edit, expected }))
    },
  )
  const actions = { enable: { enabled: true }, disable: { enabled: false }, restore: { deleted: false } }
  for (const [action, change] of Object.entries(actions)) {
    app.post<OneFlag>(
      `/:name/${action}`,
      route(`${action[0]?.toUpperCase()}${action.slice(1)} a flag`, one, flag),
      async (request, reply) => {
        const edit = { ...editOf(request), isOfTombstone: action === 'restore' }
        return answer(reply, await changeFlag(client, request.params.name, change, edit))
      },
    )
  }
  app.get<OneFlag & { Querystring: { limit?: string; before?: string } }>(
    '/:name/history',
    route(
      'What was done to a flag',
      { params: flagParams, querystring: historyQuery },
      { 200: flagHistoryPage },
    ),
    async ({ params: { name }, query: { limit, before } }) => {
      const history = await flagHistory(client, name, {
        limit: wholeNumber('limit', limit ?? String(HISTORY_LIMIT), 1_000),
        ...(before === undefined ? {} : { before: wholeNumber('before', before) }),
      })
      // A flag may be there without a history, and a history without a flag; what has neither does not exist.
      if (history.length === 0 && before === undefined) await findFlag(client, name)
      return { name, history }
    },
  )
  app.post<OneFlag & { Body: { to: number } }>(
    '/:name/rollback',
    route('Make a flag what it was', { ...one, body: rollBack }, flag),
    async (request, reply) => {
      const { name } = request.params
      return answer(reply, await rollBackFlag(client, name, request.body.to, editOf(request)))
    },
  )
  app.delete<OneFlag & { Querystring: { hard?: string } }>(
    '/:name',
    route(
      'Delete a flag',
      { ...one, querystring: deleteQuery },
      { 204: { type: 'null', description: 'Deleted' } },
    ),
    async (request, reply) => {
      await removeFlag(client, request.params.name, request.query.hard === 'true', editOf(request))
      return reply.code(204).send()
    },
  )
}

/** A number of a query, from 1 on. */
function wholeNumber(what: string, text: string, most = Number.MAX_SAFE_INTEGER): number {
  const number = /^[1-9]\d*$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= most) return number
  const range = most === Number.MAX_SAFE_INTEGER ? '1 or more' : `from 1 to ${most}`
  throw new errors.SQLA_ERR_FLAG_REQUEST(`${what} must be a whole number, ${range}`)
}

/** A version as ETag; proxies that compress make it a weak one. */
function expectedVersion(request: FastifyRequest<OneFlag>): number | undefined {
  const given = request.headers['if-match']
  if (given === undefined || given.trim() === '*') return undefined
  const [, version] = /^\s*(?:W\/)?"(\d{1,15})"\s*$/.exec(given) ?? []
  if (version === undefined) {
    throw new errors.SQLA_ERR_FLAG_REQUEST('If-Match must be a version in quotation marks, such as "7"')
  }
  return Number(version)
}

/**
 * A page of another site can make a browser POST without asking first, with the cookies of whoever looks at it, unless the
 * body is JSON (the CORS protocol of the Fetch standard). Clients that are no browsers do not send Sec-Fetch-Site.
 */
async function refuseForgery(request: FastifyRequest): Promise<void> {
  const site = request.headers['sec-fetch-site']
  if (request.method !== 'POST' || site === undefined || site === 'same-origin' || site === 'none') return
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new errors.SQLA_ERR_FLAG_FORBIDDEN()
  }
}
