import type { SqlEm } from '../../src/index.ts'
import type { Datastore } from './datastore.ts'
import { errors } from './errors.ts'
import { dialectOf } from './recorders/dialect.ts'
import { Moves } from './recorders/moves.ts'
import type { EventTable } from './tables.ts'

/** Where a checkpoint is. */
export interface CheckpointParts {
  readonly datastore: Datastore
  /** The tracking table. */
  readonly table: EventTable
  /** Whose it is. */
  readonly name: string
}

/**
 * How far a follower has come: its row of the tracking table. It is moved only by whoever knows where it is, so that of several
 * that do the same work one gets through, and what the others have done is rolled back. A tracking recorder, which only
 * looks whether it moves forward, is not enough for those who do many events at once.
 */
export class Checkpoint {
  readonly #parts: CheckpointParts
  readonly #moves: Moves

  constructor(parts: CheckpointParts) {
    this.#parts = parts
    this.#moves = Moves.of(parts.datastore.engine, parts.table)
  }

  /** The same, in the transaction of a session. */
  at(session: SqlEm): Checkpoint {
    return new Checkpoint({ ...this.#parts, datastore: this.#parts.datastore.at(session) })
  }

  /** @returns undefined when nobody has begun */
  async read(): Promise<number | undefined> {
    const { datastore, table, name } = this.#parts
    const rows: { position: number | string }[] = await datastore.run(em =>
      em.execute(`select notification_id as position from ${table.sql} where application_name = ?`, [name]),
    )
    return rows[0] === undefined ? undefined : Number(rows[0].position)
  }

  /** Begins at 0. @returns false when somebody has begun */
  async begin(): Promise<boolean> {
    const { datastore, table, name } = this.#parts
    const isMySql = dialectOf(datastore.em) === 'mysql'
    const [ignore, otherwise] = isMySql ? ['ignore ', ''] : ['', ' on conflict do nothing']
    const rows = await this.#change(
      `insert ${ignore}into ${table.sql} (application_name, notification_id) values (?, 0)${otherwise}`,
      [name],
    )
    return rows === 1
  }

  /**
   * Moves on. Whoever else wants to waits until this transaction has ended, and is refused then.
   *
   * @param from where it must be
   * @throws SQLA_ERR_TRACKING_CONFLICT when it is elsewhere
   */
  async move(from: number, to: number): Promise<void> {
    const { datastore, table, name } = this.#parts
    const rows = await this.#change(
      `update ${table.sql} set notification_id = ? where application_name = ? and notification_id = ?`,
      [to, name, from],
    )
    if (rows !== 1) throw new errors.SQLA_ERR_TRACKING_CONFLICT(name, to)
    datastore.afterCommit(() => this.#moves.tell(name))
  }

  /** As if nobody had begun. */
  async forget(): Promise<void> {
    const { table, name } = this.#parts
    await this.#change(`delete from ${table.sql} where application_name = ?`, [name])
  }

  /** Creates the tracking table, if it is missing; two processes may do so at once. */
  async createTable(): Promise<void> {
    const { datastore, table } = this.#parts
    const dialect = dialectOf(datastore.em)
    const name = dialect === 'mysql' ? 'varchar(255) character set utf8mb4 collate utf8mb4_bin' : 'text'
    await datastore.together(async em => {
      if (dialect === 'postgresql') await em.execute('select pg_advisory_xact_lock(hashtext(?))', [table.sql])
      await em.execute(
        `create table if not exists ${table.sql} (application_name ${name} not null primary key, notification_id bigint not null)`,
      )
    })
  }

  async #change(sql: string, parameters: readonly unknown[]): Promise<number> {
    const { affectedRows } = await this.#parts.datastore.run(
      em => em.execute(sql, [...parameters], 'run') as Promise<{ affectedRows: number }>,
    )
    return affectedRows
  }
}
