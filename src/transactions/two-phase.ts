import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery } from 'kysely'
import type { Engine } from '../engines/engine.ts'
import type { Registry } from '../engines/registry.ts'
import { errors } from '../errors.ts'
import { twoPhaseSteps } from '../observe/channels.ts'
import type { DiagnosticScope, TwoPhaseMessage } from '../observe/messages.ts'
import type { ResolvedTwoPhase } from '../options.ts'
import { type Branch, isLost } from './branch.ts'
import { branchName, isTooLong } from './branch-name.ts'
import { tellOutcome } from './commit-outcome.ts'
import { type Decision, Decisions } from './decisions.ts'
import type { CommitStep } from './participant.ts'

/** Milliseconds. How long a decision may stay in doubt while the coordinator is asked, and how often it is. */
const PATIENCE = 5_000
const FIRST_PAUSE = 20
const LAST_PAUSE = 250

/** A session, as a commit in two phases sees it. */
export interface TwoPhaseSession extends CommitStep {
  /** Announces the commit; whoever hears of it may write. */
  announceCommit(): Promise<void>
  /** Whether its transaction has written anything. */
  hasWritten(): Promise<boolean>
  /** Commits in one phase, and announces nothing. */
  commitAlone(): Promise<void>
  /** Gives its transaction away, as it is open. */
  branch(gid: string): Promise<Branch>
  /** Announces that it is committed. */
  announceCommitted(): Promise<void>
}

/**
 * Commits what a request has written to several databases as one transaction: two-phase commit with presumed abort (Mohan,
 * Lindsay, Obermarck, "Transaction Management in the R* Distributed Database Management System", 1986; PostgreSQL, "Two-Phase
 * Transactions"). First every database is made to promise that it can commit, across crashes (PREPARE TRANSACTION). Then the
 * decision is written down, which is the moment of the commit. Then everybody is told (COMMIT PREPARED).
 */
export class TwoPhase {
  readonly decisions: Decisions
  readonly #registry: Registry
  readonly #options: ResolvedTwoPhase
  readonly #source: object
  /** Called when something was left for the janitor. */
  onUnfinished: () => void = () => {}

  /** @param source what diagnostic messages name as theirs */
  constructor(registry: Registry, options: ResolvedTwoPhase, source: object) {
    this.#source = source
    this.#registry = registry
    this.#options = options
    this.decisions = new Decisions(() => this.#coordinator(), options.table, options.application)
  }

  /** The engines that take part. */
  engines(): Engine[] {
    return [...this.#registry].filter(engine => engine.joins)
  }

  /** @throws SQLA_ERR_TWO_PHASE_UNAVAILABLE when a joined engine cannot prepare transactions */
  async check(engine: Engine): Promise<void> {
    if (!engine.joins) return
    assertPostgres(engine)
    const { application } = this.#options
    if (isTooLong(application, engine.name)) {
      throw new errors.SQLA_ERR_TWO_PHASE_UNAVAILABLE(
        engine.name,
        `its name is too long to be a part of the names of its prepared transactions, with that of the application '${application}'`,
      )
    }
    const lease = await engine.pool.acquire()
    try {
      const { rows } = await lease.execute<{ most: number }>(
        CompiledQuery.raw("select current_setting('max_prepared_transactions')::int as most"),
      )
      if (rows[0]?.most !== 0) return
    } finally {
      lease.release()
    }
    throw new errors.SQLA_ERR_TWO_PHASE_UNAVAILABLE(
      engine.name,
      'max_prepared_transactions of its server is 0. Set it to the number of transactions that may commit at once, such as ' +
        'max_connections (the server must be restarted), or give the engine join: false',
    )
  }

  /** @throws SQLA_ERR_TWO_PHASE_UNAVAILABLE, SQLA_ERR_INVALID_OPTION */
  async open(): Promise<void> {
    assertPostgres(this.#coordinator())
    await this.decisions.open()
  }

  /** The commit of all `sessions`, as one step of a request's commit. */
  step(sessions: readonly TwoPhaseSession[], scope: DiagnosticScope): CommitStep {
    return {
      name: sessions.map(({ name }) => name).join(', '),
      commit: () => this.#commit(sessions, scope),
    }
  }

  async #commit(sessions: readonly TwoPhaseSession[], scope: DiagnosticScope): Promise<void> {
    for (const session of sessions) await session.announceCommit()
    const written = await Promise.all(sessions.map(session => session.hasWritten()))
    const writers = sessions.filter((_session, place) => written[place])
    // A serializable transaction that has only read may still fail: first, while everything can be rolled back.
    for (const session of sessions) if (!writers.includes(session)) await session.commitAlone()
    if (writers.length > 1) await this.#commitTogether(writers, scope)
    else await writers[0]?.commitAlone()
    for (const session of sessions) {
      try {
        await session.announceCommitted()
      } catch (error) {
        scope.log.error(
          { err: error, engine: session.name },
          'a subscriber failed after the commit; the outcome stands',
        )
      }
    }
  }

  async #commitTogether(writers: readonly TwoPhaseSession[], scope: DiagnosticScope): Promise<void> {
    const begun = Date.now()
    const id = randomUUID()
    const deciders = {
      application: this.#options.application,
      coordinator: await this.decisions.identity(),
    }
    const branches: Branch[] = []
    try {
      try {
        for (const writer of writers) {
          branches.push(await writer.branch(branchName(deciders, id, writer.name)))
        }
        await this.#prepareAll(branches, scope)
        await this.#observed('decide', scope, this.decisions.engine, id, () =>
          this.#decide(id, branches, begun),
        )
      } catch (error) {
        // Whoever cannot tell what was decided must touch nothing.
        if (!(error instanceof errors.SQLA_ERR_COMMIT_IN_DOUBT)) await this.#rollBack(branches, scope)
        else this.onUnfinished()
        throw error
      }
      await this.#finish(id, branches, scope)
    } finally {
      for (const branch of branches) branch.release()
    }
  }

  async #prepareAll(branches: readonly Branch[], scope: DiagnosticScope): Promise<void> {
    const outcomes = await this.#onAll('prepare', branches, scope)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  #onAll(
    step: 'prepare' | 'commit' | 'rollback',
    branches: readonly Branch[],
    scope: DiagnosticScope,
  ): Promise<PromiseSettledResult<void>[]> {
    return Promise.allSettled(
      branches.map(branch => this.#observed(step, scope, branch.name, branch.gid, () => branch[step]())),
    )
  }

  /** Does a step, and tells of it. */
  async #observed(
    step: TwoPhaseMessage['step'],
    scope: DiagnosticScope,
    engine: string,
    id: string,
    work: () => Promise<void>,
  ): Promise<void> {
    if (!twoPhaseSteps.hasSubscribers) return work()
    const from = performance.now()
    let failure: { readonly error: unknown } | undefined
    try {
      await work()
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      const duration = performance.now() - from
      twoPhaseSteps.publish({
        source: this.#source,
        scope,
        step,
        engine,
        id,
        duration,
        error: failure?.error,
      })
    }
  }

  /** @returns when it is decided to commit */
  async #decide(id: string, branches: readonly Branch[], begun: number): Promise<void> {
    const coordinator = branches.find(({ name }) => name === this.decisions.engine)
    const names = branches.map(({ name }) => name)
    // A connection that has prepared is inside no transaction. Waiting for a second one of the same pool while holding the
    // first would let many commits at once wait for each other.
    let lease = coordinator?.lease ?? (await this.decisions.acquire())
    const giveBack = (broken: boolean): void => {
      if (lease !== coordinator?.lease) lease.release(broken)
      else if (broken) coordinator.lose()
    }
    let decision: Decision | undefined
    let isRepeated = false
    const deadline = performance.now() + PATIENCE
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LAST_PAUSE)) {
      try {
        decision = await this.decisions.decide(lease, id, 'commit', names, begun)
        giveBack(false)
        break
      } catch (error) {
        const isOpen = isLost(error)
        giveBack(isOpen)
        // The server has refused it. (After a first attempt without an answer that says nothing of that one.)
        if (!isOpen && !isRepeated) throw error
        isRepeated = true
        lease = await this.#acquireAgain(deadline, pause, error)
      }
    }
    if (decision === 'commit') return
    // Ours may have been there, carried out by a janitor, and removed.
    if (isRepeated && decision === undefined)
      throw this.#inDoubt('its decision is not there any more', undefined)
    throw new errors.SQLA_ERR_TWO_PHASE_ABORTED(names.join(', '))
  }

  async #acquireAgain(deadline: number, pause: number, cause: unknown) {
    for (;;) {
      if (performance.now() > deadline) throw this.#inDoubt('its decision may have been written', cause)
      await sleep(pause)
      const lease = await this.decisions.acquire().catch(() => undefined)
      if (lease !== undefined) return lease
    }
  }

  #inDoubt(why: string, cause: unknown): Error {
    tellOutcome({ name: this.decisions.engine, engine: { source: this.#source } }, 'unknown')
    return new errors.SQLA_ERR_COMMIT_IN_DOUBT(
      this.decisions.engine,
      `${why}. What is prepared stays until a janitor can read the decision`,
      { cause },
    )
  }

  async #rollBack(branches: readonly Branch[], scope: DiagnosticScope): Promise<void> {
    const outcomes = await this.#onAll('rollback', branches, scope)
    this.#tell(branches, outcomes, scope, 'ROLLBACK PREPARED failed; the janitor will roll it back')
    if (branches.some(({ isLost }) => isLost)) this.onUnfinished()
  }

  /** It is committed: whatever fails now is done later. */
  async #finish(id: string, branches: readonly Branch[], scope: DiagnosticScope): Promise<void> {
    const outcomes = await this.#onAll('commit', branches, scope)
    if (
      this.#tell(
        branches,
        outcomes,
        scope,
        'COMMIT PREPARED failed after the decision to commit; the janitor will commit it',
      )
    ) {
      return
    }
    const lease = branches.find(({ name }) => name === this.decisions.engine)?.lease
    await this.decisions.remove([id], lease).catch(error => {
      scope.log.warn(
        { err: error, id },
        'a decision that was carried out could not be removed; the janitor will',
      )
      this.onUnfinished()
    })
  }

  /** @returns whether any has failed */
  #tell(
    branches: readonly Branch[],
    outcomes: readonly PromiseSettledResult<void>[],
    scope: DiagnosticScope,
    message: string,
  ): boolean {
    let hasFailed = false
    for (const [place, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue
      hasFailed = true
      const { name, gid } = branches[place] as Branch
      scope.log.warn({ err: outcome.reason, engine: name, gid }, message)
    }
    if (hasFailed) this.onUnfinished()
    return hasFailed
  }

  #coordinator(): Engine {
    const { coordinator } = this.#options
    const engine = coordinator === undefined ? this.engines()[0] : this.#named(coordinator)
    if (engine !== undefined && !engine.readOnly) return engine
    throw new errors.SQLA_ERR_INVALID_OPTION(
      coordinator === undefined ? 'twoPhase' : 'twoPhase.coordinator',
      coordinator === undefined
        ? "needs an engine that joins the request's transaction"
        : `must be an engine that writes; '${coordinator}' is none`,
    )
  }

  #named(name: string): Engine | undefined {
    return this.#registry.has(name) ? this.#registry.get(name) : undefined
  }
}

function assertPostgres(engine: Engine): void {
  if (engine.dialect === 'postgresql') return
  throw new errors.SQLA_ERR_TWO_PHASE_UNAVAILABLE(
    engine.name,
    'only PostgreSQL can. Give it join: false, or leave out twoPhase',
  )
}
