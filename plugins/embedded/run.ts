import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import type { Guard } from './guard.ts'

/** What the servers of one cluster share. */
export interface Run {
  readonly binaries: Binaries
  readonly account: Account | undefined
  readonly guard: Guard
  /** The temporary directory of this run: logs, standbys, and the primary's data when nobody keeps it. */
  readonly directory: string
  /** Path of the `pg` client. */
  readonly pg: string
  readonly database: string
  /** Password of the superuser. */
  readonly password: string
  /** Everything that must not appear in a message. */
  readonly secrets: readonly string[]
}

/** What every program of PostgreSQL is spawned with: under the account, with an environment that sets nothing. */
export function spawnOptions(run: Pick<Run, 'account' | 'directory'>) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(PG|NODE_|LC_|LANG|LANGUAGE$|TZ$)/.test(name),
  )
  return {
    cwd: run.directory,
    env: { ...Object.fromEntries(inherited), LC_ALL: 'C', TZ: 'UTC' },
    windowsHide: true,
    ...(run.account ? { uid: run.account.uid, gid: run.account.gid } : {}),
  }
}
