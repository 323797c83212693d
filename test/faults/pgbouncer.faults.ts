import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { EngineOptions, SqlEm } from '../../src/index.ts'
import {
  type AppOptions,
  Audit,
  audited,
  committed,
  createTables,
  eventually,
  NOTHING,
  Note,
  ormConfig,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'
import {
  type PgBouncer,
  type PgBouncerOptions,
  startPgBouncer,
  withoutPgBouncer,
} from '../support/pgbouncer.ts'
import { Browser, databaseOf, replicatedCluster, SECRET, statesBecome } from '../support/routed-app.ts'

interface Scene {
  readonly database: TestDatabase
  readonly bouncer: PgBouncer
  readonly test: TestApp
}

/** An application whose every engine is behind PgBouncer, with fewer server connections than it has clients. */
async function scene(
  t: Test,
  options: AppOptions,
  { poolSize = 2, ...bouncing }: PgBouncerOptions = {},
): Promise<Scene> {
  const database = await testDatabase(t)
  await createTables(database)
  const urls = [database.superUrl, database.readerUrl, database.writerUrl, database.loggerUrl]
  const bouncer = await startPgBouncer(t, urls, { poolSize, ...bouncing })
  const through = {
    ...database,
    readerUrl: bouncer.through(database.readerUrl),
    writerUrl: bouncer.through(database.writerUrl),
    loggerUrl: bouncer.through(database.loggerUrl),
  }
  const test = await testApp(t, through, { plugin: { commitMode: 'autocommit' }, max: 8, ...options })
  return { database, bouncer, test }
}

/** Eight at a time. */
async function crowd<T>(work: (index: number) => Promise<T>, size = 8): Promise<T[]> {
  return Promise.all(Array.from({ length: size }, (_, index) => work(index)))
}

const tagOf = (request: { params: unknown }): string => (request.params as { tag: string }).tag
const tags = Array.from({ length: 8 }, (_, index) => `tag ${index}`)
const path = (route: string, tag: string) => `/${route}/${encodeURIComponent(tag)}`

function writerRoutes(app: FastifyInstance): void {
  app.post('/commits/:tag', async (request, reply) => {
    const { writer } = request.db
    writer.create(Note, { tag: tagOf(request), body: 'one' })
    await writer.flush()
    await sleep(5)
    writer.create(Note, { tag: tagOf(request), body: 'two' })
    reply.code(201)
    return { done: true }
  })
  app.post('/fails/:tag', async (request, reply) => {
    request.db.writer.create(Note, { tag: tagOf(request), body: 'lost' })
    await request.db.writer.flush()
    reply.code(500)
    return { done: false }
  })
  app.post('/nests/:tag', async request => {
    const tag = tagOf(request)
    await request.db.writer.transactional(async outer => {
      outer.create(Note, { tag, body: 'outer' })
      await outer.flush()
      const inner = outer.transactional(async em => {
        em.create(Note, { tag, body: 'inner' })
        await em.flush()
        await em.execute('select 1 / 0')
      })
      await inner.catch(() => {})
      await outer.transactional(async em => {
        em.create(Note, { tag, body: 'second inner' })
      })
    })
  })
  app.post('/streams/:tag', async request => {
    const tag = tagOf(request)
    const { writer } = request.db
    await writer.execute(
      "insert into note (tag, body) select ?, 'row ' || n from generate_series(1, 250) n",
      [tag],
    )
    let seen = 0
    for await (const note of writer.stream(Note, { where: { tag } })) seen += note.tag === tag ? 1 : 0
    return { seen }
  })
  app.post('/refused/:tag', async request => {
    request.db.writer.create(Note, { tag: tagOf(request), body: 'refused' })
  })
  app.post('/parameters/:tag', async request => {
    const kysely = request.db.writer.getKysely<{ note: { tag: string; body: string } }>()
    await kysely
      .insertInto('note')
      .values({ tag: tagOf(request), body: 'bound' })
      .execute()
    return kysely.selectFrom('note').select('body').where('tag', '=', tagOf(request)).execute()
  })
}

async function writer(t: Test): Promise<void> {
  const { database, bouncer, test } = await scene(t, { routes: writerRoutes })
  const ask = (route: string) =>
    crowd(async index => (await test.ask('POST', path(route, tags[index] as string), { body: {} })).status)
  const saved = async (): Promise<string[][]> => {
    const all = await Promise.all(tags.map(tag => committed(database, tag)))
    await database.sql('truncate note')
    return all
  }
  const eight = <T>(value: T): T[] => tags.map(() => value)

  t.same(await ask('commits'), eight(201))
  t.same(await saved(), eight(['one', 'two']), 'commits')
  t.same(await ask('fails'), eight(500))
  t.same(await saved(), eight([]), 'rolls back when the answer is a 500')
  t.same(await ask('nests'), eight(200))
  t.same(await saved(), eight(['outer', 'second inner']), 'nests savepoints')
  t.same(
    await crowd(
      async index => (await test.ask('POST', path('streams', tags[index] as string), { body: {} })).body,
    ),
    eight('{"seen":250}'),
    'streams in its transaction',
  )
  await saved()
  t.same(await ask('refused'), eight(500), 'a COMMIT that fails is no success')
  t.same(await saved(), eight([]))
  t.same(await ask('parameters'), eight(200))
  t.same(await saved(), eight(['bound']), 'binds parameters')
  t.same(await test.remains(), NOTHING)
  const pools = await bouncer.show('pools')
  const busy = pools.find(({ user }) => user === 'app_writer')
  t.equal(busy?.pool_mode, 'transaction')
  t.ok(Number(busy?.cl_active) > 2, 'it had more clients')
  t.ok(Number(busy?.sv_idle) + Number(busy?.sv_used) <= 2, 'than server connections')
}

const HIDDEN =
  "with hidden as (insert into note (tag, body) values ('hidden', 'x') returning id) select id from hidden"

async function reader(t: Test, settings: PgBouncerOptions['settings'] = {}): Promise<void> {
  const database = await testDatabase(t)
  await createTables(database)
  await database.sql(`create function hidden_write() returns int language sql
    as $$ insert into note (tag, body) values ('hidden', 'x') returning id $$`)
  // Nothing but the transaction keeps the superuser from writing.
  const bouncer = await startPgBouncer(t, [database.superUrl], { poolSize: 1, settings: settings ?? {} })
  const orm = (max: number) =>
    ormConfig(bouncer.through(database.superUrl), { pool: { min: 0, max, idleTimeoutMillis: 0 } })
  const test = await testApp(t, database, {
    engines: {
      reader: { orm: orm(8), snapshot: false },
      narrow: { orm: orm(1), readOnly: true },
    },
  })
  const { app } = test
  const run = <T>(fn: (em: SqlEm) => Promise<T>, engine = 'reader') =>
    app.sqlAssist.run(db => fn(db.get(engine)))

  t.match(
    test.logs.filter(({ msg }) => msg.includes('every statement runs in a read-only transaction')),
    [
      { level: 30, engine: /reader|narrow/, reason: 'a pooler stands before the server' },
      { level: 30, engine: /reader|narrow/ },
    ],
    'one line an engine says so',
  )
  await database.sql("insert into note (tag, body) select 'many', n::text from generate_series(1, 250) n")
  t.same(await crowd(() => run(em => em.count(Note, { tag: 'many' }))), Array(8).fill(250))
  const byKysely = (em: SqlEm) =>
    em
      .getKysely<{ note: { id: number; tag: string } }>()
      .selectFrom('note')
      .select('id')
      .where('tag', '=', 'many')
  t.equal((await run(em => byKysely(em).execute())).length, 250, 'with bound parameters')
  t.same(
    await crowd(() =>
      run(async em => {
        let seen = 0
        for await (const note of em.stream(Note, { where: { tag: 'many' } }))
          seen += note.tag === 'many' ? 1 : 0
        return seen
      }),
    ),
    Array(8).fill(250),
    'streams',
  )
  t.same(await run(em => em.execute('select 1 as one -- a comment')), [{ one: 1 }])
  t.same(await run(em => em.execute('select 1 as one;')), [{ one: 1 }])

  await t.rejects(
    run(em => em.insert(Note, { tag: 'hidden', body: 'x' } as never)),
    { code: 'SQLA_ERR_READ_ONLY' },
    'we refuse a write before the server sees it',
  )
  const writes: Record<string, (em: SqlEm) => Promise<unknown>> = {
    'a CTE': em => em.execute(HIDDEN),
    'a function': em => em.execute('select hidden_write()'),
    'a second statement': em => em.execute("select 1; insert into note (tag, body) values ('hidden', 'x')"),
    'a function with bound parameters': em =>
      em
        .getKysely<{ note: { id: number; tag: string } }>()
        .selectFrom('note')
        .select(({ fn }) => fn('hidden_write', []).as('id'))
        .where('tag', '=', 'many')
        .execute(),
    'a stream': async em => {
      const rows = em.getKysely<{ note: { id: number; tag: string } }>().selectFrom('note')
      for await (const _ of rows.select(({ fn }) => fn('hidden_write', []).as('id')).stream(10)) break
    },
    'a transaction': em => em.transactional(inner => inner.execute(HIDDEN)),
  }
  for (const [name, write] of Object.entries(writes)) {
    for (const engine of ['reader', 'narrow']) {
      await t.rejects(run(write, engine), { code: '25006' }, `the server refuses a write in ${name}`)
      t.equal(await run(em => em.count(Note, { tag: 'hidden' }), engine), 0)
    }
  }
  await t.rejects(
    run(em => em.execute('select nothing'), 'narrow'),
    { code: '42703', position: '8' },
    'an error says where in the statement it was found',
  )
  t.same(
    test.logs.filter(({ level }) => level >= 40),
    [],
    'a statement that failed leaves no transaction behind',
  )

  const queries = async () =>
    Number((await bouncer.show('stats_totals')).find(row => row.database === database.name)?.query_count)
  const before = await queries()
  await run(async em => {
    for (let index = 0; index < 20; index++) await em.execute('select 1')
  })
  t.equal((await queries()) - before, 20, 'a statement is one round trip')

  // Server connections are shared: what another client has set on one of them says nothing of it later.
  await database.sql(`alter database ${database.name} set default_transaction_read_only = on`)
  await bouncer.console('reconnect')
  await app.sqlAssist.reinit()
  const other = new pg.Client(bouncer.through(database.superUrl))
  await other.connect()
  t.match((await other.query('show default_transaction_read_only')).rows, [
    { default_transaction_read_only: 'on' },
  ])
  await other.query('set default_transaction_read_only = off')
  await other.end()
  await t.rejects(
    run(writes['a function'] as (em: SqlEm) => Promise<unknown>),
    { code: '25006' },
    'also when the setting was on, and is off now',
  )
  await database.sql(`alter database ${database.name} reset default_transaction_read_only`)
  await app.sqlAssist.reinit()
  await t.rejects(
    run(writes['a function'] as (em: SqlEm) => Promise<unknown>),
    { code: '25006' },
    'also after reinit',
  )
  t.same(await test.remains(), NOTHING)
}

async function otherReaders(t: Test): Promise<void> {
  const entered = Promise.withResolvers<void>()
  const { database, test } = await scene(t, {
    routes: app => {
      app.get('/snapshot', async request => {
        const before = await request.db.reader.count(Note)
        inside++
        if (inside === 2) entered.resolve()
        await go.promise
        request.db.reader.clear()
        return { before, after: await request.db.reader.count(Note) }
      })
    },
  })
  let inside = 0
  const go = Promise.withResolvers<void>()
  const answers = crowd(async () => (await test.ask('GET', '/snapshot')).body)
  await entered.promise
  await database.sql("insert into note (tag, body) values ('meanwhile', 'x')")
  go.resolve()
  const bodies = await answers
  const count = (body: string) => bodies.filter(one => one === body).length
  t.equal(count('{"before":0,"after":0}'), 2, 'who began before sees what was')
  t.equal(count('{"before":1,"after":1}'), 6, 'who had to wait for a server connection sees what is')
  t.same(await test.remains(), NOTHING)
}

async function logger(t: Test): Promise<void> {
  const { database, test } = await scene(t, {
    routes: app => {
      app.post('/:tag', async (request, reply) => {
        const { logger } = request.db
        logger.create(Audit, { tag: tagOf(request) })
        await logger.flush()
        await logger.transactional(async em => {
          em.create(Audit, { tag: tagOf(request) })
        })
        reply.code(500)
        return { done: false }
      })
      app.get('/streams', async request => {
        const numbers = new Set<number>()
        for await (const { id } of request.db.logger.stream(Audit, { where: { tag: 'many' } })) {
          // A portal lives in a transaction: the server connection must stay ours while we are slow.
          if (numbers.size % 100 === 0) await sleep(5)
          numbers.add(id)
        }
        return { rows: numbers.size }
      })
    },
  })
  const answers = await crowd(
    async index => (await test.ask('POST', path('', tags[index] as string).slice(1), { body: {} })).status,
  )
  t.same(answers, Array(8).fill(500))
  t.same(
    await Promise.all(tags.map(tag => audited(database, tag))),
    Array(8).fill(2),
    'commits whatever the answer is',
  )
  await database.sql("insert into audit (tag) select 'many' from generate_series(1, 450)")
  t.same(
    await crowd(async () => (await test.ask('GET', '/streams')).body),
    Array(8).fill('{"rows":450}'),
    'streams outside a transaction, in several portions',
  )
  t.same(await test.remains(), NOTHING)
}

async function isolation(t: Test): Promise<void> {
  let entered = 0
  const everybody = Promise.withResolvers<void>()
  const { database, bouncer, test } = await scene(
    t,
    {
      max: 100,
      engines: { reader: { snapshot: false } },
      routes: app => {
        app.post('/:tag', async (request, reply) => {
          const { writer, reader } = request.db
          const tag = tagOf(request)
          entered++
          if (entered === 100) everybody.resolve()
          await everybody.promise
          const state =
            "select txid_current()::text as id, pg_backend_pid() as pid, current_setting('app.tag', true) as tag"
          const [before] = (await writer.execute(state)) as [{ id: string; pid: number; tag: string | null }]
          await writer.execute(`set local app.tag = '${tag}'`)
          writer.create(Note, { tag, body: 'one' })
          await writer.flush()
          const [foreign] = (await reader.execute(
            "select current_setting('app.tag', true) as tag, current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as read_only",
          )) as [object]
          const [seen] = await writer.execute(
            'select count(*)::int as all_mine, count(*) filter (where tag <> ?)::int as others from note where xmin::text = (txid_current() % (2^32)::bigint)::text',
            [tag],
          )
          const [after] = (await writer.execute(state)) as [{ id: string; pid: number; tag: string }]
          if (Number(tag) % 2 === 1) reply.code(500)
          return {
            isClean: !before.tag,
            isSame: before.id === after.id && before.pid === after.pid && after.tag === tag,
            foreign,
            seen,
            pid: after.pid,
            id: after.id,
          }
        })
      },
    },
    { poolSize: 5 },
  )
  const answers = await crowd(index => test.ask('POST', `/${index}`, { body: {} }), 100)
  const bodies = answers.map(({ body }) => JSON.parse(body))
  t.same(
    answers.map(({ status }) => status),
    Array.from({ length: 100 }, (_, index) => (index % 2 === 1 ? 500 : 200)),
  )
  for (const body of bodies) {
    t.match(body, {
      isClean: true,
      isSame: true,
      foreign: { level: 'read committed', read_only: 'on' },
      seen: { all_mine: 1, others: 0 },
    })
    t.notOk(body.foreign.tag, "the reader knows nothing of the writer's setting")
  }
  t.equal(new Set(bodies.map(({ id }) => id)).size, 100, 'each has a transaction of its own')
  t.ok(new Set(bodies.map(({ pid }) => pid)).size <= 5, 'on five server connections')
  const rows = await database.sql<{ tag: string }>('select tag from note order by tag::int')
  t.same(
    rows.map(({ tag }) => Number(tag)),
    Array.from({ length: 50 }, (_, index) => 2 * index),
  )
  t.equal((await bouncer.show('pools')).find(({ user }) => user === 'app_writer')?.cl_active, 100)
  t.same(await test.remains(), NOTHING)
}

async function cancelling(t: Test, rounds: number, options: PgBouncerOptions = {}): Promise<void> {
  const outcomes: string[] = []
  const orm = (url: string) =>
    ormConfig(url, {
      pool: { min: 0, max: 8, idleTimeoutMillis: 0 },
      ...(options.tls
        ? { driverOptions: { application_name: 'sqlassist-test', ssl: { rejectUnauthorized: false } } }
        : {}),
    })
  const database = await testDatabase(t)
  await createTables(database)
  const bouncer = await startPgBouncer(t, [database.writerUrl, database.readerUrl], {
    poolSize: 2,
    ...options,
  })
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    engines: {
      writer: { orm: orm(bouncer.through(database.writerUrl)) },
      reader: { orm: orm(bouncer.through(database.readerUrl)), snapshot: false },
    },
    routes: app => {
      for (const engine of ['writer', 'reader'] as const) {
        app.get(`/stuck/${engine}`, { handlerTimeout: 250 }, async request => {
          const stuck = request.db[engine].execute('select pg_sleep(30)')
          outcomes.push(
            await stuck.then(
              () => 'slept',
              error => error.code,
            ),
          )
          return { done: true }
        })
        app.get(`/patient/${engine}`, async request => {
          await request.db[engine].execute('select pg_sleep(0.4)')
          return { done: true }
        })
      }
    },
  })
  const start = performance.now()
  for (let round = 0; round < rounds; round++) {
    for (const engine of ['writer', 'reader']) {
      // Two server connections: one is cancelled, the other one belongs to somebody else.
      const [stuck, patient] = await Promise.all([
        test.ask('GET', `/stuck/${engine}`),
        test.ask('GET', `/patient/${engine}`),
      ])
      t.same([stuck.status, patient.status], [503, 200], engine)
      // Both of them: nothing is left for whoever cancels.
      const both = await Promise.all([
        test.ask('GET', `/stuck/${engine}`),
        test.ask('GET', `/stuck/${engine}`),
      ])
      t.same(
        both.map(({ status }) => status),
        [503, 503],
        engine,
      )
    }
  }
  t.same(await test.remains(), NOTHING)
  t.same(outcomes, Array(6 * rounds).fill('57014'), 'each was cancelled, and not cut')
  t.ok(performance.now() - start < 25_000)
  const [left] = await database.sql<{ sleeping: number }>(
    "select count(*)::int as sleeping from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(30)%' and pid <> pg_backend_pid()",
  )
  t.equal(left?.sleeping, 0, 'and the server has stopped')
  t.match(
    (await bouncer.show('pools')).filter(row => row.database === database.name),
    [
      { sv_being_canceled: 0, cl_waiting_cancel_req: 0 },
      { sv_being_canceled: 0, cl_waiting_cancel_req: 0 },
    ],
  )
}

/** A way to a server on which those who come can be kept waiting. */
async function waitingRoom(t: Test, port: number): Promise<{ port: number; hold(): void; letIn(): void }> {
  let held: Socket[] | undefined
  const enter = (outside: Socket): void => {
    const inside = connect(port, '127.0.0.1')
    inside.on('error', () => outside.destroy())
    inside.on('close', () => outside.destroy())
    outside.on('close', () => inside.destroy())
    outside.pipe(inside).pipe(outside)
  }
  const door = createServer(outside => {
    outside.on('error', () => {})
    if (held === undefined) enter(outside)
    else held.push(outside)
  })
  door.listen(0, '127.0.0.1')
  await once(door, 'listening')
  t.teardown(() => door.close())
  return {
    port: (door.address() as AddressInfo).port,
    hold: () => {
      held = []
    },
    letIn: () => {
      for (const outside of held ?? []) enter(outside)
      held = undefined
    },
  }
}

async function lateCancel(t: Test): Promise<void> {
  const database = await testDatabase(t)
  await createTables(database)
  const bouncer = await startPgBouncer(t, [database.writerUrl], { poolSize: 1 })
  const room = await waitingRoom(t, bouncer.port)
  const url = new URL(bouncer.through(database.writerUrl))
  url.port = String(room.port)
  const ended = Promise.withResolvers<string>()
  const test = await testApp(t, database, {
    engines: { writer: { orm: ormConfig(url.href, { pool: { min: 0, max: 1, idleTimeoutMillis: 0 } }) } },
    routes: app => {
      app.get('/late', { handlerTimeout: 200 }, async request => {
        await request.db.writer.execute('select 1')
        room.hold()
        const sleeping = request.db.writer.execute('select pg_sleep(0.5)')
        ended.resolve(
          await sleeping.then(
            () => 'slept',
            error => error.code,
          ),
        )
      })
      app.get('/next', async request => {
        await request.db.writer.execute('select pg_sleep(1)')
        return { done: true }
      })
    },
  })
  t.equal((await test.ask('GET', '/late')).status, 503)
  const next = test.ask('GET', '/next')
  t.equal(await ended.promise, 'slept', 'the statement ends before its cancellation has come through')
  // Time enough for the next one to begin on the same connection, if it were let.
  await sleep(300)
  room.letIn()
  t.equal((await next).status, 200, 'it does not hit who has the connection next')
  t.same(await test.remains(), NOTHING)
}

const CRASHING = `
import pg from 'pg'
const client = new pg.Client(process.argv[1])
await client.connect()
await client.query("begin; insert into note (tag, body) values ('crashed', 'x'); update note set body = 'changed' where tag = 'contended'")
console.log('ready')
setInterval(() => {}, 1000)
`

async function crash(t: Test): Promise<void> {
  const { database, bouncer, test } = await scene(
    t,
    {
      routes: app => {
        app.post('/', async request => {
          const note = await request.db.writer.findOneOrFail(Note, { tag: 'contended' })
          note.body = `${note.body} by us`
        })
      },
    },
    { poolSize: 1 },
  )
  await database.sql("insert into note (tag, body) values ('contended', 'kept')")
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', CRASHING, bouncer.through(database.writerUrl)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: process.cwd(),
    },
  )
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const waiting = test.ask('POST', '/', { body: {} })
  const queued = async () =>
    (await bouncer.show('pools')).some(row => row.user === 'app_writer' && row.cl_waiting === 1)
  t.ok(await eventually(queued), 'the crashing client has the only server connection')
  child.kill('SIGKILL')
  t.equal((await waiting).status, 200, 'who waited goes on')
  t.same(await committed(database, 'crashed'), [], 'what the other one did is rolled back')
  t.same(await committed(database, 'contended'), ['kept by us'])
  t.same(await test.remains(), NOTHING)
}

async function replicas(t: Test): Promise<void> {
  const cluster = await replicatedCluster(t, 2)
  const servers = [cluster.primary, ...cluster.replicas]
  const urls = (server: (typeof servers)[number]) => [
    server.url,
    cluster.url('app_reader', server),
    cluster.url('app_writer', server),
    cluster.url('app_logger', server),
  ]
  const bouncers = await Promise.all(
    servers.map((server, index) =>
      startPgBouncer(t, urls(server), {
        poolSize: 3,
        // Both ways in which it treats what a read-only connection asks for.
        settings: index === 1 ? { ignore_startup_parameters: 'options' } : {},
      }),
    ),
  )
  const [front, ...behind] = bouncers as [PgBouncer, PgBouncer, PgBouncer]
  const pool = { min: 0, max: 20, idleTimeoutMillis: 0 }
  const config = (url: string) => ormConfig(front.through(url), { pool })
  const engines = (probe: object, standbys = [0, 1]) => ({
    plugin: { commitMode: 'autocommit' as const, routing: { token: { secret: SECRET }, ...probe } },
    engines: {
      writer: { orm: config(cluster.url('app_writer')) },
      logger: { orm: config(cluster.url('app_logger')), autocommit: true },
      reader: {
        // The superuser, whom only the transaction keeps from writing.
        orm: config(cluster.primary.url),
        snapshot: false,
        replicas: standbys.map(index => ({
          name: `replica${index + 1}`,
          clientUrl: (behind[index] as PgBouncer).through(cluster.replicas[index]?.url as string),
        })),
      } as Partial<EngineOptions>,
    },
  })
  const database = databaseOf(cluster, t)
  const test = await testApp(t, database, {
    ...engines({ probe: { interval: 100, timeout: 2_000 }, wait: 2_000 }),
    routes: app => {
      app.post('/notes/:tag', async (request, reply) => {
        reply.code(201)
        return request.db.writer.create(Note, { tag: tagOf(request), body: 'a' })
      })
      app.post('/lines/:tag', async (request, reply) => {
        reply.code(201)
        request.db.logger.create(Audit, { tag: tagOf(request) })
        await request.db.logger.flush()
      })
      app.get('/:tag', async request => {
        const { reader } = request.db
        const notes = await reader.count(Note, { tag: tagOf(request) })
        const lines = await reader.count(Audit, { tag: tagOf(request) })
        const [{ standby }] = (await reader.execute('select pg_is_in_recovery() as standby')) as [
          { standby: boolean },
        ]
        return { notes, lines, standby }
      })
    },
  })
  const online = { replica1: 'online', replica2: 'online' }
  t.same(await statesBecome(test, online), online)

  // Thirty browsers at a time over three server connections of each server.
  const reads = await crowd(async index => {
    const browser = new Browser(test)
    const seen: unknown[] = []
    for (let round = 1; round <= 5; round++) {
      const tag = `browser-${index}`
      const written = await browser.ask('POST', `/notes/${tag}`, {})
      const logged = await browser.ask('POST', `/lines/${tag}`, {})
      const read = await browser.ask('GET', `/${tag}`)
      const { notes, lines, standby } = JSON.parse(read.body)
      seen.push({
        isRight: notes === round && lines === round,
        standby,
        codes: [written.status, logged.status, read.status],
      })
    }
    return seen
  }, 30)
  const all = reads.flat() as { isRight: boolean; standby: boolean; codes: number[] }[]
  t.same(
    all.filter(({ isRight }) => !isRight),
    [],
    'each sees what it has written',
  )
  t.ok(all.filter(({ standby }) => standby).length > all.length / 2, 'on a standby')
  t.same(
    test.logs
      .filter(
        ({ msg, reason }) =>
          msg.includes('every statement') && reason === 'a pooler stands before the server',
      )
      .map(line => String(line.replica))
      .sort(),
    ['replica1', 'replica2', 'undefined'],
  )
  t.same(await test.remains(), NOTHING)

  // A standby that was promoted would write; nobody has noticed yet.
  for (const index of [0, 1]) {
    const late = await testApp(
      t,
      database,
      engines({ consistency: 'eventual', probe: { interval: 600_000, timeout: 2_000 } }, [index]),
    )
    const hidden = (name: string) => late.app.sqlAssist.run(db => db.get(name).execute(HIDDEN))
    await late.app.sqlAssist.run(db => db.reader.execute('select 1'))
    await cluster.replicas[index]?.promote()
    const [{ standby }] = (await late.app.sqlAssist.run(db =>
      db.reader.execute('select pg_is_in_recovery() as standby'),
    )) as [{ standby: boolean }]
    t.equal(standby, false, 'its reads go to a server that accepts writes by now')
    t.equal(late.app.sqlAssist.engines.get('reader').replicas[0]?.state, 'online')
    await t.rejects(hidden('reader'), { code: '25006' }, 'and are refused all the same')
    await late.app.close()
  }
}

if (withoutPgBouncer !== false) {
  t.comment(`SKIPPED: ${withoutPgBouncer}`)
  t.pass(`skipped: ${withoutPgBouncer}`)
} else {
  t.test('a writer', writer)
  t.test('a reader, when PgBouncer refuses to be asked for read-only connections', t => reader(t))
  t.test('a reader, when PgBouncer ignores that it is asked for them', t =>
    reader(t, { ignore_startup_parameters: 'options' }),
  )
  t.test('a reader of snapshots', otherReaders)
  t.test('an engine that commits by itself', logger)
  t.test('a hundred requests over five server connections', isolation)
  t.test('statements that are cancelled', t => cancelling(t, 2))
  const noTls =
    spawnSync('openssl', ['version']).status !== 0 && 'SKIPPED: the program openssl is not installed'
  t.test('statements that are cancelled over TLS', noTls ? { skip: noTls } : {}, t =>
    cancelling(t, 1, { tls: true }),
  )
  t.test('a cancellation that is late', lateCancel)
  t.test('a client that crashes in its transaction', crash)
  t.test('replicas', replicas)
}
