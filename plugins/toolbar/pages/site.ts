import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { SqlAssist } from '../../../src/index.ts'
import type { Records } from '../records.ts'

// What the routes of the pages share.

/** What the pages show, and where they are. */
export interface Site {
  /** Where the pages are mounted, without a slash at the end. */
  readonly base: string
  readonly records: Records
  readonly sqlAssist: SqlAssist
  /** The application: its flags and segments are shown, if it has some. */
  readonly root: FastifyInstance
  /** Whether values of statements are kept, and so may be used for EXPLAIN. */
  readonly parameters: boolean
  /** Whether statements may be explained. */
  readonly explain: boolean
  /** The token for a form in this answer. */
  tokenOf(request: FastifyRequest, reply: FastifyReply): string
}

export function send(reply: FastifyReply, page: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(page)
}

/** A number of an entry or a statement in an address or a form; undefined when it is none. */
export function numberIn(text: unknown): number | undefined {
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
