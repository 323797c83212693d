import { CompiledQuery } from 'kysely'
import type { ConnectionPool, Lease, Trailer } from '../engines/connection-pool.ts'
import { errors } from '../errors.ts'
import { isInDoubt } from './commit-outcome.ts'
import type { Decision } from './decisions.ts'

/** Where a {@link Branch} lives. */
export interface BranchContext {
  /** The engine's name. */
  readonly name: string
  readonly pool: Pick<ConnectionPool, 'acquire'>
  readonly commitTrailer?: Trailer | undefined
}

/**
 * One database's part of a transaction over several (X/Open calls it a branch), from before PREPARE TRANSACTION until its outcome.
 * It belongs to no session any more: closing one must not undo what has been decided.
 */
export class Branch {
  readonly #context: BranchContext
  readonly #convertError: (error: unknown) => unknown
  readonly gid: string
  #lease: Lease | undefined
  /** `lost`: the server may have prepared it or not. `refused`: it has rolled back by itself. */
  #state: 'open' | 'prepared' | 'lost' | 'refused' = 'open'

  /**
   * @param lease the connection with the open transaction; the branch gives it back
   * @param convertError gives an error that the database threw the class that MikroORM has for it
   */
  constructor(gid: string, lease: Lease, context: BranchContext, convertError: (error: unknown) => unknown) {
    this.gid = gid
    this.#lease = lease
    this.#context = context
    this.#convertError = convertError
  }

  /** The engine's name. */
  get name(): string {
    return this.#context.name
  }

  /** Its connection, which is inside no transaction once it is prepared; undefined when that has been lost. */
  get lease(): Lease | undefined {
    return this.#lease
  }

  /** Whether the server may still prepare it, behind our back. */
  get isLost(): boolean {
    return this.#state === 'lost'
  }

  /**
   * The last step that may fail: deferred constraints are checked here.
   *
   * @throws SQLA_ERR_COMMIT_ROLLED_BACK when an earlier statement had failed; what the server says
   */
  async prepare(): Promise<void> {
    const lease = this.#lease as Lease
    try {
      const isPrepared = await lease.prepare(this.gid)
      this.#state = isPrepared ? 'prepared' : 'refused'
    } catch (error) {
      this.#state = isLost(error) ? 'lost' : 'refused'
      if (this.#state === 'lost') this.lose()
      throw this.#convertError(error)
    }
    if (this.#state === 'refused') throw new errors.SQLA_ERR_COMMIT_ROLLED_BACK(this.name)
  }

  /** Its connection is good for nothing any more. */
  lose(): void {
    this.#lease?.release(true)
    this.#lease = undefined
  }

  /** @returns when it is committed, by us or by a janitor that knew the decision */
  async commit(): Promise<void> {
    await this.#finish('commit')
    const { commitTrailer } = this.#context
    if (commitTrailer === undefined || this.#lease === undefined) return
    try {
      // COMMIT PREPARED must be alone in its message.
      const { rows } = await this.#lease.execute<Record<string, unknown>>(
        CompiledQuery.raw(commitTrailer.sql),
      )
      if (rows[0] !== undefined) commitTrailer.receive(rows[0], this.#lease)
    } catch (error) {
      // It is committed all the same.
      process.emitWarning(error as Error)
    }
  }

  async rollback(): Promise<void> {
    // A connection that is given back inside a transaction is closed, and the server rolls back.
    if (this.#state === 'open') await this.#lease?.rollback()
    else if (this.#state !== 'refused') await this.#finish('rollback')
  }

  release(): void {
    this.#lease?.release()
    this.#lease = undefined
  }

  /** Once more on another connection when the first has been lost; who gets no answer there either leaves it to the janitor. */
  async #finish(outcome: Decision): Promise<void> {
    if (this.#lease !== undefined) {
      try {
        await finishPrepared(this.#lease, outcome, this.gid)
        return
      } catch (error) {
        if (!isLost(error)) throw error
        this.lose()
      }
    }
    this.#lease = await this.#context.pool.acquire()
    await finishPrepared(this.#lease, outcome, this.gid)
  }
}

/**
 * Commits or rolls back a prepared transaction. One that is gone has been ended by somebody who knew the same decision.
 *
 * @param gid its name, one of `branchName`
 * @returns whether it was there
 */
export async function finishPrepared(lease: Lease, outcome: Decision, gid: string): Promise<boolean> {
  try {
    // No parameters here; of the names that we give none has a quote or a backslash.
    await lease.execute(CompiledQuery.raw(`${outcome} prepared '${gid.replaceAll("'", "''")}'`))
    return true
  } catch (error) {
    // undefined_object
    if ((error as { code?: unknown }).code === '42704') return false
    throw error
  }
}

const HAS_ID = CompiledQuery.raw('select pg_current_xact_id_if_assigned() is not null as is')

/** Whether the transaction that is open on a connection has been given an id, as one is that writes; a failed one may have been. */
export async function hasId(lease: Lease): Promise<boolean> {
  try {
    const { rows } = await lease.execute<{ is: boolean }>(HAS_ID)
    return rows[0]?.is !== false
  } catch (error) {
    // in_failed_sql_transaction
    if ((error as { code?: unknown }).code === '25P02') return true
    throw error
  }
}

/** Whether nobody has answered, so that it is open whether the server has done it. */
export function isLost(error: unknown): boolean {
  const { cause } = error as { cause?: unknown }
  // A pool that follows a primary says so in words of ours.
  return isInDoubt(error) || (cause !== undefined && cause !== null && isInDoubt(cause))
}
