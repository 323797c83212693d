import type { CompiledQuery, QueryResult } from 'kysely'
import type { Lease } from '../engines/connection-pool.ts'
import { errors } from '../errors.ts'
import type { DiagnosticScope } from '../observe/messages.ts'
import { hasStatementListeners, observeStatement, observeStream } from '../observe/observe-statement.ts'
import { hasId } from '../transactions/branch.ts'
import { findOutcome, isInDoubt, tellOutcome } from '../transactions/commit-outcome.ts'
import { mayWrite, sendWithWitness, type Witness } from '../transactions/witness.ts'
import { type ConnectionContext, SessionConnection } from './connection.ts'

/** A stream that is being read, which has the session's turn until it ends. */
interface OpenStream {
  readonly rows: AsyncIterableIterator<unknown>
  readonly endTurn: () => void
}

/**
 * The lazy transaction: idle until the first statement, which takes a connection and begins; after commit or
 * rollback idle again, and the next statement begins anew. One statement runs at a time.
 */
export class TransactionConnection extends SessionConnection {
  #lease: Lease | undefined
  /** Settles when the statement or stream that is under way has ended. Never rejects. */
  #running: Promise<void> | undefined
  #stream: OpenStream | undefined
  #begin: readonly string[] | undefined
  /** What is known of the transaction that is open; undefined until it has written. */
  #witness: Witness | undefined
  #mayHaveWritten = false

  get holding(): boolean {
    return this.#lease !== undefined
  }

  get busy(): boolean {
    return this.#running !== undefined
  }

  /**
   * Begins now instead of with the first statement.
   *
   * @param statements instead of the engine's own, for this one transaction
   * @throws SQLA_ERR_TRANSACTION_STARTED when `statements` come too late
   */
  begin(statements?: readonly string[]): Promise<void> {
    return this.exclusively(async () => {
      if (this.#lease !== undefined) {
        if (statements === undefined) return
        throw new errors.SQLA_ERR_TRANSACTION_STARTED(this.context.name, 'the isolation level')
      }
      this.#begin = statements
      await this.#start()
    })
  }

  /**
   * @throws SQLA_ERR_COMMIT_ROLLED_BACK when an earlier statement had failed, so that the server rolled back
   */
  commit(): Promise<void> {
    return this.exclusively(() => this.#commit())
  }

  /** Whether the open transaction has an id, as one has that has written. */
  hasWritten(): Promise<boolean> {
    return this.exclusively(async () => {
      const lease = this.#lease
      if (lease === undefined || this.#witness !== undefined) return lease !== undefined
      return hasId(lease)
    })
  }

  /**
   * Gives the open transaction away. The caller ends it, and gives the connection back; the session begins anew.
   *
   * @returns undefined when there is none
   */
  handOver(): Promise<Lease | undefined> {
    return this.exclusively(async () => {
      const lease = this.#lease
      this.#lease = undefined
      return lease
    })
  }

  /** Ends an open stream first: what it has not delivered yet is of no use any more. */
  async rollback(): Promise<void> {
    await this.endStream()
    await this.exclusively(() => this.end())
  }

  /** Ends the stream that is open, if any; its reader sees it finish. */
  async endStream(): Promise<void> {
    const stream = this.#stream
    if (stream === undefined) return
    await stream.rows.return?.()
    this.#leaveStream(stream)
  }

  protected run<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.context.noteStatement?.(query.sql)
    return this.exclusively(() => {
      const lease = this.#lease
      if (lease === undefined) return this.#start<R>(query)
      return this.#send(lease, query, one => lease.execute<R>(this.commented(one)))
    })
  }

  protected async *runStream<R>(
    query: CompiledQuery,
    chunkSize: number,
  ): AsyncIterableIterator<QueryResult<R>> {
    this.context.noteStatement?.(query.sql)
    const { promise: turn, resolve: endTurn } = Promise.withResolvers<void>()
    const lease = await this.exclusively(async () => {
      if (this.#lease === undefined) await this.#start()
      return this.#lease as Lease
    }, turn)
    const sent = lease.stream<R>(this.commented(query), chunkSize)
    const rows = hasStatementListeners() ? observeStream(this.originOf(lease, true), query, sent) : sent
    const stream = { rows, endTurn }
    this.#stream = stream
    try {
      yield* rows
    } finally {
      this.#leaveStream(stream)
    }
  }

  protected *leases(): Iterable<Lease> {
    if (this.#lease !== undefined) yield this.#lease
  }

  protected async stop(): Promise<void> {
    void this.cancelQuery()
    // The reader of a stream may never come back, so its turn is not waited for.
    await (this.#stream === undefined ? this.#running : this.endStream())
  }

  /** Rolls back. It cannot fail: a connection on which ROLLBACK fails is thrown away, and the server rolls back. */
  protected async end(): Promise<void> {
    const lease = this.#lease
    this.#lease = undefined
    if (lease === undefined) return
    try {
      await lease.rollback()
    } catch {
      // The lease tells its pool by itself that it is not clean.
    } finally {
      lease.release()
    }
  }

  /**
   * Runs `work` when nothing of this session runs.
   *
   * @param until keeps the turn until then, once `work` has succeeded
   */
  protected exclusively<T>(work: () => Promise<T>, until?: Promise<void>): Promise<T> {
    // A statement inside a `for await` over the session's own stream would wait for the stream, which waits for it.
    if (this.#stream !== undefined) return Promise.reject(this.streamingError())
    const before = this.#running
    if (before !== undefined) {
      return before.then(() => {
        this.assertUsable()
        return this.exclusively(work, until)
      })
    }
    const result = work()
    const ended = (): void => {
      if (this.#running === running) this.#running = undefined
    }
    const running =
      until === undefined ? result.then(ended, ended) : result.then(() => until.then(ended), ended)
    this.#running = running
    return result
  }

  #leaveStream(stream: OpenStream): void {
    if (this.#stream === stream) this.#stream = undefined
    stream.endTurn()
  }

  #send<R>(
    lease: Lease,
    query: CompiledQuery,
    send: (query: CompiledQuery) => Promise<QueryResult<R>>,
  ): Promise<QueryResult<R>> {
    return hasStatementListeners()
      ? this.#sendObserved(lease, query, send)
      : this.#witnessed(lease, query, send)
  }

  /** Apart, so that a statement that nobody hears of makes no closure. */
  #sendObserved<R>(
    lease: Lease,
    query: CompiledQuery,
    send: (query: CompiledQuery) => Promise<QueryResult<R>>,
  ): Promise<QueryResult<R>> {
    return observeStatement(this.originOf(lease, true), query, () => this.#witnessed(lease, query, send))
  }

  /** A COMMIT that gets no answer can be asked about if the transaction's id is known before. */
  #witnessed<R>(
    lease: Lease,
    query: CompiledQuery,
    send: (query: CompiledQuery) => Promise<QueryResult<R>>,
  ): Promise<QueryResult<R>> {
    if (!mayWrite(query.sql)) return send(query)
    this.#mayHaveWritten = true
    if (!this.context.tellsOutcomes || this.#witness !== undefined) return send(query)
    return sendWithWitness(lease, query, send, witness => {
      this.#witness = witness
    })
  }

  async #start<R>(first?: CompiledQuery): Promise<QueryResult<R>> {
    const statements = this.#begin ?? this.context.begin
    this.#begin = undefined
    for (;;) {
      // Once; again for each server that could not do it: nothing has been seen of it yet.
      const result = await this.#startOnce<R>(statements, first)
      if (result !== undefined) return result
      this.assertUsable()
    }
  }

  /** @returns undefined when the transaction is to begin again, elsewhere */
  async #startOnce<R>(
    statements: readonly string[],
    first: CompiledQuery | undefined,
  ): Promise<QueryResult<R> | undefined> {
    const lease = await this.acquire()
    this.assertStillWanted(lease)
    this.#lease = lease
    this.#witness = undefined
    this.#mayHaveWritten = false
    try {
      const result = await (first === undefined
        ? lease.begin<R>(statements)
        : this.#send(lease, first, one => lease.begin<R>(statements, this.commented(one))))
      if (!this.context.repeats?.(lease)) return result
      await this.end()
      return undefined
    } catch (error) {
      if (!this.closed && this.context.repeats?.(lease, error)) {
        await this.end()
        return undefined
      }
      // When BEGIN itself failed, the next statement must not run outside a transaction: it begins again.
      if (!lease.inTransaction) {
        this.#lease = undefined
        lease.release()
      }
      throw error
    }
  }

  async #commit(): Promise<void> {
    const lease = this.#lease
    if (lease === undefined) return
    this.#lease = undefined
    try {
      if (!(await lease.commit(this.context.commitTrailer)))
        throw new errors.SQLA_ERR_COMMIT_ROLLED_BACK(this.context.name)
    } catch (error) {
      const isOpen = this.#mayHaveWritten && isInDoubt(error)
      // SQLite leaves a transaction open whose COMMIT failed; PostgreSQL has rolled it back.
      if (!isOpen && lease.inTransaction) await lease.rollback().catch(() => {})
      lease.release(isOpen)
      if (!isOpen) throw error
      await this.#resolve(error)
    } finally {
      lease.release()
    }
  }

  /** @returns when the transaction has been committed after all */
  async #resolve(error: unknown): Promise<void> {
    const { context } = this
    if (this.#witness !== undefined) return findOutcome(context, this.#witness, error)
    tellOutcome(context, 'unknown')
    throw new errors.SQLA_ERR_COMMIT_IN_DOUBT(context.name, 'its id is not known', { cause: error })
  }
}

/**
 * A transaction of a session that has none of its own: what `em.transactional` and `flush` of a read-only or
 * autocommit engine run in. It ends once; a statement that comes late runs as the session's others do.
 */
export class UnitConnection extends TransactionConnection {
  readonly #session: SessionConnection
  readonly #onEnd: (unit: UnitConnection) => void
  #ended = false

  constructor(
    context: ConnectionContext,
    owner: DiagnosticScope,
    session: SessionConnection,
    onEnd: (unit: UnitConnection) => void,
  ) {
    super(context, owner)
    this.#session = session
    this.#onEnd = onEnd
  }

  override async commit(): Promise<void> {
    try {
      await super.commit()
    } finally {
      this.#finish()
    }
  }

  override async rollback(): Promise<void> {
    try {
      await super.rollback()
    } finally {
      this.#finish()
    }
  }

  protected override run<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#ended ? this.#session.executeQuery<R>(query) : super.run<R>(query)
  }

  #finish(): void {
    this.#ended = true
    this.#onEnd(this)
  }
}
