import { appendFile, constants, copyFile, lchown, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './account.ts'
import { quote, SUPERUSER } from './configuration.ts'
import { errors } from './errors.ts'
import type { Server } from './server.ts'

// What a standby makes for itself; its WAL comes from the primary, whose slot keeps it
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'postgresql.auto.conf.tmp'])
const EMPTIED = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])

/** A standby to make: its name, which is its slot and application_name too, and where its data goes. */
export interface StandbyPlan {
  readonly name: string
  readonly dataDir: string
}

/** The name of a server's replication slot. */
export function slotOf(name: string): string {
  return `sqlassist_${name}`
}

/**
 * Makes standbys of a running primary without pg_basebackup: one online backup, a copy of the files for each.
 *
 * SQL it runs: `pg_create_physical_replication_slot` per standby, `pg_backup_start`, `pg_backup_stop`.
 */
export async function makeStandbys(
  primary: Server,
  standbys: readonly StandbyPlan[],
  conninfo: (name: string) => string,
  account: Account | undefined,
): Promise<void> {
  await primary.query(async query => {
    // A persistent primary remembers the slots of its last run; each would keep WAL for ever
    await query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots
      where slot_name like 'sqlassist\\_%' and not active`)
    for (const { name } of standbys) {
      await query('select pg_create_physical_replication_slot($1, true)', [slotOf(name)])
    }
    if (standbys.length === 0) return
    await query(`select pg_backup_start('sqlassist', true)`)
    await Promise.all(standbys.map(({ dataDir }) => copyData(primary.dataDir, dataDir, account)))
    const [backup] = await query('select labelfile from pg_backup_stop(false)')
    for (const { name, dataDir } of standbys) {
      const follow = `primary_conninfo = ${quote(conninfo(name))}\nprimary_slot_name = ${quote(slotOf(name))}\n`
      await appendFile(join(dataDir, 'postgresql.auto.conf'), follow)
      for (const [file, text] of [
        ['backup_label', String(backup?.labelfile)],
        ['standby.signal', ''],
      ] as const) {
        await writeFile(join(dataDir, file), text, { mode: 0o600 })
        if (account) await lchown(join(dataDir, file), account.uid, account.gid)
      }
    }
  })
}

/** Connection string of a standby to the server that it streams from. */
export function conninfoOf(source: Server, name: string, password: string): string {
  return `host=127.0.0.1 port=${source.port} user=${SUPERUSER} password=${password} application_name=${name}`
}

async function copyData(from: string, to: string, account: Account | undefined): Promise<void> {
  await mkdir(to, { mode: 0o700 })
  if (account) await lchown(to, account.uid, account.gid)
  const entries = await readdir(from, { withFileTypes: true })
  await Promise.all(
    entries.map(async entry => {
      const [source, target] = [join(from, entry.name), join(to, entry.name)]
      if (LEFT_OUT.has(entry.name) || entry.name.startsWith('pgsql_tmp')) return
      if (entry.isSymbolicLink()) {
        throw new errors.SQLA_ERR_EMBEDDED_DATA_DIR(
          from,
          'it has a tablespace elsewhere, which standbys would share',
        )
      }
      if (entry.isDirectory()) {
        if (!EMPTIED.has(entry.name)) return copyData(source, target, account)
        await mkdir(target, { mode: 0o700 })
      } else {
        try {
          await copyFile(source, target, constants.COPYFILE_FICLONE)
        } catch (error) {
          // The primary runs on: a table may be dropped under our hands, and the WAL says so
          if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
          throw error
        }
      }
      if (account) await lchown(target, account.uid, account.gid)
    }),
  )
}
