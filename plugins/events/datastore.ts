import { AsyncLocalStorage } from 'node:async_hooks'
import { afterCommit, type Engine, type SqlEm } from '../../src/index.ts'

type Callback = () => void

/** A transaction of {@link Datastore.transaction} that is open. */
interface Unit {
  readonly em: SqlEm
  /** What is to run when it has been committed. */
  readonly callbacks: Callback[]
}

/** The open transaction of each engine, for whatever is called inside of it. Other engines have nothing to do with it. */
const units = new WeakMap<Engine, AsyncLocalStorage<Unit>>()

/**
 * Where events are: an engine, on which every call is a transaction of its own or part of the one that
 * {@link transaction} has opened; or a session, whose transaction belongs to somebody else: it is never begun, committed
 * or closed here.
 */
export class Datastore {
  /** Undefined for a session that is all that is known. */
  readonly engine: Engine | undefined
  readonly #session: SqlEm | undefined

  /** @param engine of the session `on`, where `on` is one */
  constructor(on: Engine | SqlEm, engine?: Engine) {
    this.#session = 'getConnection' in on ? on : undefined
    this.engine = 'getConnection' in on ? engine : on
  }

  /** The same database, in the transaction of a session. */
  at(session: SqlEm): Datastore {
    return new Datastore(session, this.engine)
  }

  /** An EntityManager to ask the platform, not to run anything. */
  get em(): SqlEm {
    return this.#current ?? ((this.engine as Engine).orm.em as SqlEm)
  }

  /** Whether a transaction is open that what is run becomes part of. */
  get isJoined(): boolean {
    return this.#current !== undefined
  }

  get #current(): SqlEm | undefined {
    return this.#session ?? this.#unit?.em
  }

  get #unit(): Unit | undefined {
    return this.engine === undefined ? undefined : units.get(this.engine)?.getStore()
  }

  /** Runs one statement, which commits by itself unless a transaction is open. */
  run<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
    return work(this.#current ?? ((this.engine as Engine).orm.em.fork() as SqlEm))
  }

  /** Runs several statements, all of them or none. Inside a transaction they are part of it, without a savepoint. */
  together<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
    // A session of an autocommit engine is in no transaction.
    return this.#current?.isInTransaction() ? work(this.#current) : this.transaction(work)
  }

  /**
   * A transaction: commits when `work` returns, rolls back when it throws. One inside of it is a savepoint. Whatever is
   * recorded on the same engine meanwhile, by `work` and what it calls, is part of it.
   */
  async transaction<R>(work: (session: SqlEm) => Promise<R>): Promise<R> {
    const outer = this.#unit
    if (this.#session !== undefined) return this.#session.transactional(em => work(em as SqlEm))
    const engine = this.engine as Engine
    const storage = storageOf(engine)
    const callbacks: Callback[] = []
    const em = outer?.em ?? (engine.orm.em.fork() as SqlEm)
    const result = await em.transactional(inner =>
      storage.run({ em: inner as SqlEm, callbacks }, () => work(inner as SqlEm)),
    )
    if (outer !== undefined) outer.callbacks.push(...callbacks)
    else for (const callback of callbacks) callback()
    return result
  }

  /**
   * Runs `callback` once what has been done is committed; at once where no transaction is open.
   *
   * @param callback must not throw
   * @returns whether it is certain that it runs after the commit, and only then
   */
  afterCommit(callback: Callback): boolean {
    if (this.#session !== undefined) {
      const certainty = afterCommit(this.#session, callback)
      // Nobody tells when a session of the application's own commits. Whoever is told too early looks again.
      if (certainty === undefined) callback()
      return certainty === 'session'
    }
    const unit = this.#unit
    if (unit === undefined) callback()
    else unit.callbacks.push(callback)
    return true
  }
}

function storageOf(engine: Engine): AsyncLocalStorage<Unit> {
  let storage = units.get(engine)
  if (storage === undefined) {
    storage = new AsyncLocalStorage()
    units.set(engine, storage)
  }
  return storage
}
