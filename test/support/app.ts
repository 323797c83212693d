import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig, defineEntity, type PostgreSqlConnection, p } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type pg from 'pg'
import type { Db, EngineOptions, SqlAssistOptions } from '../../src/index.ts'
import { sqlAssist } from '../../src/index.ts'
import type { Teardown, TestDatabase } from './cluster.ts'

// An application with the engines writer, reader and logger on a test database, and a client that can hang up.

const noteProperties = {
  id: p.integer().primary(),
  tag: p.string(),
  body: p.string(),
  kind: p.string().default('plain'),
  createdAt: p.datetime().defaultRaw('now()'),
}

/** Has an id and two columns that only the database fills in. */
export const Note = defineEntity({ name: 'Note', tableName: 'note', properties: noteProperties })

/** What the logger engine writes. */
export const Audit = defineEntity({
  name: 'Audit',
  tableName: 'audit',
  properties: { id: p.integer().primary(), tag: p.string() },
})

/** What {@link createTables} runs. */
export const TABLES = `
create table note (
  id serial primary key,
  tag text not null,
  body text not null,
  kind text not null default 'plain',
  created_at timestamptz not null default now()
);
create table audit (id serial primary key, tag text not null);
create function at_commit() returns trigger language plpgsql as $$ begin
  if new.body = 'slow' then perform pg_sleep(1.4); end if;
  if new.body = 'refused' then raise exception 'refused at commit' using errcode = '23514'; end if;
  return null;
end $$;
create function at_insert() returns trigger language plpgsql as $$ begin
  perform pg_sleep(0.4);
  return new;
end $$;
create trigger at_insert before insert on note for each row when (new.body = 'slow insert')
  execute function at_insert();
create constraint trigger at_commit after insert on note deferrable initially deferred
  for each row when (new.body in ('slow', 'refused')) execute function at_commit();
`

/**
 * Creates the tables. A note whose body is `slow insert` takes 0.4 s, with `slow` the COMMIT behind it takes 1.4 s,
 * and with `refused` COMMIT fails.
 */
export async function createTables(db: TestDatabase): Promise<void> {
  await db.sql(TABLES)
}

/** A line that the application has logged. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly err?: { message: string; code?: string }
  readonly [field: string]: unknown
}

type OrmOptions = Parameters<typeof defineConfig>[0]

/** A MikroORM configuration with this file's entities. `name` shows in pg_stat_activity. */
export function ormConfig(clientUrl: string, options: OrmOptions = {}, name = 'sqlassist-test') {
  return defineConfig({
    clientUrl,
    entities: [Note, Audit],
    debug: false,
    logger: () => {},
    driverOptions: { application_name: name },
    ...options,
  })
}

export interface AppOptions {
  readonly server?: FastifyServerOptions
  readonly plugin?: Partial<Omit<SqlAssistOptions, 'engines'>>
  /** Merged into the options of engines that have the name, added where there is none. */
  readonly engines?: Record<string, Partial<EngineOptions>>
  /** Connections of each pool. */
  readonly max?: number
  readonly applicationName?: string
  /** What is registered before the plugin. */
  before?(app: FastifyInstance): void
  /** What is registered after it. */
  routes?(app: FastifyInstance): void
}

export interface TestApp {
  readonly app: FastifyInstance
  readonly port: number
  readonly applicationName: string
  readonly logs: LogLine[]
  call(method: string, path: string, options?: CallOptions): Call
  /** The answer to a call that is left alone. */
  ask(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** What is still open, once it has become nothing or patience has ended. */
  remains(): Promise<Remains>
}

/** What a request may leave behind: all of it is 0 when everything came back. */
export interface Remains {
  readonly scopes: number
  readonly sessions: number
  readonly used: number
  readonly waiting: number
  readonly inTransaction: number
}

export const NOTHING: Remains = { scopes: 0, sessions: 0, used: 0, waiting: 0, inTransaction: 0 }

/** Builds the application, listens, and closes it when `t` is torn down. */
export async function testApp(t: Teardown, db: TestDatabase, options: AppOptions = {}): Promise<TestApp> {
  const { max = 4, applicationName = 'sqlassist-test' } = options
  const logs: LogLine[] = []
  const stream = { write: (line: string) => logs.push(JSON.parse(line)) }
  const app = Fastify({ logger: { level: 'info', stream }, ...options.server })
  // No connection is closed by itself while a test counts them.
  const pool = { min: 0, max, idleTimeoutMillis: 0 }
  const engines = {
    writer: { orm: ormConfig(db.writerUrl, { pool }, applicationName), ...options.engines?.writer },
    reader: {
      orm: ormConfig(db.readerUrl, { pool }, applicationName),
      readOnly: true,
      snapshot: true,
      ...options.engines?.reader,
    },
    logger: {
      orm: ormConfig(db.loggerUrl, { pool }, applicationName),
      autocommit: true,
      ...options.engines?.logger,
    },
  }
  t.teardown(() => {
    app.server.closeAllConnections()
    return app.close()
  })
  options.before?.(app)
  await app.register(sqlAssist, {
    ...options.plugin,
    engines: { ...engines, ...options.engines, ...engines } as Record<string, EngineOptions>,
  })
  options.routes?.(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return {
    app,
    port,
    applicationName,
    logs,
    call: (method, path, callOptions) => call(port, method, path, callOptions),
    ask: (method, path, callOptions) => call(port, method, path, callOptions).answer,
    remains: async () => (await outcomeOf({ app, applicationName }, db)).left,
  }
}

/** What became of the notes and lines with a tag, and what is still open, once that is nothing or patience ends. */
export async function outcomeOf(
  test: { app: FastifyInstance; applicationName: string },
  db: TestDatabase,
  tag = '',
): Promise<{ notes: number; audits: number; left: Remains }> {
  let found = { notes: -1, audits: -1, left: NOTHING }
  await eventually(async () => {
    // First what is open, then what is saved: when nothing is open any more, nothing can be saved later.
    const figures = [...test.app.sqlAssist.engines].map(engine => engine.figures)
    const { scopes, open } = test.app.sqlAssist.sessions
    const [row] = await db.sql<{ notes: number; audits: number; in_transaction: number }>(
      `select
        (select count(*)::int from note where tag = $3) as notes,
        (select count(*)::int from audit where tag = $3) as audits,
        (select count(*)::int from pg_stat_activity
          where datname = $1 and application_name = $2 and state like 'idle in transaction%') as in_transaction`,
      [db.name, test.applicationName, tag],
    )
    const { notes, audits, in_transaction: inTransaction } = row as NonNullable<typeof row>
    const left = {
      scopes,
      sessions: open,
      used: figures.reduce((sum, { used }) => sum + used, 0),
      waiting: figures.reduce((sum, { waiting }) => sum + waiting, 0),
      inTransaction,
    }
    found = { notes, audits, left }
    return Object.values(left).every(value => value === 0)
  })
  return found
}

/** The pool under an engine, which an application can reach as well as we can. */
export function nativePool(test: TestApp, engine = 'writer'): Promise<pg.Pool> {
  const connection = test.app.sqlAssist.engines.get(engine).orm.driver.getConnection() as unknown
  return (connection as PostgreSqlConnection).getNativeClient() as Promise<pg.Pool>
}

export interface CallOptions {
  readonly headers?: Record<string, string>
  readonly body?: unknown
  /** The beginning of a body whose rest is never sent. */
  readonly unfinished?: string
}

/** What the client saw. Without a status the connection was closed before there was one. */
export interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Whether the body came to its proper end. */
  readonly complete: boolean
}

export interface Call {
  readonly answer: Promise<Answer>
  readonly request: ClientRequest
  /** Resolves with the first byte of the body. */
  readonly started: Promise<void>
  /** Closes the socket. */
  abort(): void
}

/** One request over a connection of its own. */
export function call(port: number, method: string, path: string, options: CallOptions = {}): Call {
  const body = options.body === undefined ? undefined : JSON.stringify(options.body)
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
    ...options.headers,
  }
  const request = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false })
  const started = Promise.withResolvers<void>()
  const answer = new Promise<Answer>(resolve => {
    const cut = () => resolve({ status: undefined, headers: {}, body: '', complete: false })
    request.on('error', cut)
    request.on('close', cut)
    request.on('response', response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
        started.resolve()
      })
      response.on('error', () => {})
      request.removeListener('close', cut)
      response.on('close', () => {
        resolve({
          status: response.statusCode,
          headers: response.headers,
          body: text,
          complete: response.complete,
        })
      })
    })
  })
  if (options.unfinished === undefined) request.end(body)
  else request.write(options.unfinished)
  return { answer, request, started: started.promise, abort: () => request.destroy() }
}

/** Asks again until the answer is yes. @returns whether it was within `ms` */
export async function eventually(check: () => boolean | Promise<boolean>, ms = 5_000): Promise<boolean> {
  const deadline = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > deadline) return false
    await sleep(5)
  }
  return true
}

/** The bodies of the notes with a tag that have been committed, in the order of their ids. */
export async function committed(db: TestDatabase, tag: string): Promise<string[]> {
  const rows = await db.sql<{ body: string }>('select body from note where tag = $1 order by id', [tag])
  return rows.map(row => row.body)
}

/** How many lines of the logger engine with a tag have been committed. */
export async function audited(db: TestDatabase, tag: string): Promise<number> {
  const [row] = await db.sql<{ count: number }>('select count(*)::int from audit where tag = $1', [tag])
  return row?.count ?? -1
}

/** Uses all three engines: one note is written, one is pending, and a line is logged. */
export async function writeTwo(db: Db, tag: string, last = 'second'): Promise<void> {
  db.logger.create(Audit, { tag })
  await db.logger.flush()
  await db.reader.findOne(Note, { id: 0 })
  db.writer.create(Note, { tag, body: 'first' })
  await db.writer.flush()
  db.writer.create(Note, { tag, body: last })
}
