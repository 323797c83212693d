import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chownSync, constants } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { serverAccount } from '../../plugins/embedded/account.ts'
import { Guard } from '../../plugins/embedded/guard.ts'
import { freePort } from '../../plugins/embedded/ports.ts'
import { eventually } from './app.ts'
import type { Teardown } from './cluster.ts'

// PgBouncer in transaction pooling, in front of a server of the tests: the program of Debian's package.

const PROGRAM = '/usr/sbin/pgbouncer'
const ADMIN = 'bouncer_admin'
const ADMIN_PASSWORD = 'bouncer'

/** Why the tests of this file cannot run here; `false` when they can. */
export const withoutPgBouncer: string | false = (() => {
  try {
    accessSync(PROGRAM, constants.X_OK)
    return false
  } catch {
    return `pgbouncer is not installed (${PROGRAM}): apt-get install pgbouncer`
  }
})()

export interface PgBouncerOptions {
  /** Server connections per user and database. Default 5. */
  readonly poolSize?: number
  /** Takes encrypted connections only, with a certificate that nobody has signed. It takes the program openssl. */
  readonly tls?: boolean
  /** Lines of the section `[pgbouncer]`. */
  readonly settings?: Readonly<Record<string, string | number>>
}

export interface PgBouncer {
  readonly port: number
  readonly pid: number
  /** A URL of the server behind it, with PgBouncer's port. */
  through(url: string): string
  /** Runs a command of its console. */
  console(command: string): Promise<Record<string, string | number>[]>
  /** One of its `SHOW` commands. */
  show(what: string): Promise<Record<string, string | number>[]>
}

/**
 * Starts it in front of the server that `urls` have in common; it ends when `t` is torn down.
 *
 * @param urls one of each user that may log in
 */
export async function startPgBouncer(
  t: Teardown,
  urls: readonly string[],
  { poolSize = 5, tls = false, settings = {} }: PgBouncerOptions = {},
): Promise<PgBouncer> {
  const server = new URL(urls[0] as string)
  const account = serverAccount()
  const directory = await mkdtemp(join(tmpdir(), 'sqlassist-pgbouncer-'))
  const guard = new Guard()
  guard.watchDirectory(directory)
  const port = await freePort()
  const users = new Map([[ADMIN, ADMIN_PASSWORD]])
  for (const url of urls.map(text => new URL(text))) {
    users.set(decodeURIComponent(url.username), decodeURIComponent(url.password))
  }
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
  const files = {
    'users.txt': [...users].map(([name, password]) => `${quoted(name)} ${quoted(password)}\n`).join(''),
    'pgbouncer.ini': section('databases', { '*': `host=${server.hostname} port=${server.port}` }).concat(
      section('pgbouncer', {
        listen_addr: '127.0.0.1',
        listen_port: port,
        unix_socket_dir: '',
        auth_type: 'scram-sha-256',
        auth_file: join(directory, 'users.txt'),
        admin_users: ADMIN,
        pool_mode: 'transaction',
        default_pool_size: poolSize,
        max_client_conn: 1000,
        ...(tls ? makeCertificate(directory) : {}),
        ...settings,
      }),
    ),
  }
  for (const [name, text] of Object.entries(files))
    await writeFile(join(directory, name), text, { mode: 0o600 })
  if (account !== undefined) {
    for (const name of ['', ...(await readdir(directory))]) {
      chownSync(join(directory, name), account.uid, account.gid)
    }
  }
  const child = spawn(PROGRAM, [join(directory, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  })
  const pid = child.pid as number
  guard.watch(pid)
  const output: string[] = []
  child.stderr.setEncoding('utf8').on('data', text => output.push(text))
  t.teardown(async () => {
    await end(child)
    guard.unwatch(pid)
    await rm(directory, { recursive: true, force: true })
    await guard.release()
  })
  const consoleUrl = `postgresql://${ADMIN}:${ADMIN_PASSWORD}@127.0.0.1:${port}/pgbouncer`
  const run = async (command: string) => {
    const ssl = tls ? { rejectUnauthorized: false } : false
    const client = new pg.Client({ connectionString: consoleUrl, ssl })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query(command)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }
  const isUp = () =>
    run('show version').then(
      () => true,
      () => false,
    )
  if (!(await eventually(isUp, 10_000))) throw new Error(`pgbouncer did not start:\n${output.join('')}`)
  return {
    port,
    pid,
    through(text) {
      const url = new URL(text)
      url.hostname = '127.0.0.1'
      url.port = String(port)
      return url.href
    },
    console: run,
    show: what => run(`show ${what}`),
  }
}

function section(name: string, lines: Readonly<Record<string, string | number>>): string {
  return `[${name}]\n${Object.entries(lines)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('')}\n`
}

function makeCertificate(directory: string): Record<string, string> {
  const key = join(directory, 'server.key')
  const certificate = join(directory, 'server.crt')
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost']
  execFileSync('openssl', [...request, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
  return { client_tls_sslmode: 'require', client_tls_key_file: key, client_tls_cert_file: certificate }
}

/** SIGTERM is PgBouncer's immediate shutdown. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exited
  clearTimeout(timer)
}
