import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { serverAccount } from '../../plugins/embedded/account.ts'
import { descendants, isAlive } from '../../plugins/embedded/processes.ts'
import { temporaryDirectory } from '../../plugins/embedded/storage.ts'
import { eventually } from '../embedded/helpers.ts'
import { childEnvironment } from '../support/child-environment.ts'

const program = fileURLToPath(new URL('../embedded/program.ts', import.meta.url))
const skip = process.platform === 'win32' ? 'signals' : false

t.jobs = 2

interface Running {
  /** Waits for the program's end. */
  end(): Promise<{ code: number | null; signal: string | null; errors: string }>
  kill(signal: NodeJS.Signals): void
  /** What runs below the program now. */
  family(): number[]
  /** Its temporary directory. */
  directory: string
}

/** Starts the program with a temporary directory of its own; resolves when it has said its first line. */
async function launch(t: Test, ending: string): Promise<Running> {
  const directory = await temporaryDirectory(serverAccount())
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const child = spawn(process.execPath, [program, ending], {
    env: { ...childEnvironment, TMPDIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', chunk => {
    errors += chunk
  })
  const exit = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), exit])
  return {
    directory,
    family: () => descendants(child.pid as number),
    kill: signal => void child.kill(signal),
    end: async () => {
      const [code, signal] = await exit
      return { code, signal, errors }
    },
  }
}

/** Everything of the program that is still there. */
async function leftovers(directory: string, pids: readonly number[]): Promise<string[]> {
  const alive = pids.filter(isAlive).map(pid => `process ${pid}`)
  const mentions: string[] = []
  if (process.platform === 'linux') {
    for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      if (command.includes(directory)) mentions.push(command.replaceAll('\0', ' '))
    }
  }
  return [...alive, ...mentions, ...(await readdir(directory))]
}

async function nothingRemains(t: Test, directory: string, pids: readonly number[]): Promise<void> {
  await eventually(async () => (await leftovers(directory, pids)).length === 0)
  t.same(await leftovers(directory, pids), [])
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
  t.test(`nothing remains after ${signal}`, { skip }, async t => {
    const running = await launch(t, 'wait')
    const pids = running.family()
    t.ok(pids.length > 4, 'the server, its children and the watchdog run')
    t.not((await readdir(running.directory)).length, 0)
    running.kill(signal)
    t.match(await running.end(), { signal, errors: '' }, 'the signal does what it does without a cluster')
    await nothingRemains(t, running.directory, pids)
  })
}

t.test('nothing remains after SIGKILL when a standby is frozen', { skip }, async t => {
  const running = await launch(t, 'paused')
  const pids = running.family()
  t.ok(pids.length > 8)
  running.kill('SIGKILL')
  await running.end()
  await nothingRemains(t, running.directory, pids)
})

t.test('nothing remains after SIGKILL in the middle of initdb', { skip }, async t => {
  const running = await launch(t, 'early')
  t.ok(
    await eventually(async () => (await leftovers(running.directory, [])).some(line => /initdb/.test(line))),
  )
  const pids = running.family()
  running.kill('SIGKILL')
  await running.end()
  await nothingRemains(t, running.directory, pids)
})

const endings = [
  { ending: 'exit', means: 'process.exit(7)', result: { code: 7, errors: '' } },
  { ending: 'throw', means: 'an uncaught exception', result: { code: 1, errors: /nobody catches this/ } },
  {
    ending: 'return',
    means: 'the end of its work, which the cluster does not delay',
    result: { code: 0, errors: '' },
  },
]
for (const { ending, means, result } of endings) {
  t.test(`nothing remains after ${means}`, async t => {
    const running = await launch(t, ending)
    const pids = running.family()
    t.match(await running.end(), result)
    await nothingRemains(t, running.directory, pids)
  })
}
