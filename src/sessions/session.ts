import type { Engine } from '../engines/engine.ts'
import { errors } from '../errors.ts'
import { sessionClose, sessionCommit, sessionRollback, sessionStart } from '../observe/channels.ts'
import type { SessionMessage } from '../observe/messages.ts'
import { Branch } from '../transactions/branch.ts'
import type { Participant, ParticipantSavepoint } from '../transactions/participant.ts'
import type { TwoPhaseSession } from '../transactions/two-phase.ts'
import type { ConnectionContext } from './connection.ts'
import type { Container } from './container.ts'
import { announceCommit, bindSession, commitContext, rollbackContext, type SqlEm } from './entity-manager.ts'
import { ReadRoute } from './read-route.ts'
import { factoryOf } from './session-factory.ts'
import { LazyTransaction, NoTransaction } from './session-transaction.ts'
import { StatementConnection } from './statement-connection.ts'
import { SubstituteContext } from './substitute-context.ts'
import { TransactionConnection } from './transaction-connection.ts'
import { WriteTrack } from './write-track.ts'

/** One engine's session of one request: its EntityManager and the connection under it. */
export class Session implements Participant, TwoPhaseSession {
  readonly engine: Engine
  readonly container: Container
  readonly em: SqlEm
  readonly connection: TransactionConnection | StatementConnection
  readonly #context: ConnectionContext
  readonly #transaction: LazyTransaction | NoTransaction
  #afterCommit: (() => void)[] | undefined
  /** When a commit in two phases began, in milliseconds of `performance.now()`. */
  #committingSince = 0

  constructor(engine: Engine, container: Container) {
    this.engine = engine
    this.container = container
    const { parts, forkEntityManager } = factoryOf(engine)
    const context = contextOf(engine, container)
    this.#context = context
    if (engine.hasTransaction && !container.owner.autocommit) {
      const connection = new TransactionConnection(context, container.owner)
      this.connection = connection
      this.#transaction = new LazyTransaction(parts, connection)
    } else {
      const connection = new StatementConnection(context, container.owner)
      this.connection = connection
      this.#transaction = new NoTransaction(parts, connection)
    }
    this.em = forkEntityManager()
    this.em.setTransactionContext(this.#transaction)
    bindSession(this.em, this)
    if (sessionStart.hasSubscribers) sessionStart.publish(this.#message)
  }

  get #message(): SessionMessage {
    const { engine, em } = this
    return { source: engine.source, scope: this.container.owner, engine: engine.name, session: em }
  }

  /** Runs what ends the transaction, and tells of it if there is one. */
  async #observed(channel: typeof sessionCommit, end: () => Promise<void>): Promise<void> {
    const isOpen = this.#transaction instanceof LazyTransaction && this.connection.holding
    if (!isOpen) return end()
    const from = performance.now()
    let failure: { readonly error: unknown } | undefined
    try {
      await end()
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      this.#tellEnd(channel, from, failure?.error)
    }
  }

  #tellEnd(channel: typeof sessionCommit, from: number, error: unknown): void {
    channel.publish({ ...this.#message, duration: performance.now() - from, error })
  }

  get name(): string {
    return this.engine.name
  }

  /** Whether it is a part of the request's transaction: a commit or rollback of that concerns it. */
  get isJoined(): boolean {
    return this.engine.joins && this.#transaction instanceof LazyTransaction
  }

  get isOpen(): boolean {
    return this.connection.holding
  }

  async flush(): Promise<void> {
    await this.em.flush()
  }

  commit(): Promise<void> {
    return this.commitFlushed()
  }

  #assertNotDoomed(): void {
    if (this.isJoined && this.container.isDoomed) {
      throw new errors.SQLA_ERR_TRANSACTION_DOOMED(this.container.owner.label())
    }
  }

  /** Commits what was flushed; does nothing where no statement began a transaction. */
  async commitFlushed(): Promise<void> {
    this.#assertNotDoomed()
    if (this.#transaction instanceof NoTransaction || !this.connection.holding) return
    const callbacks = this.#afterCommit
    this.#afterCommit = undefined
    await (sessionCommit.hasSubscribers
      ? this.#observed(sessionCommit, () => this.#commitOpen())
      : this.#commitOpen())
    for (const callback of callbacks ?? []) callback()
  }

  #commitOpen(): Promise<void> {
    return commitContext(this.em, this.#transaction)
  }

  async announceCommit(): Promise<void> {
    this.#assertNotDoomed()
    this.#committingSince = performance.now()
    await announceCommit(this.em, this.#transaction, 'before')
  }

  async hasWritten(): Promise<boolean> {
    return 'hasWritten' in this.connection && this.connection.hasWritten()
  }

  async commitAlone(): Promise<void> {
    if (this.#transaction instanceof LazyTransaction) await this.#transaction.commit().execute()
  }

  async branch(gid: string): Promise<Branch> {
    const lease = 'handOver' in this.connection ? await this.connection.handOver() : undefined
    if (lease === undefined) {
      throw new errors.SQLA_ERR_SESSION_CLOSED(this.name, this.container.owner.label())
    }
    return new Branch(gid, lease, this.#context, factoryOf(this.engine).parts.convertError)
  }

  async announceCommitted(): Promise<void> {
    const callbacks = this.#afterCommit
    this.#afterCommit = undefined
    try {
      await announceCommit(this.em, this.#transaction, 'after')
    } finally {
      if (sessionCommit.hasSubscribers) this.#tellEnd(sessionCommit, this.#committingSince, undefined)
      for (const callback of callbacks ?? []) callback()
    }
  }

  /** See {@link afterCommit}. */
  afterCommit(callback: () => void): void {
    if (!(this.#transaction instanceof LazyTransaction)) {
      callback()
      return
    }
    this.#afterCommit ??= []
    this.#afterCommit.push(callback)
  }

  /**
   * Rolls back and forgets every entity. What the identity map holds is no longer what the database holds, and
   * a change that was pending must not be saved by a later flush.
   */
  async rollback(): Promise<void> {
    this.#afterCommit = undefined
    try {
      await (sessionRollback.hasSubscribers
        ? this.#observed(sessionRollback, () => this.#rollBack())
        : this.#rollBack())
    } finally {
      this.em.clear()
    }
  }

  async #rollBack(): Promise<void> {
    try {
      if (this.#transaction instanceof LazyTransaction && this.connection.holding) {
        await rollbackContext(this.em, this.#transaction)
      }
    } finally {
      // Had a subscriber kept MikroORM from it, the transaction would still be open.
      if (this.connection instanceof TransactionConnection) await this.connection.rollback()
    }
  }

  async savepoint(name: string): Promise<ParticipantSavepoint | undefined> {
    await this.em.flush()
    const transaction = this.#transaction
    if (transaction instanceof NoTransaction || !this.connection.holding) return undefined
    await transaction.savepoint(name).execute()
    return {
      rollback: async () => {
        await transaction.sessionConnection.endStream()
        // It may have been committed or rolled back by hand since.
        if (this.connection.holding) await transaction.rollbackToSavepoint(name).execute()
        this.em.clear()
      },
      release: async () => {
        if (this.connection.holding) await transaction.releaseSavepoint(name).execute()
      },
    }
  }

  close(): Promise<void> {
    if (sessionClose.hasSubscribers) sessionClose.publish(this.#message)
    return sessionRollback.hasSubscribers
      ? this.#observed(sessionRollback, () => this.connection.close())
      : this.connection.close()
  }
}

/** An engine, and what routing has to do with it. */
function contextOf(engine: Engine, container: Container): ConnectionContext {
  const { replicaSet, substitute, system } = engine
  if (substitute !== undefined) return new SubstituteContext(engine, substitute, container.owner)
  if (replicaSet !== undefined) return new ReadRoute(engine, replicaSet, container.causality, container.owner)
  return system === undefined || engine.readOnly
    ? engine
    : new WriteTrack(engine, system, container.causality)
}
