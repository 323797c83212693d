import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AuditLine } from './entities.ts'

const READS = new Set(['GET', 'HEAD'])
const noted = new WeakMap<FastifyRequest, number>()

/**
 * From here on every attempted change leaves a line, with the status that it is answered with. The logger
 * engine commits by itself, so the line of a request that is rolled back stays.
 *
 * onSend runs before the request's COMMIT. Should that fail, it runs once more for the answer that says so: the
 * trail has both lines, and the later one is what the client got.
 */
export function auditWrites(app: FastifyInstance): void {
  app.addHook('onSend', audit)
}

/** Saves the line at once; for a page that shows it. */
export async function audit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const status = reply.statusCode
  if (READS.has(request.method) || noted.get(request) === status) return
  noted.set(request, status)
  request.db.logger.create(AuditLine, {
    action: request.routeOptions.schema?.summary ?? request.method,
    target: `${request.method} ${request.url}`.slice(0, 500),
    status,
    requestId: request.id,
  })
  await request.db.logger.flush()
}
