import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { segments } from 'fastify-sqlassist/segments'
import { ENVIRONMENT } from './identities.ts'

/** Applications in this process, which look at the same identities. */
export interface Apps extends AsyncDisposable {
  /** As an application is. */
  readonly usual: FastifyInstance
  /** Its connections use no index, so it goes on scanning when there are some. */
  readonly scanning: FastifyInstance
  /** It has materialised segments of its own, which it keeps current. */
  readonly live: FastifyInstance
}

const NO_INDEX = ['indexscan', 'indexonlyscan', 'bitmapscan'].map(what => `-c enable_${what}=off`).join(' ')

export async function startApps(url: string): Promise<Apps> {
  const usual = await startApp(url)
  const scanning = await startApp(url, { options: NO_INDEX })
  const live = await startApp(url, {}, { segments: 'live_segments', members: 'live_members' })
  return {
    usual,
    scanning,
    live,
    async [Symbol.asyncDispose]() {
      await Promise.all([usual, scanning, live].map(app => app.close()))
    },
  }
}

async function startApp(url: string, driverOptions = {}, tables = {}): Promise<FastifyInstance> {
  const app = Fastify()
  const orm = defineConfig({
    clientUrl: url,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    // One connection, and it stays: the CPU of a process that has ended is nobody's.
    pool: { min: 1, max: 1, idleTimeoutMillis: 3_600_000 },
    driverOptions,
  })
  await app.register(sqlAssist, { engines: { writer: { orm } }, commitMode: 'autocommit' })
  await app.register(segments, { environment: ENVIRONMENT, createTables: true, ttl: 3_600_000, tables })
  await app.ready()
  return app
}
