import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { Guard } from '../../plugins/embedded/guard.ts'
import { freePort } from '../../plugins/embedded/ports.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { testDatabase } from '../support/cluster.ts'
import type { CodeBlock } from './code-blocks.ts'

// A guide that is a walk: its files are written into one folder and its commands typed there, from the first to the last. What
// stands behind a `curl` as a comment is what it must answer.

const program = fileURLToPath(new URL('../../dist/bin/sqlassist.js', import.meta.url))

export async function walkThrough(t: Test, directory: string, steps: readonly CodeBlock[]): Promise<void> {
  const folder = await mkdtemp(join(directory, 'walk-'))
  await chmod(folder, 0o755)
  const database = await testDatabase(t)
  const port = await freePort()
  const type = shell(t, folder, { DATABASE_URL: database.superUrl })
  for (const { step, code, page, line } of steps) {
    const place = `${page}:${line}`
    if (step?.file !== undefined) {
      await writeFile(join(folder, step.file), code.replaceAll('port: 3000', `port: ${port}`))
      continue
    }
    const text = code.replaceAll(':3000', `:${port}`)
    if (step?.stays) await type.andLeave(text, place)
    else if (text.startsWith('curl'))
      for (const command of text.trim().split('\n')) await ask(t, type, command)
    else await type.andWait(text, place)
  }
}

interface Shell {
  /** Runs it to its end, which must be a good one. */
  andWait(script: string, place: string): Promise<string>
  /** Starts it, in the place of one of the same text, and waits until it says that it is there. */
  andLeave(script: string, place: string): Promise<void>
}

function shell(t: Test, cwd: string, environment: Record<string, string>): Shell {
  const running = new Map<string, () => Promise<void>>()
  // A test that is killed leaves nothing running.
  const guard = new Guard()
  t.teardown(async () => {
    await Promise.all([...running.values()].map(end => end()))
    await guard.release()
  })
  const start = (script: string) => {
    // As they are for a reader who has installed the package.
    const text = script
      .replaceAll('npx sqlassist', `"${process.execPath}" "${program}"`)
      .replaceAll(/^node /gm, `exec "${process.execPath}" `)
    const child = spawn('sh', ['-ec', text], { cwd, env: { ...childEnvironment, ...environment } })
    let output = ''
    child.stdout.on('data', chunk => (output += chunk))
    child.stderr.on('data', chunk => (output += chunk))
    return { child, closed: once(child, 'close'), output: () => output }
  }
  return {
    async andWait(script, place) {
      const { closed, output } = start(script)
      const [code] = await closed
      t.equal(code, 0, `${place} ends well`) || t.comment(output())
      return output()
    },
    async andLeave(script, place) {
      await running.get(script)?.()
      const { child, closed, output } = start(script)
      const pid = child.pid as number
      guard.watch(pid)
      void closed.then(() => guard.unwatch(pid))
      running.set(script, async () => {
        child.kill('SIGTERM')
        await closed
      })
      const said = new Promise<boolean>(resolve => {
        child.stdout.on('data', () => /listening|ready/i.test(output()) && resolve(true))
        void closed.then(() => resolve(false))
      })
      t.ok(await said, `${place} is there`) || t.comment(output())
    },
  }
}

/** `curl … # 201 some of the body`. */
async function ask(t: Test, type: Shell, line: string): Promise<void> {
  const [, command = '', status = '', body = ''] = /^(curl .*?) +# (\d{3})(?: (.*))?$/.exec(line) ?? []
  if (!t.ok(status, `${line}: says what it must answer`)) return
  const answer = await type.andWait(command, command)
  t.match(answer, new RegExp(`^HTTP/1.1 ${status} `), `${command}: ${status}`)
  t.ok(answer.includes(body), `${command}: ${body}`) || t.comment(answer)
}
