import { createHash } from 'node:crypto'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type AuthorizeOptions, authorizeFlags } from './authorize.ts'
import type { FlagContext } from './context.ts'
import { errors } from './errors.ts'
import type { Entries, Flag } from './flag.ts'
import type { Variants } from './flag-data.ts'
import {
  bulkResult,
  evaluationFailure,
  evaluationRequest,
  evaluationSuccess,
  keyParams,
} from './ofrep-schemas.ts'
import { plainSerializer, shown } from './schema-check.ts'

/** Options of {@link ofrep}. */
export interface OfrepOptions extends AuthorizeOptions {
  /** The entry that the `targetingKey` of OpenFeature stands for: the `actor_key` of your flags. Default `'user_id'`. */
  readonly actorKey?: string
  /** The longest body, in bytes. Default 65,536. */
  readonly bodyLimit?: number
}

type Failure = 'PARSE_ERROR' | 'INVALID_CONTEXT' | 'TARGETING_KEY_MISSING' | 'FLAG_NOT_FOUND'

interface Evaluation {
  readonly key: string
  readonly [member: string]: unknown
}

/** A body that cannot be evaluated. */
interface Refusal {
  readonly errorCode: Failure
  readonly errorDetails: string
}

const BROKEN = 'this flag cannot be evaluated; it has been saved with data that contradict themselves'
const NO_KEY = 'this flag tells actors apart: the context needs a targetingKey'

/**
 * The OpenFeature Remote Evaluation Protocol: any OpenFeature client reads the flags of `app.flags`, through
 * `POST /ofrep/v1/evaluate/flags/:key` (one flag; server providers) and `POST /ofrep/v1/evaluate/flags` (all of them, with
 * an ETag; web providers). Register it after the plugin `flags`. Answered from memory.
 *
 * Attributes of the context that are objects or lists are not seen by flags. A flag with variants that is off, or not meant
 * for whoever asks and without a variant `otherwise`, has no value, so that the client's default holds.
 *
 * @see https://github.com/open-feature/protocol (service/openapi.yaml, service/adrs/0006)
 * @throws SQLA_ERR_FLAG_AUTHORIZE, SQLA_ERR_FLAG_PLUGIN
 *
 * @example
 * ```ts
 * await app.register(ofrep, { authorize: app.requireApiKey, actorKey: 'user_id' })
 * ```
 */
export async function ofrep(app: FastifyInstance, options: OfrepOptions): Promise<void> {
  app.addHook('onRequest', authorizeFlags('ofrep', options))
  if (!app.hasDecorator('flags')) throw new errors.SQLA_ERR_FLAG_PLUGIN('ofrep')
  const { actorKey = 'user_id', bodyLimit = 65_536 } = options
  const client = app.flags
  const common = {
    bodyLimit,
    // The protocol has answers of its own for what is not valid; the schemas are for Swagger.
    validatorCompiler: () => () => true,
    serializerCompiler: plainSerializer,
    errorHandler: answerParseError,
  }

  app.post<{ Params: { key: string } }>(
    '/ofrep/v1/evaluate/flags/:key',
    {
      ...common,
      schema: shown({
        tags: ['ofrep'],
        summary: 'Evaluate one flag',
        params: keyParams,
        body: evaluationRequest,
        response: { 200: evaluationSuccess, 400: evaluationFailure, 404: evaluationFailure },
      }),
    },
    async (request, reply) => {
      const { key } = request.params
      const entries = entriesOf(request.body, actorKey)
      if (isRefusal(entries)) return reply.code(400).send({ key, ...entries })
      const flag = client.flags().get(key)
      if (flag === undefined) {
        const errorDetails = `there is no flag named '${key}'`
        return reply.code(404).send({ key, errorCode: 'FLAG_NOT_FOUND', errorDetails })
      }
      const result = evaluate(client.context(entries), flag, entries, actorKey)
      return reply.code('errorCode' in result ? 400 : 200).send(result)
    },
  )
  app.post(
    '/ofrep/v1/evaluate/flags',
    {
      ...common,
      schema: shown({
        tags: ['ofrep'],
        summary: 'Evaluate all flags',
        headers: { type: 'object', properties: { 'if-none-match': { type: 'string' } } },
        body: evaluationRequest,
        response: {
          200: bulkResult,
          304: { type: 'null', description: 'Not modified' },
          400: evaluationFailure,
        },
      }),
    },
    async (request, reply) => {
      const entries = entriesOf(request.body, actorKey)
      if (isRefusal(entries)) return reply.code(400).send(entries)
      // A context has one snapshot, taken here, as these flags are.
      const context = client.context(entries)
      const flags = [...client.flags().values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      const body = JSON.stringify({ flags: flags.map(flag => evaluate(context, flag, entries, actorKey)) })
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
      reply.header('etag', etag)
      if (isKnown(request, etag)) return reply.code(304).send()
      return reply.type('application/json; charset=utf-8').send(body)
    },
  )
}

function evaluate(context: FlagContext, flag: Flag, entries: Entries, actorKey: string): Evaluation {
  const key = flag.name
  // Whoever asks without saying who he is has asked as well.
  flag.isAsked = true
  if (entries[actorKey] == null && needsActor(flag, actorKey)) {
    return { key, errorCode: 'TARGETING_KEY_MISSING', errorDetails: NO_KEY }
  }
  const { variants } = flag.data
  const fallback = variants == null ? false : (variants.options?.[0]?.value ?? null)
  const { value, reason, variant, errorCode } = context.details(key, fallback)
  if (errorCode !== undefined) return { key, errorCode: 'GENERAL', errorDetails: BROKEN }
  const metadata = { version: flag.version }
  if (variants == null) return { key, value, reason, metadata }
  return variant === undefined ? { key, reason, metadata } : { key, value, reason, variant, metadata }
}

/** Whether the answer hangs on who asks, so that there is none without a targetingKey. */
function needsActor(flag: Flag, actorKey: string): boolean {
  const { enabled, enabled_for_actors: actors, enabled_for_percentage_of_actors: share, variants } = flag.data
  if (!enabled) return false
  const isShared = share != null && share.percentage > 0 && share.percentage < 100
  return (
    actors?.actor_key === actorKey ||
    (isShared && share.actor_key === actorKey) ||
    (variants?.actor_key === actorKey && isSplit(variants))
  )
}

/** Whether there are several variants to get; one without weight is at most for those whom the flag is not meant for. */
function isSplit({ options }: Variants): boolean {
  return Array.isArray(options) && options.filter(one => one?.weight > 0).length > 1
}

/** The context of a request as entries, or what is wrong with it. */
function entriesOf(body: unknown, actorKey: string): Entries | Refusal {
  if (!isObject(body)) return refusal('PARSE_ERROR', 'the body must be a JSON object')
  const { context = {} } = body
  if (!isObject(context)) return refusal('INVALID_CONTEXT', 'context must be an object')
  const { targetingKey } = context
  if (targetingKey != null && typeof targetingKey !== 'string' && typeof targetingKey !== 'number') {
    return refusal('INVALID_CONTEXT', 'targetingKey must be a string')
  }
  const known = Object.entries(context).filter(([, value]) => typeof value !== 'object')
  // Of two entries with one key the last counts: what the context says itself, as with the provider.
  if (targetingKey != null) known.unshift([actorKey, targetingKey])
  return Object.fromEntries(known) as Entries
}

const kRefusal = Symbol('fastify-sqlassist.ofrep.refusal')

function refusal(errorCode: Failure, errorDetails: string): Refusal {
  return Object.defineProperty({ errorCode, errorDetails }, kRefusal, { value: true })
}

function isRefusal(value: Entries | Refusal): value is Refusal {
  return kRefusal in value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** RFC 9110, 13.1.2: a list of tags, compared weakly, or `*`. */
function isKnown(request: FastifyRequest, etag: string): boolean {
  const known = request.headers['if-none-match']
  return known?.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*') ?? false
}

/** What Fastify could not read as JSON; everything else is the application's error handler's. */
function answerParseError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  if (!error.code?.startsWith('FST_ERR_CTP_') && !(error instanceof SyntaxError)) throw error
  const { key } = request.params as { key?: string }
  void reply
    .code(error.statusCode ?? 400)
    .send({ ...(key === undefined ? {} : { key }), errorCode: 'PARSE_ERROR', errorDetails: error.message })
}
