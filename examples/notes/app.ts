import { randomBytes } from 'node:crypto'
import fastifyCookie from '@fastify/cookie'
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import sqlAssist, { type ReaderOptions } from 'fastify-sqlassist'
import { databaseErrors } from 'fastify-sqlassist/repository'
import { admin } from './admin.ts'
import { addApplause } from './applause/add.ts'
import { applausePage } from './applause/page.ts'
import { buttons } from './control-room/buttons.ts'
import type { Cluster } from './control-room/cluster.ts'
import { startPage } from './control-room/page.ts'
import { ControlRoom } from './control-room/room.ts'
import { addDebugging } from './debugging.ts'
import { AuditLine, Author, Note } from './entities.ts'
import { answerErrors } from './errors.ts'
import { addFeatureFlags } from './feature-flags.ts'
import { docsSecurityPolicy, openApi } from './openapi.ts'
import { page } from './page.ts'
import { makePassword } from './password.ts'
import { authors } from './routes/authors.ts'
import { health } from './routes/health.ts'
import { notes } from './routes/notes.ts'
import { addSchemas } from './schemas.ts'
import { knowVisitors } from './visitor.ts'
import { addSegments } from './visitor-segments.ts'

/** Where each engine finds its server; the reader perhaps several. */
export interface Urls {
  readonly reader: string | readonly string[]
  readonly writer: string
  readonly logger: string
}

export interface AppOptions extends Pick<FastifyServerOptions, 'logger'> {
  /** Opens the page of the feature flags. Without it nobody can log in. */
  readonly adminPassword?: string
  /** The servers, where they are ours: then the start page has buttons to disturb them. */
  readonly cluster?: Cluster | undefined
  /** Whether there is a toolbar with the last requests, for whoever asks from this machine. Default false. */
  readonly debugging?: boolean
}

/** The whole service, ready to listen or to be tested with `app.inject`. */
export async function buildApp(
  urls: Urls,
  { logger = false, adminPassword = makePassword(), cluster, debugging = false }: AppOptions = {},
): Promise<FastifyInstance> {
  const app = Fastify({ logger })
  const readers = [urls.reader].flat()

  await app.register(sqlAssist, {
    engines: {
      // Its transactions are committed by the response: 2xx commits, anything else rolls back.
      writer: { orm: defineConfig({ clientUrl: urls.writer, entities: [Author, Note] }), createAll: true },
      // Reads from the standbys. Whoever has just written is not sent to one before it has that.
      reader: {
        orm: defineConfig({ clientUrl: readers[0] ?? urls.writer, entities: [Author, Note] }),
        readOnly: true,
        ...replicasOf(readers, urls.writer),
      },
      // Saves whatever it is given, also when the request fails.
      logger: {
        orm: defineConfig({ clientUrl: urls.logger, entities: [AuditLine] }),
        autocommit: true,
        createAll: true,
      },
    },
    commitMode: 'autocommit',
    // Signs the cookie that tells what a client has written. Several processes need the same one.
    routing: { token: { secret: process.env.TOKEN_SECRET ?? randomBytes(32).toString('hex') } },
  })

  if (debugging) await addDebugging(app)
  await app.register(fastifyCookie)
  knowVisitors(app)
  // Before the flags, which ask them.
  await addSegments(app)
  await addFeatureFlags(app)
  const runner = await addApplause(app)
  // Before the routes, as it counts what is answered.
  const room = new ControlRoom(app, runner, cluster)

  // Before the routes: what the database refuses becomes a 404, 409 or 422.
  await app.register(databaseErrors)
  app.setErrorHandler(answerErrors)
  addSchemas(app)
  await app.register(fastifySwagger, openApi)
  await app.register(fastifySwaggerUi, { routePrefix: '/docs', staticCSP: docsSecurityPolicy })

  await app.register(authors, { prefix: '/authors' })
  await app.register(notes, { prefix: '/notes' })
  await app.register(health, { prefix: '/health' })
  await app.register(startPage, { room, debugging })
  if (room.hasButtons) await app.register(buttons, { room })
  await app.register(page, { servers: { ...urls, reader: readers[0] ?? urls.writer } })
  await app.register(applausePage, { prefix: '/applause', runner })
  await app.register(admin, { prefix: '/admin', password: adminPassword })
  return app
}

/** Without a standby there is nothing to choose from. */
function replicasOf(readers: readonly string[], writer: string): Pick<ReaderOptions, 'replicas'> {
  const standbys = readers.filter(url => new URL(url).host !== new URL(writer).host)
  if (standbys.length === 0) return {}
  return { replicas: standbys.map((clientUrl, index) => ({ name: `standby-${index + 1}`, clientUrl })) }
}
