import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SUPERUSER } from './configuration.ts'
import { errors } from './errors.ts'
import { freePort } from './ports.ts'
import { ended, freezeTree, killTree, quitTree, thawTree } from './processes.ts'
import { type Run, spawnOptions } from './run.ts'
import { type Query, withConnection } from './sql.ts'

// How long a server may take to accept connections, or to shut down in good order (ms)
const START_LIMIT = 60_000
const STOP_LIMIT = 10_000
// What another process holds for a moment: the port, or the shared memory of a postmaster that was killed
const PASSING = /Address already in use|pre-existing shared memory block/

/** One PostgreSQL server: a data directory and, while it runs, a postmaster. */
export class Server {
  readonly name: string
  readonly dataDir: string
  protected readonly run: Run
  readonly #logFile: string
  #portIsFixed: boolean
  #port: number
  #child: ChildProcess | undefined
  #paused = false
  #destroyed = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(run: Run, name: string, dataDir: string, port?: number) {
    this.run = run
    this.name = name
    this.dataDir = dataDir
    this.#logFile = join(run.directory, `${name}.log`)
    this.#portIsFixed = port !== undefined
    this.#port = port ?? 0
  }

  get port(): number {
    return this.#port
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get url(): string {
    return this.urlFor(SUPERUSER, this.run.password)
  }

  urlFor(user: string, password: string, database = this.run.database): string {
    return `postgresql://${user}:${password}@127.0.0.1:${this.#port}/${encodeURIComponent(database)}`
  }

  start(): Promise<void> {
    return this.inTurn(async () => {
      if (this.#child) return
      if (this.#destroyed) throw new errors.SQLA_ERR_EMBEDDED_STOPPED('start()', 'the cluster')
      const deadline = performance.now() + STOP_LIMIT
      for (;;) {
        // Once up, it keeps its address: clients and standbys know it
        if (!this.#portIsFixed) this.#port = await freePort()
        const failure = await this.#launch()
        if (failure === undefined) {
          this.#portIsFixed = true
          return
        }
        if (!PASSING.test(failure) || performance.now() > deadline) {
          throw new errors.SQLA_ERR_EMBEDDED_START(this.name, failure)
        }
        await sleep(50)
      }
    })
  }

  stop(): Promise<void> {
    return this.inTurn(async () => {
      const child = this.#child
      if (child?.pid === undefined) return
      this.#thaw()
      child.kill('SIGINT')
      if (process.platform === 'win32' || !(await ended([child.pid], STOP_LIMIT))) await quitTree(child.pid)
      await this.#reap(child)
    })
  }

  kill(): Promise<void> {
    return this.inTurn(async () => {
      const child = this.#child
      if (child?.pid === undefined) return
      await killTree(child.pid)
      await this.#reap(child)
    })
  }

  pause(): Promise<void> {
    return this.inTurn(async () => {
      if (process.platform === 'win32') throw new errors.SQLA_ERR_EMBEDDED_UNSUPPORTED('pause()', 'Windows')
      freezeTree(this.runningPid('pause()'))
      this.#paused = true
    })
  }

  unpause(): Promise<void> {
    return this.inTurn(async () => {
      this.runningPid('unpause()')
      this.#thaw()
    })
  }

  log(): Promise<string> {
    return this.#logFrom(0)
  }

  /** Ends the server at once, in any state, and frees what the system kept for it. */
  destroy(): Promise<void> {
    return this.inTurn(async () => {
      this.#destroyed = true
      const child = this.#child
      if (child?.pid !== undefined) {
        await quitTree(child.pid)
        await this.#reap(child)
      }
      // After SIGKILL the shared memory segment stays until a postgres of this data directory comes by
      if (!existsSync(join(this.dataDir, 'postmaster.pid'))) return
      spawnSync(this.run.binaries.postgres, ['--check', '-D', this.dataDir], {
        ...spawnOptions(this.run),
        stdio: 'ignore',
      })
    })
  }

  /** Runs SQL as the superuser on one connection. */
  query<T>(work: (query: Query) => Promise<T>, database = this.run.database): Promise<T> {
    return withConnection(this.run.pg, this.urlFor(SUPERUSER, this.run.password, database), work)
  }

  protected runningPid(operation: string): number {
    const pid = this.pid
    if (pid === undefined) throw new errors.SQLA_ERR_EMBEDDED_STOPPED(operation, this.name)
    return pid
  }

  /** One operation at a time: a start that follows a kill waits for it. */
  protected inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(operation)
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** @returns what the server said when it did not come up */
  async #launch(): Promise<string | undefined> {
    const log = await open(this.#logFile, 'a')
    const before = (await log.stat()).size
    const child = spawn(this.run.binaries.postgres, ['-D', this.dataDir, '-p', String(this.#port)], {
      ...spawnOptions(this.run),
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    })
    let failure: string | undefined
    child.once('error', error => {
      failure = error.message
    })
    child.once('exit', () => {
      if (child.pid !== undefined) this.run.guard.unwatch(child.pid)
      if (this.#child === child) this.#child = undefined
    })
    child.unref()
    const pid = child.pid
    if (pid !== undefined) {
      this.run.guard.watch(pid)
      this.#child = child
      this.#paused = false
    }
    await log.close()
    if (pid === undefined) return failure ?? 'it could not be spawned'
    const deadline = performance.now() + START_LIMIT
    while (this.#child === child && performance.now() < deadline) {
      if (await this.#accepts(pid)) return undefined
      await sleep(5)
    }
    if (this.#child === child) {
      await quitTree(pid)
      await this.#reap(child)
    }
    const said = (await this.#logFrom(before)).trim().split('\n').slice(-10)
    return said.join('\n') || `not ready within ${START_LIMIT} ms`
  }

  async #logFrom(byte: number): Promise<string> {
    const bytes = await readFile(this.#logFile).catch(() => Buffer.alloc(0))
    const text = bytes.subarray(byte).toString()
    return this.run.secrets.reduce((clean, secret) => clean.replaceAll(secret, '***'), text)
  }

  /** What pg_ctl looks at: the postmaster writes its state into the eighth line of its lock file. */
  async #accepts(pid: number): Promise<boolean> {
    const text = await readFile(join(this.dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
    const lines = text.split('\n')
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
  }

  #thaw(): void {
    if (this.#paused && this.pid !== undefined) thawTree(this.pid)
    this.#paused = false
  }

  /** The process is gone; waits until Node knows it too. */
  async #reap(child: ChildProcess): Promise<void> {
    if (this.#child !== child) return
    child.ref()
    await new Promise<void>(settle => child.once('exit', () => settle()))
    child.unref()
  }
}
