import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type SegmentContext, segments, type Traits } from 'fastify-sqlassist/segments'

declare module 'fastify' {
  interface FastifyRequest {
    /** What is known of the visitor; null before {@link recallVisitor}, and of whoever has not written. */
    traits: Traits | null
  }
}

/** Whom a flag can be limited to, by the key, on the page of the flags. */
const SEGMENTS: readonly SegmentContext[] = [
  {
    key: 'writers',
    name: 'Has written a note on the start page',
    rules: [{ type: 'ALL', conditions: [{ property: 'has_written', operator: 'EQUAL', value: 'true' }] }],
  },
  {
    key: 'newcomers',
    name: 'Has not written one yet',
    rules: [{ type: 'ALL', conditions: [{ property: 'has_written', operator: 'IS_NOT_SET' }] }],
  },
]

/** Segments of the visitors, who are in a table of the writer's database once they have written something. */
export async function addSegments(app: FastifyInstance): Promise<void> {
  app.decorateRequest('traits', null)
  // Not now, for the reason that feature-flags.ts has.
  app.addHook('onReady', () => app.segments.createTables())
  await app.register(segments, {
    environment: { key: 'notes', name: 'Notes' },
    segments: SEGMENTS,
    readEngine: 'reader',
    identity: ({ visitor, traits }) => ({ identifier: visitor, traits }),
  })
}

/** Segments and flags ask in memory, so what they need to know of the visitor is read before. */
export async function recallVisitor(request: FastifyRequest): Promise<void> {
  request.traits = (await request.segments.findIdentity(request.visitor))?.traits ?? null
}

/** In the request's transaction: without the note, there is no writer either. */
export async function rememberWriter(request: FastifyRequest, author: string): Promise<void> {
  const traits = { has_written: true, author }
  await request.segments.upsertIdentity({ identifier: request.visitor, traits }, { merge: true })
}
