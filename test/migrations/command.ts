import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { childEnvironment } from '../support/child-environment.ts'

// The command as its users have it: the built file, a process of its own.

const program = fileURLToPath(new URL('../../dist/bin/sqlassist.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

export interface Started {
  readonly out: () => string
  kill(): void
  readonly end: Promise<Ended>
}

/** Starts `sqlassist` with nothing of our environment but what is given. */
export function start(
  t: Test,
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
  node: readonly string[] = [],
): Started {
  const child = spawn(process.execPath, [...node, program, ...args], {
    cwd,
    env: { ...childEnvironment, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', chunk => {
    out += chunk
  })
  child.stderr.setEncoding('utf8').on('data', chunk => {
    err += chunk
  })
  return {
    out: () => out,
    kill: () => void child.kill('SIGKILL'),
    end: once(child, 'close').then(([code, signal]) => ({ code, signal, out, err })),
  }
}

/** Runs `sqlassist database …` to its end. */
export function database(
  t: Test,
  cwd: string,
  args: readonly string[],
  env?: Record<string, string>,
  node?: readonly string[],
): Promise<Ended> {
  return start(t, cwd, ['database', ...args], env, node).end
}
