import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type ClusterOptions, type EmbeddedCluster, startCluster } from '../../plugins/embedded/index.ts'
import { isAlive } from '../../plugins/embedded/processes.ts'
import { createRolesSql, grantsSql, ROLES, type RoleName } from '../../plugins/embedded/roles.ts'

// One primary serves all test files of a run. The first file that asks starts a host, a detached program (the end
// of this file) that keeps the cluster for as long as tap's own process lives; the others find its address in a
// directory named after that process. A file run by hand has a cluster of its own.

/** The part of tap's test object that is used here. */
export interface Teardown {
  teardown(fn: () => unknown): unknown
}

/** A fresh database of one test file, with the rights of the embedded cluster's roles. */
export interface TestDatabase {
  readonly name: string
  /** The owner: the superuser. The same as `superUrl`. */
  readonly url: string
  readonly superUrl: string
  readonly readerUrl: string
  readonly writerUrl: string
  readonly loggerUrl: string
  /** Runs SQL as the owner. */
  sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
}

interface Address {
  /** The superuser's URL. */
  readonly url: string
  readonly roles: Partial<Record<RoleName, string>>
  readonly host?: number
  readonly error?: string
}

const underTap = process.env.TAP_CHILD_ID !== undefined
const runner = underTap ? process.ppid : process.pid
const meetingPoint = join(tmpdir(), `sqlassist-test-run-${runner}`)
const EXTERNAL_PASSWORD = 'sqlassist-test'

let address: Promise<Address> | undefined

/** The superuser's URL of the run's primary: `DATABASE_URL`, or an embedded one that is started on demand. */
export async function primaryUrl(): Promise<string> {
  return (await sharedAddress()).url
}

/** Makes a database for one test file; it is dropped when `t` is torn down. */
export async function testDatabase(t: Teardown): Promise<TestDatabase> {
  const server = await sharedAddress()
  const name = `t_${randomBytes(6).toString('hex')}`
  await query(server.url, `create database ${name} template template0`)
  const as = (role?: RoleName): string => {
    const url = new URL((role && server.roles[role]) ?? server.url)
    url.pathname = `/${name}`
    return url.href
  }
  const url = as()
  const owner = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 })
  owner.on('error', () => {})
  t.teardown(async () => {
    await owner.end()
    await query(server.url, `drop database if exists ${name} with (force)`)
  })
  const roles = ROLES.filter(role => server.roles[role] !== undefined)
  if (roles.length > 0) await owner.query(grantsSql(roles, decodeURIComponent(new URL(url).username)))
  return {
    name,
    url,
    superUrl: url,
    readerUrl: as('app_reader'),
    writerUrl: as('app_writer'),
    loggerUrl: as('app_logger'),
    async sql(text, values) {
      const result = await owner.query(text, values)
      return result.rows
    },
  }
}

/** A cluster of its own, for tests that stop, freeze or promote servers; it ends when `t` is torn down. */
export async function testCluster(t: Teardown, options: ClusterOptions = {}): Promise<EmbeddedCluster> {
  const cluster = await startCluster(options)
  t.teardown(() => cluster.stop())
  return cluster
}

function sharedAddress(): Promise<Address> {
  const external = process.env.DATABASE_URL
  address ??= external ? externalAddress(external) : embeddedAddress()
  return address
}

async function externalAddress(url: string): Promise<Address> {
  const passwords = Object.fromEntries(ROLES.map(role => [role, EXTERNAL_PASSWORD]))
  const roles: Partial<Record<RoleName, string>> = {}
  try {
    // Two files that alter a role at once would fail; the lock ends with the transaction
    await query(url, `begin; select pg_advisory_xact_lock(74218); ${createRolesSql(passwords)}; commit`)
    for (const role of ROLES) {
      const asRole = new URL(url)
      asRole.username = role
      asRole.password = EXTERNAL_PASSWORD
      await query(asRole.href, 'select 1')
      roles[role] = asRole.href
    }
    return { url, roles }
  } catch {
    // This user may not create roles: it plays all of them
    return { url, roles: {} }
  }
}

async function embeddedAddress(): Promise<Address> {
  for (;;) {
    const isFirst = await mkdir(meetingPoint).then(
      () => true,
      () => false,
    )
    if (isFirst) spawnHost()
    const found = await waitForHost()
    if (found?.error !== undefined) throw new Error(found.error)
    if (found) return found
    // What a run with the same process id left behind, or a host that died
    await rm(meetingPoint, { recursive: true, force: true })
  }
}

async function waitForHost(): Promise<Address | undefined> {
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    const text = await readFile(join(meetingPoint, 'address.json'), 'utf8').catch(() => undefined)
    if (text !== undefined) {
      const found = JSON.parse(text) as Address
      return found.host !== undefined && isAlive(found.host) ? found : undefined
    }
    await sleep(20)
  }
  throw new Error(`no test cluster came up within 60 s (${meetingPoint})`)
}

function spawnHost(): void {
  const { NODE_OPTIONS, NODE_V8_COVERAGE, ...env } = process.env
  const program = fileURLToPath(import.meta.url)
  spawn(process.execPath, [program, String(runner)], { env, detached: true, stdio: 'ignore' }).unref()
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** The host: keeps the cluster while the runner lives. */
async function host(runnerPid: number): Promise<void> {
  const directory = join(tmpdir(), `sqlassist-test-run-${runnerPid}`)
  const publish = async (found: Address) => {
    await writeFile(join(directory, 'address.part'), JSON.stringify({ ...found, host: process.pid }), {
      mode: 0o600,
    })
    await rename(join(directory, 'address.part'), join(directory, 'address.json'))
  }
  try {
    await using cluster = await startCluster({
      settings: { max_prepared_transactions: 100, max_connections: 400 },
    })
    const roles = Object.fromEntries(ROLES.map(role => [role, cluster.url(role)]))
    await publish({ url: cluster.primary.url, roles })
    while (isAlive(runnerPid)) await sleep(100)
  } catch (error) {
    await publish({ url: '', roles: {}, error: String(error) })
    while (isAlive(runnerPid)) await sleep(100)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) await host(Number(process.argv[2]))
