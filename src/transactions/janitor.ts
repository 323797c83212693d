import { CompiledQuery } from 'kysely'
import type { Engine } from '../engines/engine.ts'
import type { Logger } from '../logger.ts'
import { patiently } from '../patiently.ts'
import { finishPrepared } from './branch.ts'
import { transactionIdOf } from './branch-name.ts'
import type { Decision, DecisionRow, Decisions } from './decisions.ts'

/** Milliseconds. */
const INTERVAL = 60_000
const GRACE = 10_000
const SOON = 1_000
const CLOSE_PATIENCE = 1_000

/** A transaction that is prepared in the database of an engine. */
export interface PreparedTransaction {
  readonly engine: string
  /** Its name. */
  readonly gid: string
  /** Of the transaction over several databases that it is a part of; undefined when its name is none of this application's. */
  readonly id: string | undefined
  /** Milliseconds since it was prepared. */
  readonly age: number
  readonly owner: string
  /** Whether the engine's role may end it: its owner and superusers may. */
  readonly isMine: boolean
  /** What has been decided about it; undefined while nothing is. */
  readonly decision: Decision | undefined
}

/** An engine that could not be asked. */
export interface UnreachableEngine {
  readonly engine: string
  readonly error: unknown
}

/** What {@link Janitor.list} found. */
export interface PreparedTransactions {
  /** The oldest first. */
  readonly prepared: readonly PreparedTransaction[]
  readonly unreachable: readonly UnreachableEngine[]
}

/** What {@link Janitor.resolve} did with one prepared transaction. */
export interface Resolution {
  readonly engine: string
  readonly gid: string
  /** `'waiting'`: it is so young that the process that prepared it may be about to decide. */
  readonly outcome: 'committed' | 'rolled back' | 'waiting' | 'failed'
  /** Why it failed. */
  readonly error?: unknown
}

/** Which transactions a pass is about. */
export interface ResolveOptions {
  /** Of one transaction over several databases. Default: all of the application. */
  id?: string | undefined
  /** Whether also those are rolled back that were prepared only now. Default false. */
  force?: boolean | undefined
}

export interface JanitorContext {
  readonly engines: () => readonly Engine[]
  readonly decisions: Decisions
  readonly application: string
  readonly log: Logger
  /** Milliseconds. Prepared transactions that are older are warned of. */
  readonly warnAfter: number
  /** Milliseconds. Younger ones are left to the process that prepared them. Default 10,000. */
  readonly grace?: number
}

interface Survey extends PreparedTransactions {
  /** undefined when the coordinator could not be asked. */
  readonly decisions: readonly DecisionRow[] | undefined
  /** The engines that were asked. */
  readonly reached: ReadonlySet<string>
}

/**
 * Ends what processes that died in the middle of a commit have left prepared: by the decision, and where there is none, by
 * deciding to roll back. It may run in every process of the application at once, and beside those that commit.
 */
export class Janitor {
  readonly #context: JanitorContext
  /** The names of those that have been warned of. */
  #warned = new Set<string>()
  /** Engines whose failure has been told. */
  #failing = new Set<string>()
  #running: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isHurried = false
  #isClosed = false

  constructor(context: JanitorContext) {
    this.#context = context
  }

  /** Looks now and every minute, until {@link close}. @returns when it has looked; never rejects */
  start(): Promise<void> {
    this.#running ??= this.#pass().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Something has been left behind just now. */
  soon(): void {
    this.#isHurried = true
    if (this.#running === undefined) this.#schedule(SOON)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    if (this.#running !== undefined) await patiently(this.#running, CLOSE_PATIENCE)
  }

  /** What is prepared in the databases of the engines, other people's included. */
  async list(): Promise<PreparedTransactions> {
    const { prepared, unreachable } = await this.#survey()
    return { prepared, unreachable }
  }

  /**
   * What the janitor does every minute, now.
   *
   * @returns what became of each transaction of the application that is prepared
   * @throws what keeps the decisions from being read
   */
  async resolve(options: ResolveOptions = {}): Promise<Resolution[]> {
    const survey = await this.#survey()
    const failure = survey.unreachable.find(({ engine }) => engine === this.#context.decisions.engine)
    if (survey.decisions === undefined) throw failure?.error
    return this.#resolveAll(survey, survey.decisions, options)
  }

  async #pass(): Promise<void> {
    const { log, grace = GRACE } = this.#context
    this.#isHurried = false
    let delay = INTERVAL
    try {
      const survey = await this.#survey()
      this.#tellFailures(survey.unreachable)
      const resolutions =
        survey.decisions === undefined ? [] : await this.#resolveAll(survey, survey.decisions, {})
      this.#warnOfOld(survey, resolutions)
      if (resolutions.some(({ outcome }) => outcome === 'waiting')) delay = Math.min(grace, INTERVAL)
    } catch (error) {
      log.warn({ err: error }, 'the prepared transactions could not be looked after; the janitor tries again')
    }
    this.#schedule(this.#isHurried ? SOON : delay)
  }

  #schedule(delay: number): void {
    if (this.#isClosed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.start(), delay)
    this.#timer.unref()
  }

  async #resolveAll(
    survey: Survey,
    decisions: readonly DecisionRow[],
    { id, force = false }: ResolveOptions,
  ): Promise<Resolution[]> {
    const { grace = GRACE, decisions: table } = this.#context
    const resolutions: Resolution[] = []
    for (const found of survey.prepared) {
      if (found.id === undefined || !found.isMine || (id !== undefined && found.id !== id)) continue
      resolutions.push(await this.#resolve(found, found.id, force || found.age >= grace))
    }
    const done = namesOfDone(resolutions)
    const left = new Set(survey.prepared.filter(({ gid }) => !done.has(gid)).map(found => found.id))
    // The process that commits removes the row itself; its name in it says where else something may be prepared.
    const carriedOut = decisions.filter(
      row =>
        row.outcome === 'commit' &&
        (force || row.age >= grace) &&
        !left.has(row.id) &&
        row.engines.every(name => survey.reached.has(name)),
    )
    await table.remove(carriedOut.map(row => row.id))
    await table.removeExpired()
    return resolutions
  }

  async #resolve(found: PreparedTransaction, id: string, isOld: boolean): Promise<Resolution> {
    const { engine, gid } = found
    const { log } = this.#context
    try {
      const decision = found.decision ?? (isOld ? await this.#decideToRollBack(id) : undefined)
      if (decision === undefined) return { engine, gid, outcome: 'waiting' }
      const outcome = decision === 'commit' ? 'committed' : 'rolled back'
      if (await this.#finish(engine, gid, decision)) {
        log.warn({ engine, gid, outcome }, 'a prepared transaction that was left behind has been ended')
      }
      return { engine, gid, outcome }
    } catch (error) {
      log.warn({ err: error, engine, gid }, 'a prepared transaction that was left behind could not be ended')
      return { engine, gid, outcome: 'failed', error }
    }
  }

  /** @returns what stands: the process that has prepared it may have been faster */
  async #decideToRollBack(id: string): Promise<Decision | undefined> {
    const { decisions } = this.#context
    const lease = await decisions.acquire()
    try {
      return await decisions.decide(lease, id, 'rollback', [])
    } finally {
      lease.release()
    }
  }

  async #finish(name: string, gid: string, decision: Decision): Promise<boolean> {
    const engine = this.#context.engines().find(candidate => candidate.name === name)
    const lease = await (engine as Engine).pool.acquire()
    try {
      return await finishPrepared(lease, decision, gid)
    } finally {
      lease.release()
    }
  }

  /** The decisions are read first: what was decided then, and is prepared nowhere afterwards, has been carried out. */
  async #survey(): Promise<Survey> {
    const { application, decisions: table } = this.#context
    const unreachable: UnreachableEngine[] = []
    const decided = await Promise.all([table.list(), table.identity()]).catch(error => {
      unreachable.push({ engine: table.engine, error })
      return []
    })
    const [decisions, coordinator = ''] = decided
    const outcomes = new Map(decisions?.map(({ id, outcome }) => [id, outcome]))
    const prepared: PreparedTransaction[] = []
    const reached = new Set<string>()
    const ask = async (engine: Engine): Promise<void> => {
      try {
        for (const row of await preparedIn(engine)) {
          const id = transactionIdOf({ application, coordinator }, row.gid)
          const decision = id === undefined ? undefined : outcomes.get(id)
          prepared.push({ ...row, engine: engine.name, id, decision })
        }
        reached.add(engine.name)
      } catch (error) {
        if (engine.name !== unreachable[0]?.engine) unreachable.push({ engine: engine.name, error })
      }
    }
    await Promise.all(this.#context.engines().map(ask))
    prepared.sort((one, other) => other.age - one.age)
    return { decisions, prepared, unreachable, reached }
  }

  #tellFailures(unreachable: readonly UnreachableEngine[]): void {
    for (const { engine, error } of unreachable) {
      if (this.#failing.has(engine)) continue
      this.#context.log.warn(
        { err: error, engine },
        'the prepared transactions of an engine could not be looked after; the janitor tries again every minute',
      )
    }
    this.#failing = new Set(unreachable.map(({ engine }) => engine))
  }

  /** They keep their locks, and keep VACUUM from cleaning up. */
  #warnOfOld({ prepared }: Survey, resolutions: readonly Resolution[]): void {
    const done = namesOfDone(resolutions)
    const left = prepared.filter(({ gid }) => !done.has(gid))
    for (const { engine, gid, age, owner, isMine } of left) {
      if (age < this.#context.warnAfter || this.#warned.has(gid)) continue
      this.#warned.add(gid)
      this.#context.log.warn(
        { engine, gid, owner, age: Math.round(age), isMine },
        'a transaction has been prepared for long: it holds its locks and keeps VACUUM from cleaning up',
      )
    }
    // One that is seen no more is not remembered for ever.
    const names = new Set(left.map(({ gid }) => gid))
    this.#warned = new Set([...this.#warned].filter(gid => names.has(gid)))
  }
}

function namesOfDone(resolutions: readonly Resolution[]): Set<string> {
  const done = resolutions.filter(({ outcome }) => outcome === 'committed' || outcome === 'rolled back')
  return new Set(done.map(({ gid }) => gid))
}

/** COMMIT PREPARED must be run in the same database, by the owner or a superuser. */
const PREPARED = CompiledQuery.raw(`select gid, owner::text as owner,
  (extract(epoch from clock_timestamp() - prepared) * 1000)::float8 as age,
  owner = current_user or (select rolsuper from pg_roles where rolname = current_user) as "isMine"
from pg_prepared_xacts where database = current_database() order by prepared`)

async function preparedIn(
  engine: Engine,
): Promise<Pick<PreparedTransaction, 'gid' | 'owner' | 'age' | 'isMine'>[]> {
  const lease = await engine.pool.acquire()
  try {
    return (await lease.execute<Pick<PreparedTransaction, 'gid' | 'owner' | 'age' | 'isMine'>>(PREPARED)).rows
  } finally {
    lease.release()
  }
}
