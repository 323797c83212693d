import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

const PROGRAM = `
  import { MikroORM } from '@mikro-orm/sqlite'
  import { emmettEventStore } from './plugins/events/index.ts'
  const orm = await MikroORM.init({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
  const store = emmettEventStore(orm.em.fork())
  const { code, message, cause } = await store.readStream('cart').catch(error => error)
  await orm.close(true)
  console.log(JSON.stringify({ code, message, cause: cause?.code }))
`

/** A directory with the sources, and all packages but one scope. */
async function without(t: Test, scope: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sqlassist-package-'))
  t.teardown(() => rm(directory, { recursive: true }))
  for (const part of ['src', 'plugins', 'package.json']) {
    await cp(join(root, part), join(directory, part), { recursive: true })
  }
  await mkdir(join(directory, 'node_modules'))
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== scope) await symlink(join(root, 'node_modules', name), join(directory, 'node_modules', name))
  }
  await writeFile(join(directory, 'program.ts'), PROGRAM)
  return directory
}

async function run(cwd: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['program.ts'], { cwd })
  return JSON.parse(stdout)
}

t.test('without Emmett the plugin can be used, and its event store says what is missing', async t => {
  const cwd = await without(t, '@event-driven-io')
  t.strictSame(await run(cwd), {
    code: 'SQLA_ERR_EMMETT_PACKAGE',
    message: '@event-driven-io/emmett is not installed. Install it: npm i @event-driven-io/emmett',
    cause: 'ERR_MODULE_NOT_FOUND',
  })
})

t.test('that a package is missing which Emmett needs is another matter', async t => {
  const cwd = await without(t, '@event-driven-io')
  const emmett = join(cwd, 'node_modules/@event-driven-io/emmett')
  await mkdir(emmett, { recursive: true })
  await writeFile(join(emmett, 'package.json'), '{ "type": "module", "exports": "./index.js" }')
  await writeFile(join(emmett, 'index.js'), "import 'nowhere-to-be-found'")
  t.match(await run(cwd), { code: 'ERR_MODULE_NOT_FOUND', message: /'nowhere-to-be-found'/ })
})
