import { AsyncLocalStorage } from 'node:async_hooks'
import { TransactionContext } from '@mikro-orm/core'
import { afterCommit, type Engine, runOn, type SqlEm } from '../../src/index.ts'

/** @param isCertain whether all that had been done then is committed now, nothing of it having been undone */
type Callback = (isCertain: boolean) => void

/** A transaction of {@link Datastore.transaction}, or a savepoint in one. */
interface Unit {
  readonly engine: Engine
  readonly em: SqlEm
  /** The one that it is a savepoint of. */
  readonly outer: Unit | undefined
  /** What is to run when it has been committed. */
  readonly callbacks: Callback[]
  isOpen: boolean
  /** Settles when the savepoints in it have ended. */
  savepoints: Promise<void>
}

/** The transaction of each engine that what is called is inside of. Other engines have nothing to do with it. */
const storages = new WeakMap<Engine, AsyncLocalStorage<Unit>>()
/** The transaction that an EntityManager was given out for. */
const units = new WeakMap<SqlEm, Unit>()

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
    this.engine = 'getConnection' in on ? (engine ?? units.get(on)?.engine) : on
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

  /** The innermost transaction of ours that is open. What goes on after its end is not part of it any more. */
  get #unit(): Unit | undefined {
    const entered = openOne(this.engine === undefined ? undefined : storages.get(this.engine)?.getStore())
    if (this.#session === undefined) return entered
    const own = openOne(units.get(this.#session))
    for (let unit = entered; unit !== undefined; unit = unit.outer) if (unit === own) return entered
    return own
  }

  /** Runs one statement, which commits by itself unless a transaction is open. */
  async run<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
    await this.#savepointsEnded()
    const current = this.#current
    return current === undefined
      ? runOn(this.engine as Engine, work, { autocommit: true, name: 'events' })
      : work(current)
  }

  /** Runs several statements, all of them or none. Inside a transaction they are part of it, without a savepoint. */
  async together<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
    await this.#savepointsEnded()
    // A session of an autocommit engine is in no transaction.
    return this.#current?.isInTransaction() ? work(this.#current) : this.transaction(work)
  }

  /**
   * A transaction: commits when `work` returns, rolls back when it throws. One inside of it is a savepoint, and savepoints
   * take turns. Whatever is recorded on the same engine meanwhile, by `work` and what it calls, is part of it.
   */
  async transaction<R>(work: (session: SqlEm) => Promise<R>): Promise<R> {
    const outer = this.#unit
    if (outer !== undefined) return inTurn(outer, () => this.#savepoint(outer, work))
    const session = this.#session
    if (session !== undefined) {
      if (session.isInTransaction()) await session.flush()
      return session.transactional(em => work(em as SqlEm))
    }
    const engine = this.engine as Engine
    const callbacks: Callback[] = []
    const result = await runOn(engine, em => enter({ engine, em, outer, callbacks }, work), {
      name: 'events',
    })
    for (const callback of callbacks) callback(true)
    return result
  }

  async #savepoint<R>(outer: Unit, work: (session: SqlEm) => Promise<R>): Promise<R> {
    const { engine } = outer
    // What was pending before would be flushed in the savepoint, and be lost with it.
    await outer.em.flush()
    const callbacks: Callback[] = []
    const result = await outer.em.transactional(em =>
      enter({ engine, em: em as SqlEm, outer, callbacks }, work),
    )
    outer.callbacks.push(...callbacks)
    return result
  }

  /** What is done beside an open savepoint would be undone with it. */
  async #savepointsEnded(): Promise<void> {
    for (;;) {
      const savepoints = this.#unit?.savepoints
      await savepoints
      if (savepoints === this.#unit?.savepoints) return
    }
  }

  /**
   * Runs `callback` once what has been done is committed; at once where no transaction is open, or where nobody tells
   * when it is committed.
   *
   * @param callback must not throw
   * @returns whether it is certain that it runs after the commit, and only then; `callback` is told, too
   */
  afterCommit(callback: Callback): boolean {
    const unit = this.#unit
    if (unit !== undefined) {
      unit.callbacks.push(callback)
      return true
    }
    if (this.#session !== undefined) return afterCommitOf(this.#session, callback)
    callback(true)
    return true
  }
}

function openOne(unit: Unit | undefined): Unit | undefined {
  let open = unit
  while (open !== undefined && !open.isOpen) open = open.outer
  return open
}

async function enter<R>(
  parts: Pick<Unit, 'engine' | 'em' | 'outer' | 'callbacks'>,
  work: (session: SqlEm) => Promise<R>,
): Promise<R> {
  const { engine, em } = parts
  const unit: Unit = { ...parts, isOpen: true, savepoints: Promise.resolve() }
  let storage = storages.get(engine)
  if (storage === undefined) {
    storage = new AsyncLocalStorage()
    storages.set(engine, storage)
  }
  units.set(em, unit)
  try {
    return await storage.run(unit, async () => {
      const result = await work(em)
      // Here, where what a subscriber of a flush records is part of the transaction.
      await em.flush()
      return result
    })
  } finally {
    unit.isOpen = false
  }
}

/** Savepoints can only be nested: of two at once, the one that is released first would take the other along. */
async function inTurn<R>(unit: Unit, work: () => Promise<R>): Promise<R> {
  const before = unit.savepoints
  const { promise, resolve } = Promise.withResolvers<void>()
  unit.savepoints = promise
  await before
  try {
    return await work()
  } finally {
    resolve()
  }
}

function afterCommitOf(session: SqlEm, callback: Callback): boolean {
  let isCertain: boolean | undefined
  let isDue = false
  const certainty = afterCommit(session, () => {
    if (isCertain === undefined) isDue = true
    else callback(isCertain)
  })
  // Inside its `em.transactional` a session does not know itself that it is.
  const inner = TransactionContext.getEntityManager(session.name)
  isCertain = certainty === 'session' && (inner === undefined || inner === session)
  // Nobody tells when a session of the application's own commits. Whoever is told too early looks again.
  if (isDue || certainty === undefined) callback(isCertain)
  return isCertain
}
