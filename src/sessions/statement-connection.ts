import type { CompiledQuery, QueryResult } from 'kysely'
import type { Lease } from '../engines/connection-pool.ts'
import { hasStatementListeners, observeStatement, observeStream } from '../observe/observe-statement.ts'
import { SessionConnection } from './connection.ts'
import { UnitConnection } from './transaction-connection.ts'

/**
 * The connection of a session without a transaction: every statement takes a connection and gives it back.
 * Statements run side by side, as they do on a plain EntityManager.
 */
export class StatementConnection extends SessionConnection {
  /** The connections that are lent to it right now; a list, because there is hardly ever more than one. */
  readonly #leases: Lease[] = []
  /** How many statements and streams are under way, those included that still wait for a connection. */
  #running = 0
  #onQuiet: (() => void) | undefined
  #streams: Set<AsyncIterableIterator<unknown>> | undefined
  #units: Set<UnitConnection> | undefined

  get holding(): boolean {
    return this.#leases.length > 0 || this.#hasUnits
  }

  get busy(): boolean {
    return this.#running > 0 || this.#hasUnits
  }

  get #hasUnits(): boolean {
    return this.#units !== undefined && this.#units.size > 0
  }

  /** Opens a transaction of its own on a connection of its own. */
  openUnit(): UnitConnection {
    this.assertUsable()
    const unit = new UnitConnection(this.context, this.owner, this, ended => this.#units?.delete(ended))
    this.#units ??= new Set()
    this.#units.add(unit)
    return unit
  }

  protected async run<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#running++
    try {
      for (;;) {
        // Once; again for each server that could not do it.
        const result = await this.#runOnce<R>(query)
        if (result !== undefined) return result
        this.assertUsable()
      }
    } finally {
      this.#ended()
    }
  }

  /** @returns undefined when the statement is to be run again */
  async #runOnce<R>(query: CompiledQuery): Promise<QueryResult<R> | undefined> {
    const { context } = this
    const lease = await this.acquire()
    this.assertStillWanted(lease)
    this.#leases.push(lease)
    try {
      const result = await (hasStatementListeners()
        ? this.#sendObserved<R>(lease, query)
        : this.#send<R>(lease, query))
      if (context.repeats?.(lease)) return undefined
      if (context.noteStatement?.(query.sql)) await context.afterWrite?.(lease)
      return result
    } catch (error) {
      if (!this.closed && context.repeats?.(lease, error)) return undefined
      throw error
    } finally {
      this.#giveBack(lease)
    }
  }

  #send<R>(lease: Lease, query: CompiledQuery): Promise<QueryResult<R>> {
    const sent = this.commented(query)
    return lease.guarded ? lease.guard<R>(this.context.begin, sent) : lease.execute<R>(sent)
  }

  #sendObserved<R>(lease: Lease, query: CompiledQuery): Promise<QueryResult<R>> {
    return observeStatement(this.originOf(lease, false), query, () => this.#send<R>(lease, query))
  }

  protected async *runStream<R>(
    query: CompiledQuery,
    chunkSize: number,
  ): AsyncIterableIterator<QueryResult<R>> {
    this.#running++
    let rows: AsyncIterableIterator<QueryResult<R>> | undefined
    try {
      const lease = await this.acquire()
      this.assertStillWanted(lease)
      this.#leases.push(lease)
      try {
        if (lease.guarded) await lease.begin(this.context.begin)
        const sent = lease.stream<R>(this.commented(query), chunkSize)
        rows = hasStatementListeners() ? observeStream(this.originOf(lease, false), query, sent) : sent
        this.#streams ??= new Set()
        this.#streams.add(rows)
        yield* rows
        if (this.context.noteStatement?.(query.sql)) await this.context.afterWrite?.(lease)
      } finally {
        await this.#leaveGuard(lease)
        this.#giveBack(lease)
      }
    } finally {
      if (rows !== undefined) this.#streams?.delete(rows)
      this.#ended()
    }
  }

  protected leases(): readonly Lease[] {
    return this.#leases
  }

  protected async stop(): Promise<void> {
    const streams = [...(this.#streams ?? [])]
    const units = [...(this.#units ?? [])]
    // A stream whose reader never comes back does not count as ended by itself.
    const quiet =
      this.#running > streams.length
        ? new Promise<void>(resolve => {
            this.#onQuiet = resolve
          })
        : undefined
    void this.cancelQuery()
    await Promise.allSettled([
      quiet,
      ...units.map(unit => unit.close()),
      ...streams.map(rows => rows.return?.()),
    ])
  }

  /** Whoever never came back for the rest of its stream still holds a connection. */
  protected async end(): Promise<void> {
    for (const lease of this.#leases.slice()) {
      await this.#leaveGuard(lease)
      this.#giveBack(lease)
    }
  }

  /** Ends the read-only transaction around a stream; a lease on which that fails is not clean, and says so. */
  async #leaveGuard(lease: Lease): Promise<void> {
    if (lease.guarded && lease.inTransaction) await lease.rollback().catch(() => {})
  }

  #giveBack(lease: Lease): void {
    const place = this.#leases.indexOf(lease)
    if (place !== -1) this.#leases.splice(place, 1)
    lease.release()
  }

  #ended(): void {
    this.#running--
    if (this.#onQuiet === undefined || this.#running > (this.#streams?.size ?? 0)) return
    this.#onQuiet()
  }
}
