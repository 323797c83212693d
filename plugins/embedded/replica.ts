import { setTimeout as sleep } from 'node:timers/promises'
import { conninfoOf, slotOf } from './backup.ts'
import { quote } from './configuration.ts'
import { errors } from './errors.ts'
import type { Run } from './run.ts'
import { Server } from './server.ts'

// How long the server may take to do what it was asked (ms)
const LIMIT = 30_000

/** A hot standby. */
export class Replica extends Server {
  #source: Server

  constructor(run: Run, name: string, dataDir: string, source: Server) {
    super(run, name, dataDir)
    this.#source = source
  }

  async caughtUp(ms: number = LIMIT): Promise<void> {
    this.runningPid('caughtUp()')
    const [now] = await this.#source.query(query => query('select pg_current_wal_flush_lsn() as lsn'))
    const reached = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as reached'
    await this.query(query =>
      until(
        `Replay did not reach ${now?.lsn}`,
        this.name,
        async () => (await query(reached, [now?.lsn]))[0]?.reached === true,
        ms,
      ),
    )
  }

  pauseReplay(): Promise<void> {
    return this.inTurn(async () => {
      this.runningPid('pauseReplay()')
      await this.query(async query => {
        await query('select pg_wal_replay_pause()')
        await until('Replay was not paused', this.name, async () => {
          const [row] = await query('select pg_get_wal_replay_pause_state() as state')
          return row?.state === 'paused'
        })
      })
    })
  }

  resumeReplay(): Promise<void> {
    return this.inTurn(async () => {
      this.runningPid('resumeReplay()')
      await this.query(query => query('select pg_wal_replay_resume()'))
    })
  }

  promote(): Promise<void> {
    return this.inTurn(async () => {
      this.runningPid('promote()')
      await this.query(async query => {
        const [state] = await query('select pg_is_in_recovery() as standby')
        if (state?.standby) await query('select pg_promote(true, $1)', [LIMIT / 1000])
        await until('The promotion did not end', this.name, async () => {
          const [row] = await query('select not pg_is_in_recovery() as done')
          return row?.done === true
        })
      })
    })
  }

  follow(source: Server): Promise<void> {
    return this.inTurn(async () => {
      this.runningPid('follow()')
      const slot = slotOf(this.name)
      await source.query(query =>
        query(
          `select pg_create_physical_replication_slot($1::name, true)
            where not exists (select from pg_replication_slots where slot_name = $1::name)`,
          [slot],
        ),
      )
      await this.query(async query => {
        const conninfo = conninfoOf(source, this.name, this.run.password)
        await query(`alter system set primary_conninfo = ${quote(conninfo)}`)
        await query(`alter system set primary_slot_name = ${quote(slot)}`)
        await query('select pg_reload_conf()')
      })
      this.#source = source
      await streaming(source, [this.name])
    })
  }
}

/** Waits until the named standbys stream from the server. */
export async function streaming(source: Server, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await source.query(query =>
    until('Not every standby streams', names.join(', '), async () => {
      const rows = await query(
        `select application_name as name from pg_stat_replication where state = 'streaming'`,
      )
      return names.every(name => rows.some(row => row.name === name))
    }),
  )
}

async function until(
  what: string,
  who: string,
  check: () => Promise<boolean>,
  ms: number = LIMIT,
): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > deadline) throw new errors.SQLA_ERR_EMBEDDED_REPLICATION(what, ms, who)
    await sleep(5)
  }
}
