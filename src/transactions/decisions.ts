import { createHash } from 'node:crypto'
import { CompiledQuery } from 'kysely'
import type { Lease } from '../engines/connection-pool.ts'
import type { Engine } from '../engines/engine.ts'
import { messageOf, redact } from '../engines/redact.ts'
import { errors } from '../errors.ts'

/** What becomes of a transaction over several databases. */
export type Decision = 'commit' | 'rollback'

/** A row of the table of decisions. */
export interface DecisionRow {
  /** Of the transaction. */
  readonly id: string
  readonly outcome: Decision
  /** The engines that have written. */
  readonly engines: readonly string[]
  /** Milliseconds since the decision. */
  readonly age: number
}

/**
 * Milliseconds. A commit that was not decided by then is not decided any more: the coordinator's own clock refuses it. It only
 * has to be far longer than a commit takes, and than the clocks of two machines differ.
 */
const DECIDABLE = 3_600_000

/** Days. See {@link Decisions.remove}. */
const KEPT = 1

/** Locked while the table is made: `create table if not exists` alone is not safe against itself. */
const ADVISORY_LOCK = 7_274_021_008

/**
 * What has been decided about transactions over several databases: a table on the coordinator engine. Whoever inserts the first
 * row of a transaction has decided it, and everybody obeys that row: the process that commits, and every janitor. A transaction
 * without a row is not committed (presumed abort).
 */
export class Decisions {
  readonly #coordinator: () => Engine
  readonly #application: string
  readonly #table: string
  #identity: Promise<string> | undefined

  /**
   * @param table its name, checked: `name` or `schema.name`
   * @param application whose rows these are; several may share the table
   */
  constructor(coordinator: () => Engine, table: string, application: string) {
    this.#coordinator = coordinator
    this.#application = application
    this.#table = table
      .split('.')
      .map(part => `"${part}"`)
      .join('.')
  }

  /** The name of the engine that it lives on. */
  get engine(): string {
    return this.#coordinator().name
  }

  /** Which table this is, in 8 hexadecimal digits: the same for every process that uses it, also behind another address. */
  identity(): Promise<string> {
    this.#identity ??= this.#with(async lease => {
      const [row] = await this.#run<{ place: string }>(
        lease,
        `select concat_ws(' ', (select system_identifier from pg_control_system()),
          (select oid from pg_database where datname = current_database())) as place`,
      )
      return createHash('sha256').update(`${row?.place} ${this.#table}`).digest('hex').slice(0, 8)
    }).catch(error => {
      this.#identity = undefined
      throw error
    })
    return this.#identity
  }

  /** @throws SQLA_ERR_POOL_TIMEOUT, and what connecting throws */
  acquire(): Promise<Lease> {
    return this.#coordinator().pool.acquire()
  }

  /**
   * Creates the table if it is missing, and proves that the engine's role may use it.
   *
   * @throws SQLA_ERR_TWO_PHASE_UNAVAILABLE
   */
  async open(): Promise<void> {
    await this.identity()
    await this.#with(async lease => {
      try {
        if (!(await this.#isThere(lease))) await this.#create(lease)
        // Fails unless it has the columns and the rights, and changes nothing.
        await this.#run(
          lease,
          `select id, application, outcome, engines, decided_at from ${this.#table} limit 0`,
        )
        await this.#run(
          lease,
          `insert into ${this.#table} (id, application, outcome, engines) select null, null, null, null where false`,
        )
        await this.#run(lease, `delete from ${this.#table} where false`)
      } catch (error) {
        throw new errors.SQLA_ERR_TWO_PHASE_UNAVAILABLE(
          this.engine,
          `the table ${this.#table} of the decisions cannot be used: ${redact(messageOf(error))}. ` +
            'Let its role create it, or create it and grant select, insert and delete',
          { cause: error },
        )
      }
    })
  }

  /**
   * Decides, unless somebody has: then that stands. On disk when this returns, whatever `synchronous_commit` is: of a prepared
   * transaction the server makes sure by itself.
   *
   * @param engines those that have written
   * @param begun when the commit began, in milliseconds since 1970: one that comes too late is refused. A rollback never does.
   * @returns undefined when it came too late
   */
  async decide(
    lease: Lease,
    id: string,
    outcome: Decision,
    engines: readonly string[],
    begun?: number,
  ): Promise<Decision | undefined> {
    const [inserted] = await this.#run<{ outcome: Decision }>(
      lease,
      `with durable as (select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'off' then 'on' else current_setting('synchronous_commit') end, true))
      insert into ${this.#table} (id, application, outcome, engines)
      select $1::uuid, $2::text, $3::text, $4::text[] from durable
      where $5::float8 is null or clock_timestamp() < to_timestamp($5::float8 / 1000)
      on conflict (id) do nothing returning outcome`,
      [id, this.#application, outcome, engines, begun === undefined ? null : begun + DECIDABLE],
    )
    if (inserted !== undefined) return inserted.outcome
    const [known] = await this.#run<{ outcome: Decision }>(
      lease,
      `select outcome from ${this.#table} where id = $1::uuid`,
      [id],
    )
    return known?.outcome
  }

  /** All that have not been removed. */
  list(): Promise<DecisionRow[]> {
    return this.#with(lease =>
      this.#run<DecisionRow>(
        lease,
        `select id::text as id, outcome, engines,
          (extract(epoch from clock_timestamp() - decided_at) * 1000)::float8 as age
        from ${this.#table} where application = $1`,
        [this.#application],
      ),
    )
  }

  /**
   * Forgets decisions to commit that have been carried out everywhere. One that a crash brings back is removed again.
   *
   * A decision to roll back stays for a day, although nothing may be prepared any more: the process that was committing may only
   * be asleep, wake up, prepare the rest and insert its own decision. As long as the row is there, that insert fails; and after
   * an hour ({@link DECIDABLE}) the coordinator refuses it by its clock, wherever the statement has been in the meantime.
   * So the row may go as soon as that hour has passed, and the rest of the day is for clocks that are wrong.
   */
  async remove(ids: readonly string[], lease?: Lease): Promise<void> {
    if (ids.length === 0) return
    const work = (on: Lease) =>
      this.#run(
        on,
        `with quick as (select set_config('synchronous_commit', 'off', true))
        delete from ${this.#table} using quick where id = any($1::uuid[])`,
        [ids],
      )
    await (lease === undefined ? this.#with(work) : work(lease))
  }

  /** Forgets decisions to roll back that nobody can contradict any more; see {@link remove}. */
  async removeExpired(): Promise<void> {
    await this.#with(lease =>
      this.#run(
        lease,
        `delete from ${this.#table} where application = $1 and outcome = 'rollback'
        and decided_at < clock_timestamp() - interval '${KEPT} day'`,
        [this.#application],
      ),
    )
  }

  async #isThere(lease: Lease): Promise<boolean> {
    const [row] = await this.#run<{ found: string | null }>(lease, 'select to_regclass($1)::text as found', [
      this.#table,
    ])
    return row?.found != null
  }

  async #create(lease: Lease): Promise<void> {
    try {
      await lease.begin(['begin', `select pg_advisory_xact_lock(${ADVISORY_LOCK})`])
      await this.#run(
        lease,
        `create table if not exists ${this.#table} (
          id uuid primary key,
          application text not null,
          outcome text not null check (outcome in ('commit', 'rollback')),
          engines text[] not null,
          decided_at timestamptz not null default clock_timestamp()
        )`,
      )
      await lease.commit()
    } catch (error) {
      await lease.rollback().catch(() => {})
      throw error
    }
  }

  async #with<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = await this.acquire()
    try {
      return await work(lease)
    } finally {
      lease.release()
    }
  }

  async #run<Row>(lease: Lease, sql: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await lease.execute<Row>(CompiledQuery.raw(sql, [...parameters]))
    return rows
  }
}
