import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'

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

/** What an {@link authorizeHook} throws. */
export interface Refusals {
  /** Nobody has said who may. */
  missing(): Error
  /** `authorize` has returned `false`. */
  forbidden(): Error
}

/**
 * The hook to add first (`app.addHook('onRequest', …)`) in a plugin whose routes not everybody may use: it runs before the
 * body is read and before anything is validated.
 *
 * @param authorize who may; `'none'`: everybody who reaches the routes
 * @returns refuses what `authorize` refuses; with `'none'` it lets everybody in
 * @throws `refusals.missing()` when nobody has said who may. The hook: what `authorize` throws, and `refusals.forbidden()` when
 *   that returns false
 *
 * @example
 * ```ts
 * app.addHook('onRequest', authorizeHook(options.authorize, refusals))
 * ```
 */
export function authorizeHook(authorize: unknown, refusals: Refusals): onRequestAsyncHookHandler {
  if (authorize === 'none') return async () => {}
  if (typeof authorize !== 'function') throw refusals.missing()
  return async function authorizeRequest(request, reply) {
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
    if (result !== undefined && !result) throw refusals.forbidden()
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
