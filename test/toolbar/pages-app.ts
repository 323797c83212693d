import type { FastifyInstance } from 'fastify'
import { flags, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { segments } from '../../plugins/segments/index.ts'
import { type ToolbarOptions, toolbar } from '../../plugins/toolbar/index.ts'
import { Audit, Note } from '../support/app.ts'

// Requests of every kind that the pages of the toolbar have something to say about.

/** What is typed into every field that takes text. */
export const HOSTILE = `<script>alert("1")</script>'&`

/** The toolbar, flags and segments, and what {@link REQUESTS} ask for. */
export function addToolbarApp(app: FastifyInstance, options: ToolbarOptions = {}): void {
  app.register(toolbar, { parameters: true, ...options })
  const storage = new MemoryFlagStorage()
  app.register(async () => {
    await storage.upsert({ name: 'new-editor', enabled: true, description: 'The editor with headings.' })
    await storage.upsert({ name: HOSTILE, enabled: false })
  })
  app.register(flags, { storage, recordUsage: false, entries: () => ({ user_id: 42 }) })
  app.register(segments, {
    environment: { key: 'test', name: 'Test' },
    createTables: true,
    segments: [
      {
        key: 'writers',
        name: 'People who write',
        rules: [{ type: 'ALL', conditions: [{ property: 'role', operator: 'EQUAL', value: 'writer' }] }],
      },
    ],
    identity: () => ({ identifier: 'ann', traits: { role: 'writer' } }),
  })
  app.register(async routes => addRoutes(routes))
}

type Tagged = { Params: { tag: string } }

function addRoutes(app: FastifyInstance): void {
  app.post<Tagged>('/notes/:tag', async ({ db, params, flags }, reply) => {
    db.logger.create(Audit, { tag: params.tag })
    await db.logger.flush()
    const body = flags.isEnabled('new-editor') ? '# A heading' : 'text'
    db.writer.create(Note, { tag: params.tag, body })
    await db.writer.flush()
    return reply.code(201).send({ count: await db.writer.count(Note, { tag: params.tag }) })
  })
  app.get<Tagged>('/notes/:tag', async ({ db, params, segments }) => {
    const isWriter = segments.isIn('writers')
    const [notes] = await Promise.all([
      db.reader.find(Note, { tag: params.tag }, { orderBy: { createdAt: 'desc' }, limit: 20 }),
      db.reader.count(Note, { tag: params.tag }),
    ])
    return { isWriter, notes }
  })
  app.get('/one-by-one', async ({ db }) => {
    const bodies: (string | undefined)[] = []
    for (let id = 1; id <= 6; id++) bodies.push((await db.reader.findOne(Note, { id }))?.body)
    return bodies
  })
  app.get('/slow', async ({ db }) => {
    await db.writer.execute('select pg_sleep(0.12)')
    return {}
  })
  app.get<{ Querystring: { text?: string } }>('/broken', async ({ db, query }) =>
    db.writer.execute(`select * from nowhere where text = ?`, [query.text ?? '']),
  )
  app.get('/forgotten', async ({ db }, reply) => {
    await db.writer.find(Note, { id: { $lte: 3 } })
    db.writer.create(Note, { tag: 'forgotten', body: 'never flushed' })
    return reply.code(404).send({})
  })
  app.get('/page', async (_request, reply) =>
    reply
      .type('text/html')
      .send(
        '<!doctype html><html lang="en"><head><title>A page</title></head><body><h1>A page</h1></body></html>',
      ),
  )
}

/** Method and path of one request of each kind. */
export const REQUESTS = [
  ['POST', '/notes/first'],
  ['GET', '/notes/first?draft=secret-draft'],
  ['GET', '/one-by-one'],
  ['GET', '/slow'],
  ['GET', `/broken?text=${encodeURIComponent(HOSTILE)}`],
  ['GET', '/forgotten'],
  ['GET', '/nowhere'],
] as const
