import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freePort } from '../../plugins/embedded/ports.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { testDatabase } from '../support/cluster.ts'
import { type CodeBlock, codeBlocks } from './code-blocks.ts'
import { walkThrough } from './walk-through.ts'

// Every JavaScript and TypeScript block of README.md and docs/ is a program that runs, on the built package. A
// block that listens is asked by the `curl` lines of the shell block that follows it.

const root = fileURLToPath(new URL('../..', import.meta.url))
let programs = 0

/** README.md and the guides, as they are called in this repository. */
export async function pages(): Promise<string[]> {
  const guides = (await readdir(join(root, 'docs'), { recursive: true })).filter(name => name.endsWith('.md'))
  return ['README.md', ...guides.map(name => `docs/${name}`)]
}

/** Runs every block of the pages, two at a time; those of a walk through in their order. */
export async function runBlocks(t: Test, pages: readonly string[]): Promise<void> {
  // Inside the repo, so that `fastify-sqlassist` is found as users find it.
  const directory = await mkdtemp(join(root, '.blocks-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  t.jobs = 2
  for (const page of pages) {
    const blocks = codeBlocks(page, await readFile(join(root, page), 'utf8'))
    const steps = blocks.filter(({ step }) => step !== undefined)
    if (steps.length > 0) t.test(`${page}: the walk through`, async t => walkThrough(t, directory, steps))
    for (const [index, block] of blocks.entries()) {
      if ((block.language !== 'js' && block.language !== 'ts') || block.step !== undefined) continue
      t.test(`${block.page}:${block.line} runs`, async t => run(t, directory, block, blocks[index + 1]))
    }
  }
}

async function run(t: Test, directory: string, block: CodeBlock, next: CodeBlock | undefined): Promise<void> {
  const database = await testDatabase(t)
  const port = await freePort()
  const file = join(directory, `${programs++}.${block.language}`)
  await writeFile(file, (await program(block)).replaceAll('port: 3000', `port: ${port}`))
  const child = spawn(process.execPath, [file], {
    env: {
      ...childEnvironment,
      DATABASE_URL: database.superUrl,
      WRITER_URL: database.writerUrl,
      READER_URL: database.readerUrl,
      LOGGER_URL: database.loggerUrl,
    },
  })
  let output = ''
  child.stdout.on('data', chunk => (output += chunk))
  child.stderr.on('data', chunk => (output += chunk))
  const exit = once(child, 'exit')
  if (block.code.includes('app.listen(')) {
    await ask(t, port, next, exit)
    child.kill('SIGTERM')
    await exit
  } else {
    const [code] = await exit
    t.equal(code, 0, `${relative(root, file)} ends well`) || t.comment(output)
    const [skipped] = /^SKIPPED: .*$/m.exec(output) ?? []
    if (skipped !== undefined) t.comment(skipped)
  }
}

/** The block with what it stands on before it, and what it promises after it. */
async function program(block: CodeBlock): Promise<string> {
  if (block.prelude === undefined) return block.code
  const text = await readFile(new URL(`preludes/${block.prelude}.ts`, import.meta.url), 'utf8')
  const prelude = text.replaceAll("'../../support/", "'../test/support/")
  const asked = block.expectations
    .map(
      ({ method, url, status }) =>
        `{ const answer = await app.inject({ method: '${method}', url: '${url}', ${
          method === 'POST' ? "payload: { name: 'Bea' }" : ''
        } })\n  if (answer.statusCode !== ${status}) throw new Error('${method} ${url}: ' + answer.statusCode + ' ' + answer.body) }`,
    )
    .join('\n')
  return `${prelude}\n${block.code}\n${asked}\nawait app.close()\n`
}

async function ask(
  t: Test,
  port: number,
  shell: CodeBlock | undefined,
  exit: Promise<unknown>,
): Promise<void> {
  let ended = false
  void exit.then(() => {
    ended = true
  })
  const up = async (): Promise<boolean> => {
    for (let tries = 0; tries < 300 && !ended; tries++) {
      if (
        await fetch(`http://localhost:${port}/`).then(
          () => true,
          () => false,
        )
      )
        return true
      await sleep(100)
    }
    return false
  }
  if (!t.ok(await up(), 'it listens')) return
  const lines = (shell?.code ?? '').split('\n').filter(line => line.startsWith('curl'))
  t.ok(lines.length > 0, 'the shell block that follows asks it something')
  for (const line of lines) {
    const curl = spawn('sh', ['-c', `${line.replace(':3000', `:${port}`)} -w '\\n%{http_code}'`])
    let answer = ''
    curl.stdout.on('data', chunk => (answer += chunk))
    await once(curl, 'close')
    t.match(answer, /\n20\d$/, line)
  }
}
