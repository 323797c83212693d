import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import { isStream } from './sendable.ts'

/** Milliseconds before the first repetition, at most; each further one may wait twice as long. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 500

/** What a repetition needs to know of the request's scope. */
export interface Repeatable {
  /** Commits, if this response would. */
  commitNow(): Promise<void>
  /** Everything back to the beginning: rolled back, forgotten, ready for the handler to run again. */
  restart(): Promise<void>
  /** Whether the client is gone. */
  readonly isAborted: boolean
}

/**
 * Makes a handler that runs again when the database says that it could not be serialized with others: each time from the
 * beginning, in a new transaction (PostgreSQL, "Serialization Failure Handling"). It commits before it returns, as COMMIT may say so
 * too.
 *
 * @param times how often it may run again
 * @param scopeOf the scope of a request; undefined when it has touched no database
 */
export function retrying(
  handler: RouteHandlerMethod,
  times: number,
  scopeOf: (request: FastifyRequest) => Repeatable | undefined,
): RouteHandlerMethod {
  return async function retryingHandler(request, reply) {
    // Whoever has read a stream cannot read it again.
    const most = isStream(request.body) ? 0 : times
    const before = rememberReply(reply)
    for (let run = 0; ; run++) {
      try {
        const payload = await handler.call(this, request, reply)
        if (!reply.sent) await scopeOf(request)?.commitNow()
        return payload
      } catch (error) {
        const scope = scopeOf(request)
        if (run >= most || reply.sent || scope?.isAborted || !isSerializationFailure(error)) throw error
        await scope?.restart()
        restoreReply(reply, before)
        request.log.info({ err: error, run: run + 1 }, 'a serialization failure: the handler runs again')
        await sleep(Math.random() * Math.min(FIRST_PAUSE * 2 ** run, LONGEST_PAUSE))
      }
    }
  }
}

/** serialization_failure, deadlock_detected; ER_LOCK_DEADLOCK of MySQL and MariaDB. */
const SERIALIZATION_FAILURES: readonly unknown[] = ['40001', '40P01', 'ER_LOCK_DEADLOCK']

/** Whether a transaction failed only because others ran at the same time. */
export function isSerializationFailure(error: unknown): boolean {
  return SERIALIZATION_FAILURES.includes((error as { code?: unknown } | null | undefined)?.code)
}

interface ReplyState {
  readonly statusCode: number
  readonly headers: ReturnType<FastifyReply['getHeaders']>
}

function rememberReply(reply: FastifyReply): ReplyState {
  return { statusCode: reply.statusCode, headers: reply.getHeaders() }
}

/** What the failed run has set must not go out with the answer of another. */
function restoreReply(reply: FastifyReply, { statusCode, headers }: ReplyState): void {
  reply.code(statusCode)
  for (const name of Object.keys(reply.getHeaders())) if (!(name in headers)) reply.removeHeader(name)
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) reply.header(name, value)
}
