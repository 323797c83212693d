import { randomBytes } from 'node:crypto'
import fastifyCookie from '@fastify/cookie'
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { databaseErrors } from 'fastify-sqlassist/repository'
import { admin } from './admin.ts'
import { addApplause } from './applause/add.ts'
import { applausePage } from './applause/page.ts'
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

/** Where each engine finds its server. */
export interface Urls {
  readonly reader: string
  readonly writer: string
  readonly logger: string
}

export interface AppOptions extends Pick<FastifyServerOptions, 'logger'> {
  /** Opens the page of the feature flags. Without it nobody can log in. */
  readonly adminPassword?: string
}

/** The whole service, ready to listen or to be tested with `app.inject`. */
export async function buildApp(
  urls: Urls,
  { logger = false, adminPassword = makePassword() }: AppOptions = {},
): Promise<FastifyInstance> {
  const app = Fastify({ logger })

  await app.register(sqlAssist, {
    engines: {
      // Its transactions are committed by the response: 2xx commits, anything else rolls back.
      writer: { orm: defineConfig({ clientUrl: urls.writer, entities: [Author, Note] }), createAll: true },
      // Reads from a standby. Whoever has just written is not sent there before the standby has it.
      reader: {
        orm: defineConfig({ clientUrl: urls.reader, entities: [Author, Note] }),
        readOnly: true,
        ...(isOneServer(urls) ? {} : { replicas: [{ name: 'standby', clientUrl: urls.reader }] }),
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

  await app.register(fastifyCookie)
  knowVisitors(app)
  // Before the flags, which ask them.
  await addSegments(app)
  await addFeatureFlags(app)
  const runner = await addApplause(app)

  // Before the routes: what the database refuses becomes a 404, 409 or 422.
  await app.register(databaseErrors)
  app.setErrorHandler(answerErrors)
  addSchemas(app)
  await app.register(fastifySwagger, openApi)
  await app.register(fastifySwaggerUi, { routePrefix: '/docs', staticCSP: docsSecurityPolicy })

  await app.register(authors, { prefix: '/authors' })
  await app.register(notes, { prefix: '/notes' })
  await app.register(health, { prefix: '/health' })
  await app.register(page, { servers: urls })
  await app.register(applausePage, { prefix: '/applause', runner })
  await app.register(admin, { prefix: '/admin', password: adminPassword })
  return app
}

/** Without a standby there is nothing to choose from. */
function isOneServer({ reader, writer }: Urls): boolean {
  return new URL(reader).host === new URL(writer).host
}
