import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import type {
  Consistency,
  EngineOptions,
  ReaderOptions,
  ReplicaInfo,
  RoutingOptions,
} from '../../src/index.ts'
import { parseLsn } from '../../src/routing/position.ts'
import { type AppOptions, eventually, Note, ormConfig, TABLES, type TestApp, testApp } from './app.ts'
import { type Teardown, type TestDatabase, testCluster } from './cluster.ts'
import type { WireTap } from './wire-tap.ts'

type OrmOptions = Parameters<typeof ormConfig>[1]

// An application whose reader has the standbys of a cluster of its own.

/** Signs the tokens of the tests. */
export const SECRET = 'a secret of at least 16 characters'

export interface RoutedOptions extends Omit<AppOptions, 'plugin'> {
  readonly plugin?: AppOptions['plugin']
  readonly routing?: RoutingOptions
  /** Options of the reader besides its replicas. */
  readonly reader?: Partial<ReaderOptions>
}

/** The primary of a cluster, as a test database. */
export function databaseOf(cluster: EmbeddedCluster, t: Teardown): TestDatabase {
  const pool = new pg.Pool({ connectionString: cluster.primary.url, max: 1, idleTimeoutMillis: 0 })
  pool.on('error', () => {})
  t.teardown(() => pool.end())
  return {
    name: new URL(cluster.primary.url).pathname.slice(1),
    url: cluster.primary.url,
    superUrl: cluster.primary.url,
    readerUrl: cluster.url('app_reader'),
    writerUrl: cluster.url('app_writer'),
    loggerUrl: cluster.url('app_logger'),
    sql: async (text, values) => (await pool.query(text, values)).rows,
  }
}

/** A cluster of its own with the tables of the tests on every server. */
export async function replicatedCluster(
  t: Teardown,
  replicas: number,
  settings = {},
): Promise<EmbeddedCluster> {
  const cluster = await testCluster(t, { replicas, settings })
  const client = new pg.Client(cluster.primary.url)
  await client.connect()
  await client.query(TABLES)
  await client.end()
  for (const replica of cluster.replicas) await replica.caughtUp()
  return cluster
}

/** What the reader's `replicas` are for a cluster. */
export function replicasOf(cluster: EmbeddedCluster) {
  return cluster.replicas.map((server, index) => ({
    name: `replica${index + 1}`,
    clientUrl: cluster.url('app_reader', server),
  }))
}

/** An application on a cluster: writer, reader with replicas, logger; servers are asked often. */
export function routedApp(
  t: Teardown,
  cluster: EmbeddedCluster,
  options: RoutedOptions = {},
): Promise<TestApp> {
  const { routing, reader, engines, plugin, ...rest } = options
  return testApp(t, databaseOf(cluster, t), {
    ...rest,
    plugin: {
      commitMode: 'autocommit',
      routing: { token: { secret: SECRET }, probe: { interval: 100, timeout: 250 }, ...routing },
      ...plugin,
    },
    engines: {
      ...engines,
      reader: {
        snapshot: false,
        orm: ormConfig(cluster.url('app_reader', cluster.primary), { pool: { min: 0, max: rest.max ?? 4 } }),
        replicas: replicasOf(cluster),
        ...reader,
      } as EngineOptions,
    },
  })
}

/** The reader's replicas by name. */
export function replicaStates(test: TestApp): Record<string, ReplicaInfo['state']> {
  return Object.fromEntries(
    test.app.sqlAssist.engines.get('reader').replicas.map(({ name, state }) => [name, state]),
  )
}

/** Waits until replicas are in the states. @returns what they are in the end */
export async function statesBecome(
  test: TestApp,
  wanted: Record<string, string>,
  ms = 10_000,
): Promise<Record<string, string>> {
  await eventually(
    () => Object.entries(wanted).every(([name, state]) => replicaStates(test)[name] === state),
    ms,
  )
  const states = replicaStates(test)
  return Object.fromEntries(Object.keys(wanted).map(name => [name, states[name] as string]))
}

/** A client that keeps its cookies, as browsers do. */
export class Browser {
  readonly #test: TestApp
  cookies: Record<string, string> = {}

  constructor(test: TestApp) {
    this.#test = test
  }

  async ask(method: string, path: string, body?: unknown) {
    const cookie = Object.entries(this.cookies)
      .map(([name, value]) => `${name}=${value}`)
      .join('; ')
    const answer = await this.#test.ask(method, path, {
      ...(body === undefined ? {} : { body }),
      headers: cookie === '' ? {} : { cookie },
    })
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      this.cookies[name] = value
    }
    return answer
  }
}

/** The options of {@link routedApp} with which everything that the engines send goes through a {@link WireTap}. */
export function tapped(cluster: EmbeddedCluster, tap: WireTap, orm: OrmOptions = {}, max = 4) {
  const config = (url: string) =>
    ormConfig(tap.url(url), { pool: { min: 0, max, idleTimeoutMillis: 0 }, ...orm })
  return {
    reader: {
      orm: config(cluster.url('app_reader', cluster.primary)),
      replicas: replicasOf(cluster).map(replica => ({ ...replica, clientUrl: tap.url(replica.clientUrl) })),
    },
    engines: {
      writer: { orm: config(cluster.url('app_writer')) },
      logger: { orm: config(cluster.url('app_logger')) },
    },
  }
}

/** What a server is called in tests, by its port. */
export function serverNames(cluster: EmbeddedCluster): Record<number, string> {
  return Object.fromEntries([
    [cluster.primary.port, 'primary'],
    ...cluster.replicas.map(({ port }, index) => [port, `replica${index + 1}`]),
  ])
}

const WHERE = 'select inet_server_port() as port'

/** The port of the server that answers a session's next statement. */
export async function portOf(em: { execute(sql: string): Promise<unknown> }): Promise<number> {
  const [row] = (await em.execute(WHERE)) as [{ port: number }]
  return row.port
}

/** Both replicas serve reads and have everything that has been committed before, and the application knows it. */
export async function allCurrent(test: TestApp, cluster: EmbeddedCluster): Promise<void> {
  const [now] = await test.app.sqlAssist.run(db =>
    db.writer.execute<{ lsn: string }[]>('select pg_current_wal_flush_lsn()::text as lsn'),
  )
  const lsn = parseLsn(now?.lsn ?? '')
  for (const replica of cluster.replicas) {
    await replica.resumeReplay()
    await replica.caughtUp()
  }
  const known = await eventually(() =>
    test.app.sqlAssist.engines.get('reader').replicas.every(({ position }) => (position?.lsn ?? 0n) >= lsn),
  )
  if (!known) throw new Error('the replicas have not caught up')
  const wanted = Object.fromEntries(
    cluster.replicas.map((_replica, index) => [`replica${index + 1}`, 'online']),
  )
  const states = await statesBecome(test, wanted)
  if (Object.values(states).some(state => state !== 'online')) throw new Error(JSON.stringify(states))
}

type Tagged = { Params: { tag: string } }

/** `POST /notes/:tag` writes, `GET /notes/:tag` reads: 200 or 404, with the port of the server that answered. */
export function addNoteRoutes(app: FastifyInstance, consistency?: Consistency, prefix = ''): void {
  const config = consistency === undefined ? {} : { db: { consistency } }
  app.post<Tagged>(`${prefix}/notes/:tag`, async (request, reply) => {
    const note = request.db.writer.create(Note, { tag: request.params.tag, body: 'a' })
    reply.code(201)
    return note
  })
  app.get<Tagged>(`${prefix}/notes/:tag`, { config }, async (request, reply) => {
    const note = await request.db.reader.findOne(Note, { tag: request.params.tag })
    if (note === null) reply.code(404)
    return { found: note !== null, port: await portOf(request.db.reader) }
  })
}

/** For tests in which no server fails: a machine that is busy must not look like one that does. */
export const PATIENT_PROBE = { interval: 100, timeout: 10_000 }
