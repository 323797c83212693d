import { CompiledQuery } from 'kysely'
import type { Lease, Trailer } from '../engines/connection-pool.ts'
import type { Engine, EnginePool } from '../engines/engine.ts'
import { type Causality, PRIMARY_INSERT_POSITION, PRIMARY_POSITION, primaryPosition } from './causality.ts'
import type { ConnectionContext } from './connection.ts'

/** Statements as MikroORM writes them for entities. */
const MAPPED = /^(select|insert into|update|delete from) "/
const SYNCHRONOUS_COMMIT = /\bsynchronous_commit\b/i
const POSITION_QUERY = CompiledQuery.raw(PRIMARY_POSITION)

/** An engine whose writes replicas replay: what a session commits is where its client's next read must be. */
export class WriteTrack implements ConnectionContext {
  readonly #engine: Engine
  readonly #system: string
  readonly #causality: Causality
  #mayBeAsynchronous = false

  constructor(engine: Engine, system: string, causality: Causality) {
    this.#engine = engine
    this.#system = system
    this.#causality = causality
  }

  get engine(): Engine {
    return this.#engine
  }

  get name(): string {
    return this.#engine.name
  }

  get readOnly(): boolean {
    return this.#engine.readOnly
  }

  get begin(): readonly string[] {
    return this.#engine.begin
  }

  get pool(): EnginePool {
    return this.#engine.pool
  }

  get tellsOutcomes(): boolean {
    return this.#engine.tellsOutcomes
  }

  /** Asked in COMMIT's own round trip. */
  get commitTrailer(): Trailer | undefined {
    if (!this.#causality.isTracking) return undefined
    return {
      sql: this.#mayBeAsynchronous ? PRIMARY_INSERT_POSITION : PRIMARY_POSITION,
      receive: row => {
        const position = primaryPosition(this.#system, row)
        if (position !== undefined) this.#causality.noteCommit(position)
      },
    }
  }

  noteStatement(sql: string): boolean {
    if (!MAPPED.test(sql) && SYNCHRONOUS_COMMIT.test(sql)) this.#mayBeAsynchronous = true
    // A function may write. In a transaction that is known with its COMMIT.
    if (sql.startsWith('select ')) return this.#engine.autocommit && sql.includes('(')
    this.#causality.noteWrite(this.#system)
    return true
  }

  /** A statement that committed by itself had no COMMIT of ours that could bring the position along. */
  async afterWrite(lease: Lease): Promise<void> {
    const trailer = this.commitTrailer
    if (trailer === undefined) return
    const { rows } = await lease.execute<Record<string, unknown>>(POSITION_QUERY)
    if (rows[0] !== undefined) trailer.receive(rows[0], lease)
  }
}
