import { randomBytes } from 'node:crypto'
import { chown, mkdir, mkdtemp, readdir, readFile, stat, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Account, isReachable } from './account.ts'
import { errors } from './errors.ts'
import { ROLES, type RoleName } from './roles.ts'

// Free bytes of /dev/shm from which on it is used; a container has 64 MB of it, as a rule
const ROOM_IN_MEMORY = 4 * 2 ** 30

/** The passwords of a cluster: random, and kept beside the data that they belong to. */
export type Passwords = Record<'postgres' | RoleName, string>

/** Where the primary's data is. */
export interface Storage {
  /** PGDATA of the primary. */
  readonly primary: string
  readonly passwords: Passwords
  /** There is nothing yet: initdb has to make it. */
  readonly isNew: boolean
  /** Removed at the end. */
  readonly isTemporary: boolean
  /** Who the servers run as: as root, the owner of data that exists. */
  readonly account: Account | undefined
  /** To be called when initdb has succeeded. */
  keep(): Promise<void>
}

/**
 * A directory of one run, removed at its end.
 *
 * @param kind `data` is kept in memory where there is plenty (Linux, unless TMPDIR says otherwise): a database is a
 * thousand small files, which some disks take half a second for. `programs` cannot be: Docker mounts it noexec.
 * @throws SQLA_ERR_EMBEDDED_DATA_DIR when the account cannot get to the system's temporary directory
 */
export async function temporaryDirectory(
  account: Account | undefined,
  kind: 'data' | 'programs' = 'data',
): Promise<string> {
  const places = [...(kind === 'data' ? await memory() : []), tmpdir(), '/tmp', '/var/tmp']
  for (const place of places) {
    if (!reaches(place, account)) continue
    const directory = await mkdtemp(join(place, 'sqlassist-')).catch(() => undefined)
    if (directory === undefined) continue
    if (account) await chown(directory, account.uid, account.gid)
    return directory
  }
  throw new errors.SQLA_ERR_EMBEDDED_DATA_DIR(tmpdir(), unreachable(account))
}

async function memory(): Promise<string[]> {
  if (process.platform !== 'linux' || process.env.TMPDIR) return []
  const place = '/dev/shm'
  const room = await statfs(place).catch(() => undefined)
  return room && room.bavail * room.bsize >= ROOM_IN_MEMORY ? [place] : []
}

/**
 * Opens the data directory that the user gave, or one in the run's directory.
 *
 * @throws SQLA_ERR_EMBEDDED_DATA_DIR when it holds something else, or the account cannot get there
 */
export async function openStorage(
  given: string | undefined,
  runDirectory: string,
  account: Account | undefined,
): Promise<Storage> {
  const passwords = newPasswords()
  if (given === undefined) {
    const primary = join(runDirectory, 'primary')
    return { primary, passwords, isNew: true, isTemporary: true, account, keep: async () => {} }
  }
  const directory = resolve(given)
  const primary = join(directory, 'data')
  const secrets = join(directory, 'cluster.json')
  try {
    await mkdir(directory, { recursive: true, mode: account ? 0o711 : 0o700 })
    const known = await readFile(secrets, 'utf8').catch(() => undefined)
    if (known !== undefined) {
      const { uid, gid } = await stat(primary)
      const owner = account && { name: `user id ${uid}`, uid, gid }
      if (!reaches(directory, owner))
        throw new errors.SQLA_ERR_EMBEDDED_DATA_DIR(directory, unreachable(owner))
      const stored = { ...passwords, ...(JSON.parse(known) as Passwords) }
      return {
        primary,
        passwords: stored,
        isNew: false,
        isTemporary: false,
        account: owner,
        keep: async () => {},
      }
    }
    if ((await readdir(directory)).length > 0) {
      throw new errors.SQLA_ERR_EMBEDDED_DATA_DIR(directory, 'it is not empty, and no cluster was made there')
    }
    if (!reaches(directory, account))
      throw new errors.SQLA_ERR_EMBEDDED_DATA_DIR(directory, unreachable(account))
    await mkdir(primary, { mode: 0o700 })
    if (account) await chown(primary, account.uid, account.gid)
  } catch (cause) {
    if (cause instanceof errors.SQLA_ERR_EMBEDDED_DATA_DIR) throw cause
    throw new errors.SQLA_ERR_EMBEDDED_DATA_DIR(directory, (cause as Error).message, { cause })
  }
  const keep = () => writeFile(secrets, JSON.stringify(passwords), { mode: 0o600 })
  return { primary, passwords, isNew: true, isTemporary: false, account, keep }
}

function newPasswords(): Passwords {
  const names = ['postgres', ...ROLES] as const
  return Object.fromEntries(names.map(name => [name, randomBytes(16).toString('hex')])) as Passwords
}

function reaches(path: string, account: Account | undefined): boolean {
  try {
    return isReachable(path, account)
  } catch {
    return false
  }
}

function unreachable(account: Account | undefined): string {
  return `${account?.name ?? 'this user'}, who runs PostgreSQL because root may not, has no way in`
}
