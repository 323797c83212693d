import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onErrorHookHandler,
  onSendHookHandler,
  preSerializationHookHandler,
} from 'fastify'
import { errors } from '../errors.ts'
import { type RouteOptions as DbRouteOptions, validateRouteOptions } from '../options.ts'
import type { Container } from '../sessions/container.ts'
import { kRoute, RequestScope, type RouteState, type ScopeContext } from './request-scope.ts'
import { retrying } from './retry.ts'

/**
 * The one slot on every request, allocated with it: at first its reply; the {@link RequestScope} once `request.db`
 * was touched; {@link Doomed} when the request threw before that.
 */
const kState = Symbol('fastify-sqlassist.state')
/** A request that threw before it touched `request.db`: what an error handler writes is not committed either. */
class Doomed {
  readonly reply: FastifyReply

  constructor(reply: FastifyReply) {
    this.reply = reply
  }
}

interface Stateful {
  [kState]: FastifyReply | RequestScope | Doomed | null
}

const stateOf = (request: FastifyRequest): Stateful[typeof kState] => (request as unknown as Stateful)[kState]

function scopeOf(request: FastifyRequest): RequestScope | undefined {
  const state = stateOf(request)
  return state instanceof RequestScope ? state : undefined
}

/** Runs the rest of a request inside an async context in which it is the current one. */
export type EnterContext = (container: () => Container, rest: () => void) => void

/**
 * Ties the life of the sessions to that of the requests. Callback hooks that return at once, because every
 * request passes them, and no onResponse hook, which alone costs a request 6 %.
 *
 * @param context what scopes share
 * @param property the name of the request's property
 * @param enter set when the async context shall know the request
 */
export function addHooks(
  app: FastifyInstance,
  context: ScopeContext,
  property: string,
  enter: EnterContext | undefined,
): void {
  app.decorateRequest(kState, null)

  function containerOf(request: FastifyRequest): Container {
    const state = stateOf(request)
    if (state instanceof RequestScope) return state.container
    if (state === null) {
      const route = `${request.method} ${request.routeOptions.url ?? request.url}`
      throw new errors.SQLA_ERR_NOT_COVERED(`request.${property}`, route)
    }
    const isDoomed = state instanceof Doomed
    const scope = new RequestScope(context, request, isDoomed ? state.reply : state)
    scope.hasThrown = isDoomed
    ;(request as unknown as Stateful)[kState] = scope
    return scope.container
  }

  app.decorateRequest(property, {
    getter() {
      return containerOf(this as FastifyRequest) as never
    },
  })

  app.addHook('onRequest', (request, reply, done) => {
    ;(request as unknown as Stateful)[kState] = reply
    if (enter === undefined) done()
    else enter(() => containerOf(request), done)
  })
  if (enter !== undefined) {
    // The body is parsed in the socket's async context, not in ours.
    app.addHook('preValidation', (request, _reply, done) => enter(() => containerOf(request), done))
  }
  app.addHook('preSerialization', flushBeforeSerialization)
  app.addHook('onError', noteError)
  // For 404 handlers and routes that were registered before the plugin.
  app.addHook('onSend', commitUnlessRouteDoes)
  app.addHook('onRoute', route => {
    const config = (route.config ?? {}) as { db?: DbRouteOptions; [kRoute]?: RouteState }
    if (config.db !== undefined) {
      validateRouteOptions(`${route.method} ${route.url}`, config.db, context.transport !== undefined)
    }
    route.config = config
    config[kRoute] = { ...config.db, commitsLast: true }
    if (config.db?.retry) route.handler = retrying(route.handler, config.db.retry, scopeOf)
    keepLast(route)
  })
}

/**
 * Makes the commit rule run after every onSend hook of the instance, its ancestors, the route, and of plugins
 * whose own onRoute comes later: nothing can fail once we have committed. Fastify reads the list when it starts,
 * so the list puts us last whenever it is read. (A HEAD route is made from its GET, our hook included.)
 */
function keepLast(route: { onSend?: unknown }): void {
  let others = [route.onSend ?? []].flat()
  Object.defineProperty(route, 'onSend', {
    get: () => [...others.filter(hook => hook !== commitLast), commitLast],
    set: hooks => {
      others = [hooks ?? []].flat()
    },
    enumerable: true,
    configurable: true,
  })
}

const flushBeforeSerialization: preSerializationHookHandler<unknown> = function flushBeforeSerialization(
  request,
  reply,
  payload,
  done,
) {
  const flushed = scopeOf(request)?.flush()
  if (flushed === undefined) done(null, payload)
  else goOnAfter(flushed, reply, payload, done)
}

const noteError: onErrorHookHandler = function noteError(request, reply, _error, done) {
  const scope = scopeOf(request)
  if (scope === undefined) (request as unknown as Stateful)[kState] = new Doomed(reply)
  else scope.hasThrown = true
  done()
}

const commitLast: onSendHookHandler<unknown> = function commitLast(request, reply, payload, done) {
  const settled = scopeOf(request)?.settle(payload)
  if (settled === undefined) done(null, payload)
  else goOnAfter(settled, reply, payload, done)
}

const commitUnlessRouteDoes: onSendHookHandler<unknown> = function commitUnlessRouteDoes(
  request,
  reply,
  payload,
  done,
) {
  const scope = scopeOf(request)
  // A route's own list does not run when it ends in `reply.callNotFound()`.
  if (scope === undefined || (scope.route.commitsLast && !request.is404)) {
    done(null, payload)
  } else {
    commitLast.call(this, request, reply, payload, done)
  }
}

/**
 * Goes on with Fastify's part when ours is done. What throws there (a header that cannot be written, a second
 * answer) is caught by Fastify as long as no hook waits; we have waited, so nobody would catch it.
 */
function goOnAfter(
  ours: Promise<void>,
  reply: FastifyReply,
  payload: unknown,
  done: (error?: Error | null, payload?: unknown) => void,
): void {
  const goOn = (error: Error | null): void => {
    try {
      if (error === null) done(null, payload)
      else done(error)
    } catch (thrown) {
      if (reply.sent || reply.raw.headersSent) {
        reply.log.warn({ err: thrown }, 'the response had been sent already')
      } else {
        reply.send(thrown)
      }
    }
  }
  ours.then(() => goOn(null), goOn)
}
