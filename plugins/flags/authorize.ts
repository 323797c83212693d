import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { errors } from './errors.ts'

/**
 * Who may: throws, sends a reply or returns `false` to refuse; whatever else it returns, nothing included, lets the
 * request in. May be async. With a third parameter it is called with `done`, as an `onRequest` hook is, so that the hook
 * of an authentication plugin can be given as it is.
 */
export type Authorize = (
  this: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error | null) => void,
) => unknown

/** Whoever mounts routes that read or change flags says who may use them. */
export interface AuthorizeOptions {
  /** Who may use these routes; `'none'`: everybody who reaches them. */
  readonly authorize: Authorize | 'none'
  /** Who sends a request, for the history of the flags it changes. Asked after `authorize`. Default: nobody is named. */
  readonly author?: ((request: FastifyRequest) => string | undefined) | undefined
}

/**
 * The hook to add first (`app.addHook('onRequest', …)`) in a plugin whose routes not everybody may use: it runs before the
 * body is read and before anything is validated.
 *
 * @param what the plugin, for messages: `'flagsApi'`
 * @returns refuses what `authorize` refuses; with `'none'` it lets everybody in
 * @throws SQLA_ERR_FLAG_AUTHORIZE when nobody has said who may. The hook: what `authorize` throws, and
 *   SQLA_ERR_FLAG_FORBIDDEN (403) when that returns false
 *
 * @example
 * ```ts
 * app.addHook('onRequest', authorizeHook('flagsApi', options))
 * ```
 */
export function authorizeHook(
  what: string,
  options: Partial<AuthorizeOptions> | undefined,
): onRequestAsyncHookHandler {
  const authorize: unknown = options?.authorize
  if (authorize === 'none') return async () => {}
  if (typeof authorize !== 'function') throw new errors.SQLA_ERR_FLAG_AUTHORIZE(what)
  return async function authorizeFlags(request, reply) {
    // A reply with asynchronous onSend hooks is on its way long before `reply.sent` says so; the handler must not run.
    let isAnswered = false
    reply.send = payload => {
      isAnswered = true
      delete (reply as { send?: unknown }).send
      return reply.send(payload)
    }
    const result = await ask(this, authorize as Authorize, request, reply, () => isAnswered)
    if (isAnswered || reply.sent) return reply
    delete (reply as { send?: unknown }).send
    if (result !== undefined && !result) throw new errors.SQLA_ERR_FLAG_FORBIDDEN()
  }
}

/** Whoever calls back is done when it has, or when it has answered by itself. */
async function ask(
  app: FastifyInstance,
  authorize: Authorize,
  request: FastifyRequest,
  reply: FastifyReply,
  isAnswered: () => boolean,
): Promise<unknown> {
  if (authorize.length < 3) return authorize.call(app, request, reply, () => {})
  return new Promise((resolve, reject) => {
    reply.raw.once('close', resolve)
    const result = authorize.call(app, request, reply, error => (error ? reject(error) : resolve(undefined)))
    if (result instanceof Promise) result.then(() => isAnswered() && resolve(undefined), reject)
  })
}
