import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'

/**
 * The one place that knows what a failure means in HTTP. Handlers just let it be thrown: by
 * `findOneOrFail`, by a flush, or by the plugin when it flushes and commits after the handler; `databaseErrors` has
 * given what the database refused a status and a message for clients. A thrown error rolls the request's transactions
 * back, whatever is answered here.
 */
export function answerErrors(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode, message } = meaningOf(error)
  if (statusCode >= 500) request.log.error({ err: error }, 'request failed')
  reply.code(statusCode).send({ statusCode, error: STATUS_CODES[statusCode] ?? 'Error', message })
}

/** To be thrown: what the request asks for cannot be. */
export function problem(statusCode: 401 | 403 | 404 | 422, message: string): Error & { statusCode: number } {
  return Object.assign(new Error(message), { statusCode })
}

function meaningOf(error: FastifyError): { statusCode: number; message: string } {
  const statusCode = error.statusCode ?? 500
  // What a driver says about a server is not for strangers.
  return { statusCode, message: statusCode < 500 ? error.message : 'Nothing was saved; please try again' }
}
