// `npm run test:databases`: the suites that run on several databases, on those that the package does not bring along
// (MARIADB_URL, POSTGRES_15_URL). With `npm test` they would take its time twice.
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Whether a file, or one of the tests' own that it imports, runs on the other databases. */
async function runsOnOthers(file: string, seen = new Set<string>()): Promise<boolean> {
  if (seen.has(file)) return false
  seen.add(file)
  // Some tests write programs, which import files of their own.
  const text = await readFile(file, 'utf8').catch(() => '')
  if (/MARIADB_URL|POSTGRES_15_URL/.test(text)) return true
  for (const [, imported = ''] of text.matchAll(/from '(\.[^']+)'/g)) {
    const target = join(dirname(file), imported)
    if (target.startsWith(join(root, 'test')) && (await runsOnOthers(target, seen))) return true
  }
  return false
}

const names = await readdir(join(root, 'test'), { recursive: true })
const files: string[] = []
for (const name of names.filter(name => name.endsWith('.test.ts')).sort()) {
  if (await runsOnOthers(join(root, 'test', name))) files.push(`test/${name}`)
}
const tap = spawn(process.execPath, [join(root, 'scripts/tap.ts'), ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TEST_DATABASES: 'others' },
})
tap.on('exit', code => {
  process.exitCode = code ?? 1
})
