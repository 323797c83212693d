import type { FastifyInstance, FastifyPluginCallback, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { SqlAssist } from '../../src/index.ts'
import { translate } from './constraint-errors.ts'
import type { MetadataSource } from './database-names.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: errors of the database reach this route's error handler as they were thrown. */
    databaseErrors?: boolean
  }
}

type ErrorHandler = NonNullable<RouteOptions['errorHandler']>

const register: FastifyPluginCallback = (app, _options, done) => {
  const { sqlAssist } = app
  app.addHook('onRoute', route => {
    if (route.config?.databaseErrors === false) return
    route.errorHandler = translating(sqlAssist, route.errorHandler)
  })
  done()
}

/**
 * What a client's data ran into in the database reaches the error handlers of the application as a
 * {@link ClientError}: 404, 409 or 422, with a message for the client and the original as `cause`. That holds for
 * what handlers and hooks throw and for the flush and COMMIT after them. Without an error handler Fastify answers
 * `{ statusCode, code, error, message }`.
 *
 * Register it after `sqlAssist` and before the routes: it concerns those that are registered later, in its context
 * and below. 404 handlers are no routes. A route says no with `config: { databaseErrors: false }`. Nothing runs for a
 * request that does not fail.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines, commitMode: 'autocommit' })
 * await app.register(databaseErrors)
 * app.post('/authors', async request => request.db.writer.create(Author, request.body)) // 409 for a taken name
 * ```
 */
export const databaseErrors: FastifyPluginCallback = fp(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-database-errors',
  dependencies: ['fastify-sqlassist'],
})

/** An error handler of the route: the first that Fastify asks; what it throws goes to the next one. */
function translating(sqlAssist: SqlAssist, own: ErrorHandler | undefined): ErrorHandler {
  return function translateDatabaseError(this: FastifyInstance, error, request, reply) {
    const told = translate(error, startedOrms(sqlAssist)) ?? error
    if (own !== undefined) return own.call(this, told as never, request, reply)
    // Thrown, `throw 'text'` and `throw { … }` of a handler would be sent as if they were its answer.
    if (!(told instanceof Error)) return Promise.reject(told)
    throw told
  }
}

function startedOrms({ engines }: SqlAssist): MetadataSource[] {
  return [...engines].flatMap(engine => {
    try {
      return [engine.orm]
    } catch {
      return [] // an engine that never started has thrown nothing
    }
  })
}
