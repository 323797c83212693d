import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { TestDb } from '../../plugins/testing/index.ts'
import type { EngineOptions, SqlAssistOptions } from '../../src/index.ts'
import { Audit, createTables, Note, type TestApp, testApp } from '../support/app.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'

// An application whose requests write, read and log, and what its database holds as others see it.

type Tagged = { Params: { tag: string }; Querystring: { fails?: string; body?: string; ms?: number } }

export interface SharedApp extends TestApp {
  readonly db: TestDatabase
  /** What is saved in the database for good. */
  saved(): Promise<{ notes: number; audits: number }>
}

export async function sharedApp(
  t: Test,
  engines: Record<string, Partial<EngineOptions>> = {},
  plugin: Partial<Omit<SqlAssistOptions, 'engines'>> = {},
  more: (app: FastifyInstance) => void = () => {},
): Promise<SharedApp> {
  const db = await testDatabase(t)
  await createTables(db)
  const test = await testApp(t, db, {
    plugin: { commitMode: 'autocommit', ...plugin },
    engines,
    routes(app) {
      routes(app)
      more(app)
    },
  })
  return {
    ...test,
    db,
    async saved() {
      const [row] = await db.sql<{ notes: number; audits: number }>(
        'select (select count(*)::int from note) as notes, (select count(*)::int from audit) as audits',
      )
      return row as { notes: number; audits: number }
    },
  }
}

/** The bodies of the notes that the shared transaction sees, through an engine. */
export async function notes(shared: TestDb, tag: string, engine = 'reader'): Promise<string[]> {
  return shared.run(async db => {
    const found = await db.get(engine).find(Note, { tag }, { orderBy: { id: 1 } })
    return found.map(({ body }) => body)
  })
}

/** The same of the logger's lines. */
export async function audits(shared: TestDb, tag: string): Promise<number> {
  return shared.run(db => db.reader.count(Audit, { tag }))
}

function routes(app: FastifyInstance): void {
  app.post<Tagged>('/notes/:tag', async request => {
    const { tag } = request.params
    const { fails, body = 'a', ms } = request.query
    const note = request.db.writer.create(Note, { tag, body })
    await request.db.writer.flush()
    if (ms !== undefined) await sleep(Number(ms))
    if (fails === 'throws') throw new RangeError('refused')
    if (fails === 'constraint') await request.db.writer.execute('insert into note (tag) values (null)')
    return { id: note.id }
  })
  app.post<Tagged>('/logged/:tag', async (request, reply) => {
    const { tag } = request.params
    request.db.writer.create(Note, { tag, body: 'logged' })
    await request.db.writer.flush()
    request.db.logger.create(Audit, { tag })
    await request.db.logger.flush()
    await request.db.logger.execute('insert into audit (tag) values (?)', [tag])
    const seen = await request.db.reader.count(Note, { tag })
    if (request.query.fails !== undefined) reply.code(409)
    return { seen }
  })
  app.get<Tagged>('/notes/:tag', async request => {
    const found = await request.db.reader.find(Note, { tag: request.params.tag }, { orderBy: { id: 1 } })
    return found.map(({ body }) => body)
  })
}
