import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Held } from './connection.ts'
import { errors } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'

// Two processes that migrate one engine take turns. Where DDL is transactional the lock belongs to the transaction
// that does the work, so that it cannot outlive it or end before it; a killed process loses both at once.
// Asking again and again instead of waiting in the server: a session that waits in PostgreSQL holds a snapshot, and
// CREATE INDEX CONCURRENTLY of the process that has the lock would wait for it.

/** What is held while the lock is: a transaction, or (where a statement cannot run in one) only the connection. */
export type Scope = 'transaction' | 'connection'

export interface Waiting {
  /** Called once, when somebody else has the lock. */
  onWait(): void
  /** How long to wait, in milliseconds; undefined: as long as it takes. */
  readonly timeout: number | undefined
}

const PAUSE = 100

/**
 * Runs `work` while no other process migrates this engine. A transaction is committed when `work` returns and rolled
 * back when it throws.
 *
 * @throws SQLA_ERR_MIGRATION_LOCK
 */
export async function locked<T>(
  engine: MigratedEngine,
  held: Held,
  scope: Scope,
  waiting: Waiting,
  work: () => Promise<T>,
): Promise<T> {
  const lock = LOCKS[engine.dialect](engine, held, scope)
  const patience = waiting.timeout ?? Number.POSITIVE_INFINITY
  const deadline = performance.now() + patience
  for (let told = false; !(await lock.take()); told = true) {
    if (!told) waiting.onWait()
    if (performance.now() > deadline) throw new errors.SQLA_ERR_MIGRATION_LOCK(engine.name, patience)
    await sleep(PAUSE)
  }
  try {
    const result = await work()
    if (scope === 'transaction') await lock.commit()
    return result
  } catch (error) {
    // A connection that is gone has rolled back by itself; why it went is the error to tell.
    if (scope === 'transaction') await held.run('rollback').catch(() => {})
    throw error
  } finally {
    await lock.leave().catch(() => {})
  }
}

interface Lock {
  /** Takes the lock, and begins the transaction. @returns false when somebody else has it */
  take(): Promise<boolean>
  commit(): Promise<void>
  /** After the end of the transaction: gives back what did not end with it. */
  leave(): Promise<void>
}

type MakeLock = (engine: MigratedEngine, held: Held, scope: Scope) => Lock

/** The same for everybody who migrates this engine, and for nobody else. */
function keyOf(engine: MigratedEngine): Buffer {
  return createHash('sha256')
    .update(`${engine.orm.config.get('dbName')}\0${engine.table}`)
    .digest()
}

/** Any number that means us; the other half of the key is the engine. */
const CLASS = 7_274_021

const postgresql: MakeLock = (engine, held, scope) => {
  const key = `${CLASS}, ${keyOf(engine).readInt32BE()}`
  const ask = async (fn: string): Promise<boolean> =>
    (await held.run<{ got: boolean }>(`select ${fn}(${key}) as got`))[0]?.got === true
  if (scope === 'connection') {
    return {
      take: () => ask('pg_try_advisory_lock'),
      commit: async () => {},
      leave: async () => {
        await ask('pg_advisory_unlock')
      },
    }
  }
  let watches = true
  return {
    async take() {
      await held.run('begin')
      if (watches) {
        try {
          // The server looks every second whether we are still there, in the middle of a long statement too.
          await held.run("set local client_connection_check_interval = '1s'")
        } catch {
          // PostgreSQL before 14, or a system on which it cannot look
          watches = false
          await held.run('rollback')
          await held.run('begin')
        }
      }
      if (await ask('pg_try_advisory_xact_lock')) return true
      await held.run('rollback')
      return false
    },
    async commit() {
      await held.run('commit')
    },
    leave: async () => {},
  }
}

const mysql: MakeLock = (engine, held, scope) => {
  // Names are the server's, not the database's, and have at most 64 characters.
  const name = `'sqlassist:${keyOf(engine).toString('hex', 0, 16)}'`
  return {
    async take() {
      const [row] = await held.run<{ got: number | bigint | null }>(`select get_lock(${name}, 0) as got`)
      if (Number(row?.got) !== 1) return false
      if (scope === 'transaction') await held.run('begin')
      return true
    },
    async commit() {
      await held.run('commit')
    },
    async leave() {
      await held.run(`select release_lock(${name})`)
    },
  }
}

/** The lock is the one write transaction that SQLite allows; without a transaction there is none. */
const sqlite: MakeLock = (_engine, held, scope) => {
  if (scope === 'connection') return { take: async () => true, commit: async () => {}, leave: async () => {} }
  let checked = false
  const restore = async (): Promise<void> => {
    if (checked) await held.run('pragma foreign_keys = on')
  }
  return {
    async take() {
      const [keys] = await held.run<{ foreign_keys: number }>('pragma foreign_keys')
      const [busy] = await held.run<{ timeout: number }>('pragma busy_timeout')
      checked = keys?.foreign_keys === 1
      // It cannot be changed in a transaction, and a table that is rebuilt would take its children's rows along.
      await held.run('pragma foreign_keys = off')
      // Waiting is our business: SQLite would do it with this process standing still.
      await held.run('pragma busy_timeout = 0')
      try {
        await held.run('begin immediate')
        return true
      } catch (error) {
        await restore()
        if (String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY')) return false
        throw error
      } finally {
        await held.run(`pragma busy_timeout = ${Number(busy?.timeout ?? 0)}`)
      }
    },
    async commit() {
      if (checked) await assertKeys(held)
      await held.run('commit')
    },
    leave: restore,
  }
}

async function assertKeys(held: Held): Promise<void> {
  const [lost] = await held.run<{ table: string; parent: string }>('pragma foreign_key_check')
  if (lost === undefined) return
  throw new errors.SQLA_ERR_MIGRATION_FOREIGN_KEY(lost.table, lost.parent)
}

const LOCKS: Record<MigratedEngine['dialect'], MakeLock> = { postgresql, mysql, sqlite }
