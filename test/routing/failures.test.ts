import pg from 'pg'
import t from 'tap'
import type { EmbeddedReplica, EmbeddedServer } from '../../plugins/embedded/index.ts'
import { isReadOnlyServer, isRecoveryConflict, isServerFailure } from '../../src/routing/failures.ts'
import { eventually } from '../support/app.ts'
import { testCluster } from '../support/cluster.ts'

// Every error here comes out of pg, from a real server or from where there is none.

type Failed = Error & { code?: string; routine?: string }

const cluster = await testCluster(t, { replicas: 1, settings: { max_standby_streaming_delay: 0 } })
const { primary } = cluster
const [standby] = cluster.replicas as [EmbeddedReplica]

const opened: pg.Client[] = []
t.teardown(() => {
  for (const client of opened) client.end().catch(() => {})
})

function open(url: string, options: pg.ClientConfig = {}): pg.Client {
  const client = new pg.Client({ connectionString: url, ...options })
  client.on('error', () => {})
  opened.push(client)
  return client
}

async function connect(url: string): Promise<pg.Client> {
  const client = open(url)
  await client.connect()
  return client
}

/** What something rejects with. */
function errorOf(work: Promise<unknown>): Promise<Failed> {
  return work.then(
    () => new Error('it did not fail'),
    error => error,
  )
}

const run = (text: string): Promise<unknown> => connect(primary.url).then(client => client.query(text))

const pidOf = async (client: pg.Client): Promise<number> =>
  (await client.query('select pg_backend_pid() as pid')).rows[0].pid

/** A statement that sleeps, once its server runs it. `failure` is what becomes of it. */
async function sleeping(
  server: EmbeddedServer,
): Promise<{ failure: Promise<Failed>; client: pg.Client; pid: number }> {
  const client = await connect(server.url)
  const pid = await pidOf(client)
  const failure = errorOf(client.query('select pg_sleep(60)'))
  const watcher = await connect(server.url)
  const sleeps = `select from pg_stat_activity where pid = ${pid} and wait_event = 'PgSleep'`
  await eventually(async () => (await watcher.query(sleeps)).rows.length > 0)
  await watcher.end()
  return { failure, client, pid }
}

const urlWith = (change: (url: URL) => void): string => {
  const url = new URL(primary.url)
  change(url)
  return url.href
}

function isOnly(
  t: Pick<typeof import('tap').default, 'same'>,
  kind: 'server' | 'conflict' | 'read-only' | 'statement',
  error: Failed,
): void {
  t.same(
    {
      server: isServerFailure(error),
      conflict: isRecoveryConflict(error),
      readOnly: isReadOnlyServer(error),
    },
    { server: kind === 'server', conflict: kind === 'conflict', readOnly: kind === 'read-only' },
    `${error?.code}: ${error?.message}`,
  )
}

t.test('a statement that fails says nothing about its server', async t => {
  await run('create table thing (id int primary key); insert into thing values (1)')
  const statements: [code: string, text: string][] = [
    ['42601', 'selec 1'],
    ['42P01', 'select from nowhere'],
    ['22012', 'select 1/0'],
    ['23505', 'insert into thing values (1)'],
    ['57014', 'set statement_timeout = 1; select pg_sleep(10)'],
    ['40001', "do $$ begin raise exception 'could not serialize access' using errcode = '40001'; end $$"],
    ['40P01', "do $$ begin raise exception 'deadlock detected' using errcode = '40P01'; end $$"],
    ['P0001', "do $$ begin raise exception 'Connection terminated, said the application'; end $$"],
  ]
  for (const [code, text] of statements) {
    const error = await errorOf(run(text))
    t.equal(error.code, code)
    isOnly(t, 'statement', error)
  }
  const client = await connect(primary.url)
  await client.query('begin')
  await errorOf(client.query('select 1/0'))
  const aborted = await errorOf(client.query('select 1'))
  t.equal(aborted.code, '25P02')
  isOnly(t, 'statement', aborted)
  const { failure, pid } = await sleeping(primary)
  await run(`select pg_cancel_backend(${pid})`)
  t.equal((await failure).code, '57014')
  isOnly(t, 'statement', await failure)
})

t.test('a login that is refused says nothing about the server either', async t => {
  const wrong = await errorOf(connect(urlWith(url => (url.password = 'wrong'))))
  t.equal(wrong.code, '28P01')
  isOnly(t, 'statement', wrong)
  const nowhere = await errorOf(connect(urlWith(url => (url.pathname = '/nowhere'))))
  t.equal(nowhere.code, '3D000')
  isOnly(t, 'statement', nowhere)
})

t.test('a server that accepts no writes', async t => {
  const refused = await errorOf(connect(standby.url).then(client => client.query('create table refused ()')))
  t.equal(refused.code, '25006')
  isOnly(t, 'read-only', refused)
  isOnly(t, 'read-only', await errorOf(run('begin read only; delete from thing')))
})

t.test('a standby that cancels a read because replay must go on', async t => {
  await run('create table gone (id int)')
  await standby.caughtUp()
  const reader = await connect(standby.url)
  await reader.query('begin; select from gone')
  const pid = await pidOf(reader)
  const failure = errorOf(reader.query('select pg_sleep(60)'))
  const watcher = await connect(standby.url)
  await eventually(async () => {
    const { rows } = await watcher.query(
      `select from pg_stat_activity where pid = ${pid} and wait_event = 'PgSleep'`,
    )
    return rows.length > 0
  })
  await run('drop table gone')
  const error = await failure
  t.equal(error.code, '40001')
  isOnly(t, 'conflict', error)
  t.ok(
    isRecoveryConflict(
      Object.assign(new Error('wird wegen Konflikt mit Wiederherstellung storniert'), {
        code: error.code,
        routine: error.routine,
      }),
    ),
    'also of a server that speaks another language',
  )
  // Outside a statement there is nothing to cancel: the connection is ended.
  await run('create table gone (id int)')
  await standby.caughtUp()
  const idle = await connect(standby.url)
  const ended = new Promise(resolve => idle.once('end', resolve))
  const said = new Promise<Failed>(resolve => idle.once('error', resolve as (error: Error) => void))
  await idle.query('begin; select from gone')
  await run('drop table gone')
  await ended
  const last = await said
  t.ok(isRecoveryConflict(last) || isServerFailure(last), `${last.code}: ${last.message}`)
})

t.test('a server that ends a connection, in the middle of a statement and between two', async t => {
  const { failure, client, pid } = await sleeping(primary)
  await run(`select pg_terminate_backend(${pid})`)
  t.equal((await failure).code, '57P01')
  isOnly(t, 'server', await failure)
  await eventually(async () => isServerFailure(await errorOf(client.query('select 1'))))
  isOnly(t, 'server', await errorOf(client.query('select 1')))

  const idle = await connect(primary.url)
  const said = new Promise<Failed>(resolve => idle.once('error', resolve as (error: Error) => void))
  await run(`select pg_terminate_backend(${await pidOf(idle)})`)
  isOnly(t, 'server', await said)
  const late = await connect(primary.url)
  // Listened to before: a millisecond is over soon.
  const ended = new Promise<Failed>(resolve => late.once('error', resolve as (error: Error) => void))
  await late.query('set idle_session_timeout = 1')
  const timedOut = await ended
  t.equal(timedOut.code, '57P05')
  isOnly(t, 'server', timedOut)
})

t.test('a connection that we have ended ourselves', async t => {
  const { failure, client } = await sleeping(primary)
  const ended = client.end()
  isOnly(t, 'server', await failure)
  await ended
  isOnly(t, 'server', await errorOf(client.query('select 1')))
})

t.test('nobody listens, or nobody has that name', async t => {
  await standby.stop()
  for (const host of ['127.0.0.1', 'localhost']) {
    const refused = await errorOf(open(standby.url, { host, port: standby.port }).connect())
    isOnly(t, 'server', refused)
  }
  isOnly(t, 'server', await errorOf(connect(urlWith(url => (url.hostname = 'nowhere.invalid')))))
  await standby.start()
})

t.test('a server that crashes or shuts down in the middle of a statement', async t => {
  const { failure } = await sleeping(standby)
  const connecting = open(standby.url)
  await standby.kill()
  isOnly(t, 'server', await failure)
  isOnly(t, 'server', await errorOf(connecting.connect()))
  await standby.start()
  const second = await sleeping(standby)
  await standby.stop()
  isOnly(t, 'server', await second.failure)
  await standby.start()
})

t.test('a server that answers nothing any more', async t => {
  await standby.pause()
  const late = await errorOf(open(standby.url, { connectionTimeoutMillis: 50 }).connect())
  t.match(late.message, /timeout/)
  isOnly(t, 'server', late)
  const pool = new pg.Pool({ connectionString: standby.url, connectionTimeoutMillis: 50 })
  isOnly(t, 'server', await errorOf(pool.connect()))
  await standby.unpause()
  await pool.end()
})

t.test('a server that is starting up or shutting down', async t => {
  // Its parser and this one must agree on what such an error looks like, so PostgreSQL writes it.
  for (const code of ['57P02', '57P03', '08006', '08001']) {
    isOnly(
      t,
      'server',
      await errorOf(run(`do $$ begin raise exception 'raised' using errcode = '${code}'; end $$`)),
    )
  }
})

t.test('what is no error of pg says nothing', async t => {
  for (const thrown of [undefined, null, 'Connection', 7, {}, new Error('no'), { code: 7 }, { code: '' }]) {
    isOnly(t, 'statement', thrown as Failed)
  }
})
