import { errors } from '../errors.ts'
import type { DataManager } from './data-manager.ts'
import type { CommitStep, Participant, ParticipantSavepoint } from './participant.ts'

/** How often the callbacks before a commit may ask for another round of callbacks. */
const MOST_ROUNDS = 100

/** Who has a {@link RequestTransaction}: the container of a request. */
export interface TransactionHolder {
  /** As a message names it: `POST /notes`. */
  label(): string
  /** The sessions that have joined, in the order in which they commit. */
  participants(): readonly Participant[]
  commit(): Promise<void>
  onCommit(callback: () => unknown): void
  onRollback(callback: () => unknown): void
}

/** What {@link RequestTransaction.savepoint} answers. */
export interface Savepoint {
  /**
   * Undoes what the request has done since in all joined sessions, and forgets their entities. The request goes on, and may roll
   * back to the same savepoint again.
   */
  rollback(): Promise<void>
  /** The savepoint is not needed any more; what has been done since stays a part of the request's transaction. */
  release(): Promise<void>
}

/**
 * `request.db.transaction`: everything that a request writes, as one transaction. Each session of an engine that writes joins it
 * when it is first asked for, unless the engine says `join: false`.
 */
export class RequestTransaction {
  readonly #holder: TransactionHolder
  readonly #managers: DataManager[] = []
  #beforeCommit: (() => unknown)[] = []
  #isDoomed = false
  #savepoints = 0

  constructor(holder: TransactionHolder) {
    this.#holder = holder
  }

  /** Whether this request can only roll back. */
  get isDoomed(): boolean {
    return this.#isDoomed
  }

  /**
   * From now on this request can only roll back: the commit rule does, whatever the response is, and a commit by hand throws
   * `SQLA_ERR_TRANSACTION_DOOMED`. The response stays what it is.
   */
  doom(): void {
    this.#isDoomed = true
  }

  /** Something else that is to have the same outcome; see {@link DataManager}. */
  join(manager: DataManager): void {
    for (const method of ['commit', 'rollback'] as const) {
      if (typeof manager?.[method] !== 'function') {
        throw new errors.SQLA_ERR_INVALID_OPTION(`transaction.join: ${method}`, 'must be a function')
      }
    }
    if (!this.#managers.includes(manager)) this.#managers.push(manager)
  }

  /**
   * Flushes all that has joined, asks for votes, then commits: any failure until then rolls everything back.
   *
   * @throws SQLA_ERR_TRANSACTION_DOOMED, SQLA_ERR_PARTIAL_COMMIT; what a flush, a vote or the first COMMIT throws
   */
  commit(): Promise<void> {
    return this.#holder.commit()
  }

  /**
   * Runs `callback` when the request commits, before anything is flushed. It may write, and register further ones: they run as
   * well, until there is none left. What it throws rolls everything back.
   */
  onBeforeCommit(callback: () => unknown): void {
    this.#beforeCommit.push(callback)
  }

  /** Runs `callback` once everything has been committed; the same as `request.db.onCommit`. */
  onCommit(callback: () => unknown): void {
    this.#holder.onCommit(callback)
  }

  /** Runs `callback` once it is certain that nothing will be committed; the same as `request.db.onRollback`. */
  onRollback(callback: () => unknown): void {
    this.#holder.onRollback(callback)
  }

  /**
   * A savepoint over all sessions that have joined. What is pending is flushed into it.
   *
   * @throws SQLA_ERR_NO_SAVEPOINT when a data manager has joined that has none
   *
   * @example
   * ```ts
   * const savepoint = await request.db.transaction.savepoint()
   * try {
   *   await importRow(request.db, row)
   *   await savepoint.release()
   * } catch {
   *   await savepoint.rollback() // of this row, in every database
   * }
   * ```
   */
  async savepoint(): Promise<Savepoint> {
    const incapable = this.#managers.find(manager => manager.savepoint === undefined)
    if (incapable !== undefined) throw new errors.SQLA_ERR_NO_SAVEPOINT(incapable.name)
    this.#savepoints++
    const name = `sqlassist_${this.#savepoints}`
    const marks = new Map<Participant, ParticipantSavepoint | undefined>()
    for (const participant of this.#holder.participants()) {
      marks.set(participant, await participant.savepoint(name))
    }
    const managers = this.#managers.slice()
    const remembered = await Promise.all(managers.map(manager => manager.savepoint?.()))
    const callbacks = this.#beforeCommit.slice()
    return {
      rollback: async () => {
        for (const participant of this.#holder.participants()) {
          // Where nothing had begun, everything has happened since.
          await (marks.get(participant) ?? participant).rollback()
        }
        for (const mark of remembered) await mark?.rollback()
        // Whoever has joined since has nothing left to do.
        for (const manager of this.#managers.splice(0)) {
          if (managers.includes(manager)) this.#managers.push(manager)
          else await manager.rollback()
        }
        this.#beforeCommit = callbacks.slice()
      },
      release: async () => {
        for (const mark of marks.values()) await mark?.release()
      },
    }
  }

  /** For the holder: whether there is anything besides its sessions that a commit concerns. */
  get hasWork(): boolean {
    return this.#managers.length > 0 || this.#beforeCommit.length > 0
  }

  /** For the holder: runs what is to run before a commit, and flushes, until nothing is left. */
  async runBeforeCommit(flush: () => Promise<void>): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      for (const callback of this.#beforeCommit.splice(0)) await callback()
      await flush()
      // A callback or a subscriber of the flush may have registered another.
      if (this.#beforeCommit.length === 0) return
    }
    throw new errors.SQLA_ERR_ENDLESS_COMMIT(this.#holder.label(), MOST_ROUNDS)
  }

  /** For the holder: asks those who can say beforehand. */
  async vote(): Promise<void> {
    for (const manager of this.#managers) await manager.vote?.()
  }

  /** For the holder: what commits when the sessions have, those that had no vote last. */
  committing(): readonly DataManager[] {
    return [...this.#managers.filter(({ vote }) => vote), ...this.#managers.filter(({ vote }) => !vote)]
  }

  /** For the holder: what has been committed cannot be rolled back any more. */
  leave(step: CommitStep): void {
    const place = this.#managers.indexOf(step as DataManager)
    if (place !== -1) this.#managers.splice(place, 1)
  }

  /**
   * For the holder: rolls back whatever else has joined.
   *
   * @returns what could not be
   */
  async rollback(): Promise<unknown[]> {
    this.#beforeCommit = []
    const failures: unknown[] = []
    for (const manager of this.#managers.splice(0).reverse()) {
      try {
        await manager.rollback()
      } catch (error) {
        failures.push(error)
      }
    }
    return failures
  }
}
