import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { errors } from './errors.ts'

/** The system user that PostgreSQL runs under when this process is root, whom it refuses. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * @returns undefined when this process is not root: PostgreSQL then runs as the same user
 * @throws SQLA_ERR_EMBEDDED_ACCOUNT when root has no unprivileged user to lend
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  let passwd = ''
  try {
    passwd = readFileSync('/etc/passwd', 'utf8')
  } catch {
    // The error below says what to do
  }
  const account = pickAccount(passwd)
  if (account) return account
  throw new errors.SQLA_ERR_EMBEDDED_ACCOUNT(
    'this process is root and /etc/passwd lists nobody else. Add a user (useradd --system postgres) or run as one',
  )
}

/** The user that fits best in the text of an /etc/passwd: initdb looks its own user up by name. */
export function pickAccount(passwd: string): Account | undefined {
  const accounts = passwd.split('\n').flatMap(line => {
    const [name = '', , uid, gid] = line.split(':')
    const account = { name, uid: Number(uid), gid: Number(gid) }
    return account.uid > 0 && account.gid >= 0 ? [account] : []
  })
  for (const name of ['postgres', 'nobody', 'daemon']) {
    const match = accounts.find(account => account.name === name)
    if (match) return match
  }
  return accounts[0]
}

/** Whether the account may enter every directory on the way to a path, and use what is there. */
export function isReachable(path: string, account: Account | undefined): boolean {
  if (account === undefined) return true
  for (let place = resolve(path); ; place = dirname(place)) {
    const { mode, uid, gid } = statSync(place)
    const execute = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
    if ((mode & execute) === 0) return false
    if (place === dirname(place)) return true
  }
}
