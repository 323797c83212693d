import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { type Authorize, authorizeHook } from '../web/authorize.ts'
import { errors } from './errors.ts'

export type { Authorize }

/** Whoever mounts routes that read or change flags says who may use them. */
export interface AuthorizeOptions {
  /** Who may use these routes; `'none'`: everybody who reaches them. */
  readonly authorize: Authorize | 'none'
  /** Who sends a request, for the history of the flags it changes. Asked after `authorize`. Default: nobody is named. */
  readonly author?: ((request: FastifyRequest) => string | undefined) | undefined
}

/**
 * The first hook of a plugin whose routes read or change flags.
 *
 * @param what the plugin, for messages: `'flagsApi'`
 * @throws SQLA_ERR_FLAG_AUTHORIZE when nobody has said who may; the hook: SQLA_ERR_FLAG_FORBIDDEN (403)
 */
export function authorizeFlags(
  what: string,
  options: Partial<AuthorizeOptions> | undefined,
): onRequestAsyncHookHandler {
  return authorizeHook(options?.authorize, {
    missing: () => new errors.SQLA_ERR_FLAG_AUTHORIZE(what),
    forbidden: () => new errors.SQLA_ERR_FLAG_FORBIDDEN(),
  })
}
