import { spawn } from 'node:child_process'
import { chown, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SUPERUSER } from './configuration.ts'
import { errors } from './errors.ts'
import { type Run, spawnOptions } from './run.ts'

/**
 * Makes an empty data directory with one superuser.
 *
 * @throws SQLA_ERR_EMBEDDED_ACCOUNT when the system cannot start a program as the account, or has no name for it
 * @throws SQLA_ERR_EMBEDDED_INITDB for whatever else initdb says
 */
export async function initdb(run: Run, dataDir: string): Promise<void> {
  const passwordFile = join(run.directory, 'password')
  await writeFile(passwordFile, run.password, { mode: 0o600 })
  if (run.account) await chown(passwordFile, run.account.uid, run.account.gid)
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const files = [`--pgdata=${dataDir}`, '--no-sync', '--no-instructions', '--no-data-checksums']
  const access = [`--username=${SUPERUSER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
  try {
    await execute(run, [...files, ...locale, ...access])
  } finally {
    await rm(passwordFile, { force: true })
  }
}

async function execute(run: Run, args: string[]): Promise<void> {
  const child = spawn(run.binaries.initdb, args, {
    ...spawnOptions(run),
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  if (child.pid !== undefined) run.guard.watch(child.pid)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', chunk => {
    said += chunk
  })
  const { code, cause } = await new Promise<{ code?: number | null; cause?: NodeJS.ErrnoException }>(
    settle => {
      child.once('error', cause => settle({ cause }))
      child.once('close', code => settle({ code }))
    },
  )
  if (child.pid !== undefined) run.guard.unwatch(child.pid)
  if (code === 0) return
  if (cause?.code === 'EPERM') {
    const lend = `this process may not start programs as ${run.account?.name}: run it as an ordinary user`
    throw new errors.SQLA_ERR_EMBEDDED_ACCOUNT(lend, { cause })
  }
  if (/look up effective user/.test(said)) {
    const nameless = `user id ${process.geteuid?.()} has no name; add a line for it to /etc/passwd`
    throw new errors.SQLA_ERR_EMBEDDED_ACCOUNT(nameless)
  }
  throw new errors.SQLA_ERR_EMBEDDED_INITDB(said.trim() || cause?.message || `exit code ${code}`, { cause })
}
