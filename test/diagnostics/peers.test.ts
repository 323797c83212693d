import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

const PROGRAM = `
  import { defineConfig } from '@mikro-orm/sqlite'
  import Fastify from 'fastify'
  import sqlAssist from './src/index.ts'
  import { metrics, statementLog, traceComments, tracing } from './plugins/diagnostics/index.ts'
  const told = ({ code, message, cause }) => ({ code, message, cause: cause?.code })
  const failures = []
  for (const plugin of [metrics, tracing, statementLog]) {
    const app = Fastify()
    const orm = defineConfig({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
    await app.register(sqlAssist, { engines: { writer: { orm } } })
    failures.push(await app.register(plugin).after().then(() => 'registered', told))
    await app.close()
  }
  try { traceComments({ label: () => 'x' }) } catch (error) { failures.push(told(error)) }
  console.log(JSON.stringify(failures))
`

/** A directory with the sources, and all packages but some. */
async function without(t: Test, missing: readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sqlassist-peers-'))
  t.teardown(() => rm(directory, { recursive: true }))
  for (const part of ['src', 'plugins/diagnostics', 'package.json']) {
    await cp(join(root, part), join(directory, part), { recursive: true })
  }
  await mkdir(join(directory, 'node_modules'))
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (!missing.includes(name)) {
      await symlink(join(root, 'node_modules', name), join(directory, 'node_modules', name))
    }
  }
  await writeFile(join(directory, 'program.ts'), PROGRAM)
  return directory
}

async function run(cwd: string): Promise<unknown[]> {
  const { stdout } = await promisify(execFile)(process.execPath, ['program.ts'], { cwd })
  return JSON.parse(stdout)
}

const missing = (who: string, name: string) => ({
  code: 'SQLA_ERR_DIAGNOSTICS_PACKAGE',
  message: `${who} needs ${name}, which is not installed. Install it: npm i ${name}`,
  cause: 'MODULE_NOT_FOUND',
})

t.test('without its package a plugin says what is missing; the log needs none', async t => {
  const cwd = await without(t, ['prom-client', '@opentelemetry'])
  t.strictSame(await run(cwd), [
    missing('metrics', 'prom-client'),
    missing('tracing', '@opentelemetry/api'),
    'registered',
    missing('traceComments', '@opentelemetry/api'),
  ])
})

t.test('that something is missing which the package needs is another matter', async t => {
  const cwd = await without(t, ['prom-client'])
  const directory = join(cwd, 'node_modules/prom-client')
  await mkdir(directory)
  await writeFile(join(directory, 'package.json'), '{ "main": "index.js" }')
  await writeFile(join(directory, 'index.js'), "require('nowhere-to-be-found')")
  const [failure] = await run(cwd)
  t.match(failure, { code: 'MODULE_NOT_FOUND', message: /'nowhere-to-be-found'/ })
})
