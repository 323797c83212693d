import { BasePostgreSqlPlatform } from '@mikro-orm/sql'
import type { Engine } from '../../src/index.ts'
import { type Ask, onConnection } from './engine-connection.ts'
import { errors } from './errors.ts'
import { hasTrigger, isHeld, LOCK_TRIGGER } from './log-lock.ts'
import type { EventTable, Ordering } from './tables.ts'
import { Watermark } from './watermark.ts'

/** Milliseconds. Each look is one or two short statements. */
const PATIENCE = 10_000

/** PostgreSQL's code for a right that somebody does not have. */
const NO_PRIVILEGE = '42501'

/**
 * Two moments, of which a restart changes the first and a crash the second: a server that crashes loses its statistics, even
 * when its main process goes on.
 */
const LIFE = `concat_ws('/', extract(epoch from pg_postmaster_start_time()), extract(epoch from pg_stat_get_bgwriter_stat_reset_time()))`

/** How far a log is settled, by looking at the database. Whoever uses it looks once at a time. */
export interface LogLook {
  /** Another one: whatever was known before is known no more. */
  readonly epoch: number
  /** Nothing can appear any more at or below it; 0 while nothing is known. */
  readonly settled: number
  /** What had been given at the last look, settled or not. */
  readonly highest: number
  look(): Promise<void>
  /** Whether the epoch that the last look was part of goes on. */
  goesOn(): Promise<boolean>
  /** Begins a new epoch: something has happened, and what was known may be true no more. */
  forget(): void
}

/** Its `look` throws SQLA_ERR_EVENTS_STORAGE where it cannot work. */
export function logLook(engine: Engine, events: EventTable, ordering: Ordering): LogLook {
  return ordering === 'watermark' && engine.orm.em.getPlatform() instanceof BasePostgreSqlPlatform
    ? new WatermarkLook(engine, events)
    : new NewestLook(engine, events)
}

/** Where numbers are given in the order of the commits, everything is settled that there is. */
class NewestLook implements LogLook {
  epoch = 1
  settled = 0
  readonly #engine: Engine
  readonly #sql: string

  constructor(engine: Engine, { sql }: EventTable) {
    this.#engine = engine
    this.#sql = `select max(id) as newest from ${sql}`
  }

  get highest(): number {
    return this.settled
  }

  async look(): Promise<void> {
    const [row] = await onConnection(this.#engine, PATIENCE, ask =>
      ask<{ newest: string | number | null }>(this.#sql),
    )
    const newest = Number(row?.newest ?? 0)
    if (newest < this.settled) this.forget()
    this.settled = newest
  }

  async goesOn(): Promise<boolean> {
    return true
  }

  forget(): void {
    this.epoch++
    this.settled = 0
  }
}

interface Life {
  readonly life: string
}

interface SequenceRow extends Life {
  readonly last_value: string | number
  readonly is_called: boolean
  readonly is_standby: boolean
}

/** See {@link Watermark}. */
class WatermarkLook implements LogLook {
  readonly #engine: Engine
  readonly #events: EventTable
  readonly #watermark = new Watermark()
  #sequence: string | undefined

  constructor(engine: Engine, events: EventTable) {
    this.#engine = engine
    this.#events = events
  }

  get epoch(): number {
    return this.#watermark.epoch
  }

  get settled(): number {
    return this.#watermark.settled
  }

  get highest(): number {
    return this.#watermark.highest
  }

  look(): Promise<void> {
    return onConnection(this.#engine, PATIENCE, async ask => {
      this.#sequence ??= await this.#findSequence(ask)
      const { life, last_value, is_called, is_standby } = await this.#askSequence(ask, this.#sequence)
      if (is_standby) {
        // Its locks are not those of the writers.
        throw new errors.SQLA_ERR_EVENTS_STORAGE(
          `'${this.#engine.name}' is a standby, and who is writing can be seen on the primary only`,
        )
      }
      if (this.#watermark.look({ life, highest: is_called ? Number(last_value) : 0 })) {
        this.#watermark.lookAtHolders(await this.#askHolders(ask))
      }
    })
  }

  async goesOn(): Promise<boolean> {
    const [row] = await onConnection(this.#engine, PATIENCE, ask => ask<Life>(`select ${LIFE} as life`))
    return row?.life === this.#watermark.life
  }

  forget(): void {
    this.#watermark.forget()
    this.#sequence = undefined
  }

  async #findSequence(ask: Ask): Promise<string> {
    const { sql } = this.#events
    const [row] = await ask<{ name: string; size: string; step: string; locks: boolean }>(
      `select seqrelid::regclass::text as name, seqcache as size, seqincrement as step,
         ${hasTrigger(this.#events, LOCK_TRIGGER)} as locks
       from pg_sequence where seqrelid = pg_get_serial_sequence($1, 'id')::regclass`,
      [sql],
    )
    if (row === undefined) throw new errors.SQLA_ERR_EVENTS_STORAGE(`the column id of ${sql} has no sequence`)
    if (!row.locks) {
      throw new errors.SQLA_ERR_EVENTS_STORAGE(
        `${sql} has no trigger that shows who writes, so events could be skipped; createTables makes it`,
      )
    }
    // A session that keeps numbers in store uses them long after greater ones have been settled.
    if (Number(row.size) === 1 && Number(row.step) > 0) return row.name
    throw new errors.SQLA_ERR_EVENTS_STORAGE(
      `the sequence ${row.name} of the column id must count upwards and have CACHE 1, for the ordering 'watermark'`,
    )
  }

  async #askSequence(ask: Ask, name: string): Promise<SequenceRow> {
    try {
      const [row] = await ask<SequenceRow>(
        `select last_value, is_called, pg_is_in_recovery() as is_standby, ${LIFE} as life from ${name}`,
      )
      return row as SequenceRow
    } catch (error) {
      if ((error as { code?: unknown }).code !== NO_PRIVILEGE) throw error
      throw new errors.SQLA_ERR_EVENTS_STORAGE(
        `the role of engine '${this.#engine.name}' may not read the sequence ${name}: grant SELECT on it`,
        { cause: error },
      )
    }
  }

  async #askHolders(ask: Ask): Promise<{ life: string; holders: string[] }> {
    // Without any holder there is one row that has the life alone.
    const rows = await ask<Life & { holder: string | null }>(
      `select ${LIFE} as life, virtualtransaction as holder
       from (select) as always left join pg_locks on ${isHeld(this.#events)}`,
    )
    const { life } = rows[0] as Life
    return { life, holders: rows.flatMap(({ holder }) => holder ?? []) }
  }
}
