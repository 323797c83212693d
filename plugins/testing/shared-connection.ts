import { isDeepStrictEqual } from 'node:util'
import type { CompiledQuery, QueryResult } from 'kysely'
import type { Lease, SubstituteScope } from '../../src/index.ts'
import { checkDeferred } from './deferred-constraints.ts'
import { errors } from './errors.ts'
import { localSettingsOf } from './local-settings.ts'
import { RawConnection } from './raw-connection.ts'
import { abortedError, noSavepointError, type Savepoint, SharedTransaction } from './shared-transaction.ts'
import { type SavepointCommand, savepointCommand, transactionCommand } from './transaction-control.ts'
import { Turns } from './turns.ts'

/** Something that was done, and stays unless its transaction is rolled back. */
type Entry = {
  readonly engine: string
  /** Undefined for what an autocommit engine did. */
  readonly transaction: SharedTransaction | undefined
} & (
  | { readonly savepoint: Savepoint }
  | { readonly query: CompiledQuery; readonly answer: QueryResult<unknown> }
)

/** On whose behalf a statement is run. */
export interface Speaker {
  readonly engine: string
  readonly readOnly: boolean
  readonly transaction: SharedTransaction | undefined
}

const READ = /^\s*select\b/i
const NOTHING = { rows: [] }

/**
 * A connection to one database on which a whole test runs, in one transaction that nobody commits. The transactions of sessions
 * are savepoints of it.
 *
 * Savepoints nest, and transactions do not: an audit line that commits by itself must outlive the request's transaction, inside
 * of which it was written here. So there is a journal of what was done since the first transaction began. Rolling one of them back
 * rolls back to its savepoint, and then repeats what others did behind it. Savepoints are released when the last one has ended.
 */
export class SharedConnection {
  readonly turns = new Turns()
  readonly #raw: RawConnection
  readonly #open = new Set<SharedTransaction>()
  #journal: Entry[] = []
  /** The savepoint below all others. */
  #bottom: string | undefined
  #savepoints = 0
  #isOver = false
  /** What went wrong where nobody could be told. */
  readonly problems: Error[] = []

  /** @param lease inside a transaction */
  constructor(lease: Lease) {
    this.#raw = new RawConnection(lease)
  }

  get lease(): Lease {
    return this.#raw.lease
  }

  cancel(who: object): Promise<void> {
    return this.#raw.cancel(who)
  }

  begin(who: object, engine: string, readOnly: boolean): Promise<SharedTransaction> {
    return this.#exclusively(who, engine, async () => {
      const transaction = new SharedTransaction(engine, readOnly)
      if (!readOnly) {
        if (this.#open.size === 0) this.#bottom = this.#nextId()
        await this.#set(transaction, undefined, this.#open.size === 0 ? this.#bottom : undefined)
        this.#open.add(transaction)
      }
      return transaction
    })
  }

  run<R>(who: object, speaker: Speaker, query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#exclusively(who, speaker.engine, async () => {
      const { engine, transaction } = speaker
      if (transaction?.lost !== undefined) throw transaction.lost
      const command = savepointCommand(query.sql)
      if (command !== undefined && transaction !== undefined) {
        await this.#obey(transaction, command)
        return NOTHING as QueryResult<R>
      }
      if (transaction?.hasFailed) throw abortedError()
      const ending = transactionCommand(query.sql)
      if (ending !== undefined) throw new errors.SQLA_ERR_TEST_STATEMENT(engine, ending)
      try {
        return await this.#send<R>(speaker, query)
      } catch (error) {
        if (transaction !== undefined) transaction.hasFailed = true
        throw error
      }
    })
  }

  /** @returns false when it was rolled back, because a statement of it had failed */
  commit(who: object, transaction: SharedTransaction): Promise<boolean> {
    return this.#exclusively(who, transaction.engine, async () => {
      if (transaction.isOver) return true
      const { lost, hasFailed } = transaction
      if (lost !== undefined || hasFailed) {
        await this.#rollBack(transaction)
        if (lost !== undefined) throw lost
        return false
      }
      try {
        // What others have not finished yet may violate them for now.
        if (this.#open.size === 1 && !transaction.readOnly) await checkDeferred(this.#raw)
        await transaction.restoreSettings(this.#raw)
      } catch (error) {
        await this.#rollBack(transaction)
        throw error
      }
      await this.#leave(transaction)
      return true
    })
  }

  rollback(who: object, transaction: SharedTransaction): Promise<void> {
    return this.#raw.exclusively(who, async () => {
      if (!transaction.isOver && !this.#isOver && this.#raw.isOpen) await this.#rollBack(transaction)
      transaction.isOver = true
    })
  }

  /** Rolls the shared transaction back and gives the connection back. What still runs is cancelled. */
  async end(): Promise<void> {
    this.#isOver = true
    this.turns.open()
    void this.#raw.cancel()
    await this.#raw.exclusively(this, async () => {
      for (const transaction of this.#open) transaction.isOver = true
      const { lease } = this
      try {
        if (lease.inTransaction) await lease.rollback()
      } catch {
        // The lease tells its pool by itself that it is not clean, and the server rolls back.
      } finally {
        lease.release()
      }
    })
  }

  #exclusively<T>(who: object, engine: string, work: () => Promise<T>): Promise<T> {
    return this.#raw.exclusively(who, async () => {
      this.assertUsable(engine)
      try {
        return await work()
      } finally {
        if (!this.#raw.isOpen) this.problems.push(new errors.SQLA_ERR_TEST_ENDED(engine))
      }
    })
  }

  /** @param asking who is told */
  assertUsable(engine: string, asking?: SubstituteScope): void {
    if (this.#isOver) throw new errors.SQLA_ERR_TEST_OVER(asking?.label() ?? 'A session', engine)
    const ended = this.problems.find(problem => problem instanceof errors.SQLA_ERR_TEST_ENDED)
    if (ended !== undefined) throw ended
  }

  async #send<R>(speaker: Speaker, query: CompiledQuery): Promise<QueryResult<R>> {
    const { engine, transaction } = speaker
    const readOnly = speaker.readOnly || (transaction?.readOnly ?? false)
    // A statement outside of a transaction is one by itself.
    const scope = transaction ?? new SharedTransaction(engine, readOnly)
    await scope.noteSettings(this.#raw, localSettingsOf(query.sql, query.parameters))
    const isAlone = !readOnly && this.#open.size === 0
    const answer = await this.#raw.send<R>(query, {
      readOnly,
      undoes: readOnly && transaction === undefined,
      behind: isAlone ? () => checkDeferred(this.#raw) : undefined,
    })
    if (transaction === undefined && !readOnly) await scope.restoreSettings(this.#raw)
    if (!readOnly && this.#open.size > 0) {
      // The rows are the caller's, who may change them.
      this.#journal.push({ engine, transaction, query, answer: { ...answer, rows: copied(answer.rows) } })
    }
    return answer
  }

  async #obey(transaction: SharedTransaction, { is, name }: SavepointCommand): Promise<void> {
    if (is === 'rollback') {
      const savepoint = known(transaction, name)
      if (!transaction.readOnly) await this.#undo(transaction, savepoint)
      transaction.cutBehind(savepoint)
      transaction.hasFailed = false
      return
    }
    if (transaction.hasFailed) throw abortedError()
    if (is === 'savepoint') {
      await this.#set(transaction, name)
      return
    }
    const savepoint = known(transaction, name)
    // On the server it stays for now: others may have savepoints behind it.
    transaction.savepoints = transaction.savepoints.slice(0, transaction.savepoints.indexOf(savepoint))
  }

  #nextId(): string {
    this.#savepoints++
    return `sqlassist_${this.#savepoints}`
  }

  async #set(
    transaction: SharedTransaction,
    name: string | undefined,
    id: string = this.#nextId(),
  ): Promise<void> {
    const savepoint = { name, id, from: this.#journal.length }
    if (!transaction.readOnly) {
      await this.#raw.exec(`savepoint ${id}`)
      this.#journal.push({ engine: transaction.engine, transaction, savepoint })
    }
    transaction.savepoints.push(savepoint)
  }

  async #rollBack(transaction: SharedTransaction): Promise<void> {
    const [start] = transaction.savepoints
    transaction.isOver = true
    if (transaction.readOnly) await transaction.restoreSettings(this.#raw)
    else if (start !== undefined) await this.#undo(transaction, start)
    await this.#leave(transaction)
  }

  async #leave(transaction: SharedTransaction): Promise<void> {
    transaction.isOver = true
    this.#open.delete(transaction)
    if (this.#open.size > 0 || this.#bottom === undefined) return
    const bottom = this.#bottom
    this.#bottom = undefined
    this.#journal = []
    await this.#raw.exec(`release savepoint ${bottom}`)
  }

  /** Rolls back to a savepoint; what others have done behind it is done again. */
  async #undo(transaction: SharedTransaction, savepoint: Savepoint): Promise<void> {
    await this.#raw.exec(`rollback to savepoint ${savepoint.id}`)
    const undone = this.#journal.splice(savepoint.from)
    const [itself] = undone
    if (itself !== undefined) this.#journal.push(itself)
    for (const entry of undone) {
      if (entry.transaction !== transaction) await this.#repeat(entry, transaction.engine)
    }
  }

  /** @param because the engine whose transaction was rolled back */
  async #repeat(entry: Entry, because: string): Promise<void> {
    const { engine, transaction } = entry
    const isOpen = transaction !== undefined && !transaction.isOver
    if ('savepoint' in entry) {
      const { savepoint } = entry
      if (!isOpen || !transaction.savepoints.includes(savepoint)) return
      savepoint.id = this.#nextId()
      savepoint.from = this.#journal.length
      await this.#raw.exec(`savepoint ${savepoint.id}`)
      this.#journal.push(entry)
      return
    }
    try {
      const answer = await this.#raw.send(entry.query)
      this.#journal.push(entry)
      if (!isOpen || READ.test(entry.query.sql) || isDeepStrictEqual(answer, entry.answer)) return
      transaction.lost = new errors.SQLA_ERR_TEST_OVERLAP(engine, because)
    } catch (cause) {
      if (isOpen) transaction.lost = new errors.SQLA_ERR_TEST_OVERLAP(engine, because, { cause })
      else this.problems.push(new errors.SQLA_ERR_TEST_REPEAT(engine, String(cause), { cause }))
    }
  }
}

/** @throws what the server says when there is none, which ends the transaction as any error does */
function known(transaction: SharedTransaction, name: string): Savepoint {
  const savepoint = transaction.find(name)
  if (savepoint !== undefined) return savepoint
  transaction.hasFailed = true
  throw noSavepointError(name)
}

function copied(rows: readonly unknown[]): unknown[] {
  return rows.map(row => (typeof row === 'object' && row !== null ? { ...row } : row))
}
