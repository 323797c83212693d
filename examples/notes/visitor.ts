import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** Tells browsers apart, and nothing about whoever uses them; empty where nobody asked for it. */
    visitor: string
  }
}

const COOKIE = 'visitor'
const YEAR = 365 * 24 * 60 * 60
const ID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

/** For the whole application, once. */
export function knowVisitors(app: FastifyInstance): void {
  app.decorateRequest('visitor', '')
}

/** A hook for the pages: a browser that comes without an id gets one, and is the same visitor from then on. */
export async function greetVisitor(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const known = request.cookies[COOKIE]
  if (known !== undefined && ID.test(known)) {
    request.visitor = known
    return
  }
  request.visitor = randomUUID()
  reply.setCookie(COOKIE, request.visitor, {
    path: '/',
    maxAge: YEAR,
    httpOnly: true,
    sameSite: 'lax',
    secure: 'auto',
  })
}
