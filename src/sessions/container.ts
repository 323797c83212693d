import type { Engine } from '../engines/engine.ts'
import type { Registry } from '../engines/registry.ts'
import { errors } from '../errors.ts'
import { kPlace, type Listed, type LiveList } from '../live-list.ts'
import type { Logger } from '../logger.ts'
import { outcomes } from '../observe/channels.ts'
import type { OutcomeMessage } from '../observe/messages.ts'
import type { CommitStep } from '../transactions/participant.ts'
import { RequestTransaction } from '../transactions/request-transaction.ts'
import type { TwoPhase } from '../transactions/two-phase.ts'
import { type CausalContext, Causality, type CausalOrigin, type FreshToken } from './causality.ts'
import type { SqlEm } from './entity-manager.ts'
import { Session } from './session.ts'

/** What became of an engine in a request: not used, in use, used and cleaned up. */
export type SessionStatus = 'INIT' | 'START' | 'END'

/** Who a container belongs to. */
export interface ContainerOwner extends CausalOrigin {
  /** As a message names it: `POST /notes`. */
  label(): string
  /** The Fastify request, if the container is one's. */
  readonly request: unknown
  /** Whether the commit rule is at work. */
  readonly isEnding: boolean
  /** Whether its sessions have no transaction, whatever their engines say. */
  readonly autocommit?: boolean
  readonly log: Logger
}

/** What the containers of one plugin instance share. */
export interface ContainerContext {
  /** What diagnostic messages name as their source. */
  readonly source: object
  readonly registry: Registry
  readonly anyPreferences: readonly string[]
  /** Every container that has been opened and not been closed. */
  readonly open: LiveList<Container>
  readonly causal: CausalContext
  /** Commits what a request has written to several databases; undefined when each commits by itself. */
  readonly twoPhase?: TwoPhase | undefined
}

type Callback = () => unknown

const CLOSED = Promise.resolve()

/**
 * The sessions of one request (or of one scope outside requests): `request.db`. A session comes into being when
 * it is first asked for, and costs no connection until its first statement.
 */
export class Container implements Listed {
  [kPlace] = -1
  readonly owner: ContainerOwner
  readonly #context: ContainerContext
  /** In the order in which they were asked for; few, so a list is the fastest map. */
  readonly #sessions: Session[] = []
  #onCommit: Callback[] | undefined
  #onRollback: Callback[] | undefined
  #closing: Promise<void> | undefined
  #causality: Causality | undefined
  #transaction: RequestTransaction | undefined

  constructor(context: ContainerContext, owner: ContainerOwner) {
    this.#context = context
    this.owner = owner
    context.open.add(this)
  }

  /** The session of the engine `name`, or of the default engine. */
  get(name?: string): SqlEm {
    const engine = this.#context.registry.get(name)
    const known = this.#find(engine.name)
    if (known !== undefined) return known.em
    if (this.#closing !== undefined) {
      throw new errors.SQLA_ERR_SESSION_CLOSED(engine.name, this.owner.label())
    }
    const session = new Session(engine, this)
    this.#sessions.push(session)
    return session.em
  }

  /** An already started one of `anyPreferences`, else the first of them that is an engine. */
  getAny(): SqlEm {
    const { anyPreferences, registry } = this.#context
    for (const name of anyPreferences) {
      const session = this.#find(name)
      if (session !== undefined) return session.em
    }
    const first = anyPreferences.find(name => registry.has(name))
    if (first === undefined) {
      throw new errors.SQLA_ERR_NO_CANDIDATE_ENGINE(anyPreferences.join(', '), registry.names().join(', '))
    }
    return this.get(first)
  }

  get any(): SqlEm {
    return this.getAny()
  }

  getReader(): SqlEm {
    return this.get('reader')
  }

  getWriter(): SqlEm {
    return this.get('writer')
  }

  getLogger(): SqlEm {
    return this.get('logger')
  }

  get status(): Record<string, SessionStatus> {
    const status: Record<string, SessionStatus> = {}
    for (const name of this.#context.registry.names()) {
      status[name] = this.#find(name) === undefined ? 'INIT' : this.#closing === undefined ? 'START' : 'END'
    }
    return status
  }

  /** For whoever decides about it: tells what has been decided. */
  tellOutcome(outcome: OutcomeMessage['outcome'], reason: string): void {
    outcomes.publish({ source: this.#context.source, scope: this.owner, outcome, reason })
  }

  /** What this request has seen and must see; made when a session needs it. */
  get causality(): Causality {
    this.#causality ??= new Causality(this.#context.causal, this.owner)
    return this.#causality
  }

  /** The causal token of what this request has brought along, committed and read so far. */
  get token(): string | undefined {
    return this.causality.token
  }

  /** The token, if it says more than the one that came with the request. */
  get freshToken(): FreshToken | undefined {
    return this.#causality?.freshToken
  }

  /** The request that the container belongs to; undefined for a scope outside requests. */
  get request(): unknown {
    return this.owner.request
  }

  /** Flushes and commits every transactional session of this request, in the order the engines were registered. */
  async commit(): Promise<void> {
    await this.commitWhere(() => true)
  }

  /** Rolls back every transactional session of this request and forgets its entities. */
  async rollback(): Promise<void> {
    const sessions = this.#sessions.slice().filter(session => session.isJoined)
    const outcomes = await Promise.allSettled(sessions.map(session => session.rollback()))
    await this.#rollbackOthers()
    await this.#announce('rollback')
    // The transactions have ended all the same: what can fail here is a subscriber of the application.
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** For a handler that runs again: nothing of its first run is left, in no session. */
  async restart(): Promise<void> {
    await this.endStreams()
    for (const session of this.#sessions) if (!session.isJoined) await session.rollback()
    await this.rollback()
    this.#transaction = undefined
  }

  /** What has joined besides the sessions. The databases have rolled back, so what fails here is only told. */
  async #rollbackOthers(): Promise<void> {
    for (const error of (await this.#transaction?.rollback()) ?? []) {
      this.owner.log.error({ err: error }, 'a data manager could not be rolled back')
    }
  }

  /** All that this request writes, as one transaction. */
  get transaction(): RequestTransaction {
    this.#transaction ??= new RequestTransaction({
      label: () => this.owner.label(),
      participants: () => this.#inOrder().filter(session => session.isJoined),
      commit: () => this.commit(),
      onCommit: callback => this.onCommit(callback),
      onRollback: callback => this.onRollback(callback),
    })
    return this.#transaction
  }

  /** Whether this request can only roll back. */
  get isDoomed(): boolean {
    return this.#transaction?.isDoomed ?? false
  }

  /**
   * Registers what is to run once the transactions of this request have been committed: at that point the
   * outcome is certain, so an error in it is logged and changes nothing.
   */
  onCommit(callback: Callback): void {
    this.#onCommit ??= []
    this.#onCommit.push(callback)
  }

  /** Registers what is to run once it is certain that nothing (more) of this request will be committed. */
  onRollback(callback: Callback): void {
    this.#onRollback ??= []
    this.#onRollback.push(callback)
  }

  /**
   * Whether there is anything that a commit could concern.
   *
   * @param chosen which engines' transactions the response commits; undefined asks for no engine in particular
   */
  wouldCommit(chosen: (engine: Engine | undefined) => boolean): boolean {
    for (const session of this.#sessions) {
      if (session.isJoined && chosen(session.engine)) return true
    }
    if (this.#onCommit === undefined && !this.#transaction?.hasWork) return false
    return chosen(undefined)
  }

  /** Whether there is nothing that could be saved: then a response has no more to do with the sessions than to close them. */
  get onlyReads(): boolean {
    for (const session of this.#sessions) if (!session.engine.readOnly) return false
    return !this.#transaction?.hasWork
  }

  /** Whether nobody waits for an outcome and no session holds a connection. */
  get atRest(): boolean {
    if (this.#onCommit !== undefined || this.#onRollback !== undefined || this.#transaction?.hasWork)
      return false
    for (const { connection } of this.#sessions) if (connection.holding || connection.busy) return false
    return true
  }

  /** Whether a statement of one of the sessions is under way. */
  get busy(): boolean {
    for (const session of this.#sessions) if (session.connection.busy) return true
    return false
  }

  /** The sessions that were asked for. */
  sessions(): readonly Session[] {
    return this.#sessions
  }

  /** Writes what is pending in the sessions of the `chosen` engines. */
  async flushWhere(chosen: (engine: Engine) => boolean): Promise<void> {
    for (const session of this.#inOrder()) {
      if (!session.engine.readOnly && chosen(session.engine)) await session.em.flush()
    }
  }

  /**
   * The one place where transactions of a request are committed. All are flushed, and who can vote has voted, before the
   * first COMMIT, so that whatever can fail has failed; those of engines that are not `chosen` are rolled back.
   */
  async commitWhere(chosen: (engine: Engine) => boolean): Promise<void> {
    let steps: readonly CommitStep[] = []
    let done = 0
    try {
      if (this.isDoomed) throw new errors.SQLA_ERR_TRANSACTION_DOOMED(this.owner.label())
      await this.#vote(chosen)
      steps = this.#steps(chosen)
      for (const step of steps) {
        await step.commit()
        done++
        this.#transaction?.leave(step)
      }
    } catch (error) {
      const failure = done === 0 ? error : this.#partialCommit(steps, done, error)
      await this.rollback()
      throw failure
    }
    for (const session of this.#inOrder()) {
      if (session.isJoined && !chosen(session.engine)) await session.rollback()
    }
    if (this.#onCommit !== undefined || this.#onRollback !== undefined) await this.#announce('commit')
  }

  /** What commits, in this order: the databases, then whatever else has joined. */
  #steps(chosen: (engine: Engine) => boolean): readonly CommitStep[] {
    const open = this.#inOrder().filter(
      session => session.isJoined && session.connection.holding && chosen(session.engine),
    )
    const { twoPhase } = this.#context
    const isOneByOne =
      twoPhase === undefined || open.length < 2 || open.some(({ engine }) => engine.substitute !== undefined)
    const databases = isOneByOne ? open : [twoPhase.step(open, this.owner)]
    return this.#transaction === undefined ? databases : [...databases, ...this.#transaction.committing()]
  }

  /** Everything that may still fail, before anything is committed. */
  async #vote(chosen: (engine: Engine) => boolean): Promise<void> {
    const transaction = this.#transaction
    if (transaction === undefined) return this.#flushJoined(chosen)
    await transaction.runBeforeCommit(() => this.#flushJoined(chosen))
    await transaction.vote()
  }

  async #flushJoined(chosen: (engine: Engine) => boolean): Promise<void> {
    for (const session of this.#inOrder()) {
      if (session.isJoined && chosen(session.engine)) await session.em.flush()
    }
  }

  /** Says it as loudly as it can be said: nobody can take back what is committed. */
  #partialCommit(steps: readonly CommitStep[], done: number, cause: unknown): Error {
    const names = steps.map(({ name }) => name)
    const [committed, notCommitted] = [names.slice(0, done), names.slice(done)]
    const error = new errors.SQLA_ERR_PARTIAL_COMMIT(
      this.owner.label(),
      committed.join(', '),
      notCommitted.join(', '),
      { cause },
    )
    this.owner.log.error(
      { err: error, committed, notCommitted },
      'a COMMIT failed after others had committed',
    )
    return error
  }

  /** Ends streams that were left open: nobody reads them any more once the handler has answered without them. */
  async endStreams(): Promise<void> {
    for (const { connection } of this.#sessions) {
      if (connection.busy && 'endStream' in connection) await connection.endStream()
    }
  }

  /** Gives back what a snapshot still holds, without waiting: there is no outcome to wait for. */
  endSnapshots(): void {
    for (const { engine, connection } of this.#sessions) {
      if (engine.readOnly && 'endStream' in connection && connection.holding && !connection.busy) {
        void connection.rollback()
      }
    }
  }

  /** Closes every session; one that cannot be closed does not keep the others from it. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.atRest ? this.#closeAtRest() : this.#close()
    return this.#closing
  }

  #closeAtRest(): Promise<void> {
    this.#context.open.delete(this)
    for (const session of this.#sessions) void session.close()
    return CLOSED
  }

  async #close(): Promise<void> {
    const sessions = this.#sessions.slice()
    const outcomes = await Promise.allSettled(sessions.map(session => session.close()))
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue
      const engine = sessions[index]?.engine.name
      this.owner.log.error({ err: outcome.reason, engine }, 'a session could not be closed')
    }
    await this.#rollbackOthers()
    this.#context.open.delete(this)
    await this.#announce('rollback')
  }

  async #announce(outcome: 'commit' | 'rollback'): Promise<void> {
    const callbacks = outcome === 'commit' ? this.#onCommit : this.#onRollback
    this.#onCommit = undefined
    this.#onRollback = undefined
    if (callbacks === undefined) return
    for (const callback of callbacks) {
      try {
        await callback()
      } catch (error) {
        this.owner.log.error({ err: error }, `a callback after ${outcome} failed; the outcome stands`)
      }
    }
  }

  #find(name: string): Session | undefined {
    for (const session of this.#sessions) if (session.engine.name === name) return session
    return undefined
  }

  #inOrder(): readonly Session[] {
    if (this.#sessions.length < 2) return this.#sessions
    const sessions = this.#sessions.slice()
    const order = this.#context.registry.names()
    return sessions.sort((a, b) => order.indexOf(a.engine.name) - order.indexOf(b.engine.name))
  }
}
