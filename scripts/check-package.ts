// Checks the packed tarball: what is in it, that its types and exports are right, and that every subpath can be
// imported from where a user has it. Run by `npm run check:package`, after the build.
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'sqlassist-package-'))
const problems: string[] = []

try {
  const pack = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
    cwd: root,
  })
  const [{ filename, files, size }] = JSON.parse(pack.stdout) as [
    { filename: string; files: { path: string }[]; size: number },
  ]
  const tarball = join(directory, filename)
  const paths = files.map(file => file.path)
  console.log(`${filename}: ${paths.length} files, ${Math.round(size / 1024)} KiB`)

  await checkContents(paths)
  await checkTools(tarball)
  await checkImports(tarball)
  await checkCommands()
} finally {
  await rm(directory, { recursive: true })
}
if (problems.length > 0) {
  console.error(problems.join('\n'))
  process.exit(1)
}
console.log('the package is fine')

/** What a user needs and nothing else; every subpath is a plugin and every plugin a subpath. */
async function checkContents(paths: string[]): Promise<void> {
  const allowed =
    /^(dist\/(src|plugins|bin)\/.*\.(js|d\.ts)|package\.json|README\.md|LICENSE|CHANGELOG\.md|docs\/errors\.md)$/
  for (const path of paths) if (!allowed.test(path)) problems.push(`not wanted in the package: ${path}`)
  for (const needed of ['LICENSE', 'README.md', 'CHANGELOG.md', 'dist/src/index.js', 'dist/src/index.d.ts']) {
    if (!paths.includes(needed)) problems.push(`missing from the package: ${needed}`)
  }
  const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  // What pages share is no plugin.
  const plugins = (await readdir(join(root, 'plugins'))).filter(name => name !== 'web')
  for (const plugin of plugins)
    if (!(`./${plugin}` in exports)) problems.push(`no subpath for plugins/${plugin}`)
  for (const [subpath, target] of Object.entries<Record<string, string> | string>(exports)) {
    for (const file of typeof target === 'string' ? [target] : Object.values(target)) {
      if (!paths.includes(file.slice(2))) problems.push(`${subpath}: ${file} is not in the package`)
    }
  }
}

async function checkTools(tarball: string): Promise<void> {
  for (const [tool, ...args] of [
    ['publint', tarball, '--strict'],
    ['attw', tarball, '--profile', 'esm-only'],
  ] as [string, ...string[]][]) {
    try {
      await run(join(root, 'node_modules/.bin', tool), args)
      console.log(`${tool}: fine`)
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      problems.push(`${tool}:\n${stdout}${stderr}`)
    }
  }
}

/** From a project that has the tarball and its peers, without our sources. */
async function checkImports(tarball: string): Promise<void> {
  const project = join(directory, 'project')
  const modules = join(project, 'node_modules')
  await mkdir(modules, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', modules])
  await run('mv', [join(modules, 'package'), join(modules, 'fastify-sqlassist')])
  const { dependencies, peerDependencies, exports } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  )
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    await mkdir(join(modules, name, '..'), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(modules, name))
  }
  for (const subpath of Object.keys(exports)) {
    if (subpath.endsWith('.json')) continue
    const name = subpath.replace(/^\./, 'fastify-sqlassist')
    try {
      const script = `const face = await import('${name}'); console.log('${name}:', Object.keys(face).join(', '))`
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: project })
      console.log(stdout.trim())
    } catch (error) {
      problems.push(`import '${name}' failed: ${(error as { stderr: string }).stderr}`)
    }
  }
}

/** In the same project, by the names and in the mode that npm gives them. */
async function checkCommands(): Promise<void> {
  const { bin, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const installed = join(directory, 'project/node_modules/fastify-sqlassist')
  for (const [name, file] of Object.entries<string>(bin)) {
    const path = join(installed, file)
    try {
      if (!(await readFile(path, 'utf8')).startsWith('#!/usr/bin/env node\n')) {
        problems.push(`${name}: ${file} does not begin with #!/usr/bin/env node`)
      }
      await chmod(path, 0o755)
      await symlink(path, join(directory, name))
      for (const option of ['--help', '--version']) {
        const { stdout } = await run(join(directory, name), [option], { env: withThisNode() })
        const expected = option === '--help' ? `Usage: ${name} ` : version
        if (!stdout.startsWith(expected)) problems.push(`${name} ${option} prints: ${stdout}`)
      }
      console.log(`${name}: runs`)
    } catch (error) {
      problems.push(`${name} failed: ${(error as { stderr?: string }).stderr ?? error}`)
    }
  }
}

/** The shebang takes the first `node` there is. */
function withThisNode(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }
}
