import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { descendants, isAlive } from '../../plugins/embedded/processes.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { makeTemporaryDirectory } from './support.ts'

/** An example that runs as a process of its own. */
export interface Running {
  /** What it has printed so far. */
  readonly output: string
  readonly errors: string
  /** Resolves with the first line of its output that matches; rejects when it ends without one. */
  line(pattern: RegExp): Promise<RegExpExecArray>
  kill(signal: NodeJS.Signals): void
  /** Waits for its end. */
  end(): Promise<{ code: number | null; signal: string | null }>
  /** Which processes run below it now. */
  family(): number[]
  /** Which of these processes still run, and which of its temporary files are still there. */
  leftovers(pids: readonly number[]): Promise<string[]>
}

/** Starts `examples/<path>` with nothing of our environment but what is given. */
export async function launch(t: Test, path: string, env: Record<string, string> = {}): Promise<Running> {
  const directory = await makeTemporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const program = fileURLToPath(new URL(`../../examples/${path}`, import.meta.url))
  const child = spawn(process.execPath, [program], {
    env: { ...childEnvironment, TMPDIR: directory, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', chunk => {
    output += chunk
  })
  child.stderr.setEncoding('utf8').on('data', chunk => {
    errors += chunk
  })
  const closed = once(child, 'close')
  return {
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    async line(pattern) {
      for (;;) {
        const found = pattern.exec(output)
        if (found) return found
        const more = await Promise.race([once(child.stdout, 'data'), closed.then(() => undefined)])
        if (more === undefined && !pattern.test(output)) throw new Error(`it ended: ${output}${errors}`)
      }
    },
    kill: signal => void child.kill(signal),
    async end() {
      const [code, signal] = await closed
      return { code, signal }
    },
    family: () => descendants(child.pid as number),
    leftovers: async pids => [
      ...pids.filter(isAlive).map(pid => `process ${pid}`),
      ...(await readdir(directory)),
    ],
  }
}
