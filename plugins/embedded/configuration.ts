import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Values for postgresql.conf. */
export type Settings = Readonly<Record<string, string | number | boolean>>

/** The superuser of every cluster. */
export const SUPERUSER = 'postgres'

const DEFAULTS: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: 200,
  shared_buffers: '64MB',
  // In the data directory, so that a server that was killed leaves nothing in /dev/shm
  dynamic_shared_memory_type: process.platform === 'win32' ? 'windows' : 'mmap',
  io_method: 'sync',
  wal_level: 'replica',
  wal_log_hints: 'on',
  wal_init_zero: 'off',
  max_wal_senders: 20,
  max_replication_slots: 20,
  hot_standby: 'on',
  // A standby whose primary comes back should not wait 5 s
  wal_retrieve_retry_interval: '100ms',
  timezone: 'UTC',
  log_timezone: 'UTC',
  datestyle: 'iso, mdy',
  default_text_search_config: 'pg_catalog.english',
}

// Of no use to data that is thrown away; a crash of the operating system is what they guard against
const TEMPORARY: Settings = { fsync: 'off', full_page_writes: 'off' }

/** Writes the server's configuration: who may connect, and the settings, those of the user last. */
export async function configure(dataDir: string, settings: Settings, temporary: boolean): Promise<void> {
  const all = { ...DEFAULTS, ...(temporary ? TEMPORARY : {}), ...settings }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${quote(String(value))}\n`)
  await writeFile(join(dataDir, 'postgresql.conf'), lines.join(''))
  await writeFile(
    join(dataDir, 'pg_hba.conf'),
    `host all all 127.0.0.1/32 scram-sha-256\nhost replication ${SUPERUSER} 127.0.0.1/32 scram-sha-256\n`,
  )
}

/** A value of postgresql.conf, or of a connection string within one. */
export function quote(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}
