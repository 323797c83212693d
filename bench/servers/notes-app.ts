// The application of every server that uses fastify-sqlassist: they differ in the options of the plugin alone.
import Fastify from 'fastify'
import sqlAssist, { type EngineOptions, type RoutingOptions } from 'fastify-sqlassist'
import {
  Acquisitions,
  databaseUrl,
  helloSchema,
  insertSchema,
  type NewNote,
  Note,
  type NoteParams,
  ormConfig,
  readSchema,
} from './note.ts'
import { serve } from './serve.ts'

/** In what the candidates differ. */
export interface NotesAppOptions {
  /** Where the reader reads. Default: where the writer writes. */
  readonly readerUrl?: string | undefined
  /** Standbys that the reader reads from instead. */
  readonly standbyUrls?: readonly string[]
  readonly routing?: RoutingOptions
  /** Whether what a COMMIT without an answer would need is asked for. There is no such option: it is for the comparison. Default true. */
  readonly asksForWitness?: boolean
  /** Whether the debug toolbar records the requests. Default false. */
  readonly hasToolbar?: boolean
}

/** Runs it until the bench says stop. */
export async function serveNotes({
  readerUrl,
  standbyUrls,
  routing,
  asksForWitness = true,
  hasToolbar = false,
}: NotesAppOptions = {}): Promise<void> {
  const acquisitions = new Acquisitions()
  const reader: EngineOptions = {
    orm: ormConfig(acquisitions, readerUrl ?? databaseUrl()),
    readOnly: true,
    ...(standbyUrls && { replicas: standbyUrls.map(clientUrl => ({ clientUrl })) }),
  }
  const app = Fastify({ keepAliveTimeout: 600_000 })
  await app.register(sqlAssist, {
    engines: { writer: { orm: ormConfig(acquisitions) }, reader },
    commitMode: 'autocommit',
    ...(routing && { routing }),
  })
  if (!asksForWitness) {
    Object.defineProperty(app.sqlAssist.engines.get('writer'), 'tellsOutcomes', { value: false })
  }
  if (hasToolbar) {
    const { toolbar } = await import('fastify-sqlassist/toolbar')
    // A bench runs as production does.
    await app.register(toolbar, { force: true, authorize: () => false })
  }
  app.post<{ Body: NewNote }>('/notes', { schema: insertSchema }, async (request, reply) => {
    const note = request.db.writer.create(Note, request.body)
    reply.code(201)
    return note
  })
  app.get<{ Params: NoteParams }>('/notes/:id', { schema: readSchema }, async request =>
    request.db.reader.findOne(Note, request.params.id),
  )
  app.get('/touch', { schema: helloSchema }, async request => ({ hello: request.db.writer.name }))
  app.get('/hello', { schema: helloSchema }, async () => ({ hello: 'default' }))
  await serve(app, () => acquisitions.count, standbyUrls && (() => app.sqlAssist.routing.reads))
}
