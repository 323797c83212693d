import { CompiledQuery, type QueryResult } from 'kysely'
import type { Lease } from '../../src/index.ts'

/** How a statement is run that must not abort the transaction around it. */
export interface SendOptions {
  /** The server refuses to write. */
  readonly readOnly?: boolean
  /** Nothing that it does stays. */
  readonly undoes?: boolean
  /** Runs inside the same savepoint, behind it. */
  readonly behind?: (() => Promise<void>) | undefined
}

const STATEMENT = 'sqlassist_statement'

/**
 * The connection under a shared transaction. One thing at a time is done on it, and a statement that fails leaves the
 * transaction as it was: each has a savepoint of its own.
 */
export class RawConnection {
  readonly lease: Lease
  #turn: Promise<unknown> = Promise.resolve()
  #cancelling: Promise<void> | undefined
  /** On whose behalf something is done right now. */
  #current: object | undefined

  constructor(lease: Lease) {
    this.lease = lease
  }

  /** Whether the shared transaction is still open. */
  get isOpen(): boolean {
    return this.lease.inTransaction
  }

  /** Runs `work` when nothing else is done on the connection. @param who may cancel it */
  exclusively<T>(who: object, work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => {
      this.#current = who
      try {
        return await work()
      } finally {
        this.#current = undefined
      }
    })
    this.#turn = result.catch(() => {})
    return result
  }

  /** Cancels what is done on behalf of `who`; without, whatever is done. */
  async cancel(who?: object): Promise<void> {
    if (this.#current === undefined || (who !== undefined && this.#current !== who)) return
    this.#cancelling = this.lease.cancel()
    await this.#cancelling
  }

  /** Runs a statement of ours. */
  async exec(sql: string): Promise<void> {
    await this.lease.execute(CompiledQuery.raw(sql))
  }

  /** Runs a statement in a savepoint of its own. When it fails, the transaction is as it was. */
  async send<R>(query: CompiledQuery, options: SendOptions = {}): Promise<QueryResult<R>> {
    await this.exec(`savepoint ${STATEMENT}`)
    try {
      if (options.readOnly) await this.exec('set transaction read only')
      const answer = await this.lease.execute<R>(query)
      await options.behind?.()
      if (this.isOpen) await this.#leave(options.undoes ?? false)
      return answer
    } catch (error) {
      // What cannot be rolled back is lost with its connection, and so is the whole transaction: the first error tells more.
      if (this.isOpen) await this.#leave(true).catch(() => {})
      throw error
    }
  }

  async #leave(undoes: boolean): Promise<void> {
    // A cancel that is on its way must not hit the next statement.
    await this.#cancelling
    this.#cancelling = undefined
    if (undoes) await this.exec(`rollback to savepoint ${STATEMENT}`)
    await this.exec(`release savepoint ${STATEMENT}`)
  }
}
