import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What a server tells about itself. */
export interface Usage {
  /** Microseconds of CPU, user and system, since its start. */
  cpu: number
  /** How many connections were taken from its pools since its start. */
  acquired: number
  /** Where connections for reads were taken, when it reads from standbys. */
  reads?: { readonly replica: number; readonly primary: number }
}

/** What the programs of bench/servers know of the cluster. */
export interface Databases {
  readonly primary: string
  readonly standbys: readonly string[]
}

/** A candidate in a process of its own, so that its CPU can be told from everybody else's. */
export class ServerProcess {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /**
   * @param program a file of bench/servers, without its ending
   * @param profileTo directory for a V8 CPU profile of the process
   */
  static async start(program: string, databases: Databases, profileTo?: string): Promise<ServerProcess> {
    const file = fileURLToPath(new URL(`../servers/${program}.ts`, import.meta.url))
    const child = fork(file, [], {
      env: {
        ...process.env,
        BENCH_DATABASE_URL: databases.primary,
        BENCH_STANDBY_URLS: databases.standbys.join(' '),
        NODE_ENV: 'production',
      },
      execArgv: profileTo === undefined ? [] : profiling(profileTo, program),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { port } = await answer<{ port: number }>(child, program)
    return new ServerProcess(child, port)
  }

  usage(): Promise<Usage> {
    const usage = answer<Usage>(this.#child, 'server')
    this.#child.send('usage')
    return usage
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.send('stop')
    await exited
  }
}

async function answer<T>(child: ChildProcess, program: string): Promise<T> {
  const ended = new AbortController()
  const { signal } = ended
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message as T),
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`${program} ended with code ${code}`)
      }),
    ])
  } finally {
    ended.abort()
  }
}

/** Each process needs a name of its own, and twins run the same program. */
let profiles = 0
function profiling(directory: string, program: string): string[] {
  profiles++
  return ['--cpu-prof', `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${profiles}-${program}.cpuprofile`]
}
