import type { Query } from '@mikro-orm/migrations'
import { Bookkeeping } from './bookkeeping.ts'
import { type Held, hold } from './connection.ts'
import { committedByDdl, failed } from './failure.ts'
import { locked, type Scope } from './lock.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { batchOf, type Plan, queriesOf, type Step } from './plan.ts'
import { type Direction, type RunContext, waitingOf } from './progress.ts'

/**
 * Runs a plan. Where DDL is transactional, all of it is one transaction; revisions that cannot run in one divide it.
 *
 * @returns the names of the revisions that this process has run, in order: none when another one was faster
 * @throws SQLA_ERR_MIGRATION_FAILED, SQLA_ERR_MIGRATION_LOCK
 */
export async function runPlan({ engine, direction, steps }: Plan, context: RunContext): Promise<string[]> {
  const done: string[] = []
  if (steps.length === 0) return done
  const waiting = waitingOf(engine.name, context)
  await hold(engine, async held => {
    let scope: Scope | undefined = steps[0]?.scope
    while (scope !== undefined) {
      const run: BatchRun = new BatchRun(engine, direction, held, context, done)
      const current: Scope = scope
      try {
        scope = await locked(engine, held, current, waiting, () => run.next(steps, current))
      } catch (error) {
        // What was run is not done: COMMIT failed.
        throw run.ran.length > 0 ? run.commitFailed(error) : error
      }
      if (run.ran.length > 0) {
        done.push(...run.ran)
        context.onEvent({ type: 'committed', engine: engine.name, revisions: run.ran })
      }
    }
  })
  return done
}

/** The revisions that run under one lock, and where DDL allows it in one transaction. */
class BatchRun {
  readonly #engine: MigratedEngine
  readonly #direction: Direction
  readonly #held: Held
  readonly #context: RunContext
  readonly #done: readonly string[]
  #batch: readonly Step[] = []
  #left: readonly Step[] = []
  ran: string[] = []

  constructor(
    engine: MigratedEngine,
    direction: Direction,
    held: Held,
    context: RunContext,
    done: readonly string[],
  ) {
    this.#engine = engine
    this.#direction = direction
    this.#held = held
    this.#context = context
    this.#done = done
  }

  /**
   * Runs what can be run together of what another process has not run meanwhile.
   *
   * @returns what the rest needs around it; undefined when there is none
   */
  async next(steps: readonly Step[], scope: Scope): Promise<Scope | undefined> {
    const book = await Bookkeeping.on(this.#engine, this.#held.ctx)
    const applied = new Set((await book.read()).map(({ name }) => name))
    const remaining = steps.filter(({ name }) => applied.has(name) !== (this.#direction === 'up'))
    if (remaining[0]?.scope !== scope) return remaining[0]?.scope
    this.#batch = batchOf(remaining, this.#engine)
    this.#left = remaining.slice(this.#batch.length)
    await book.ensureTable()
    for (const step of this.#batch) await this.#run(step, book)
    return this.#left[0]?.scope
  }

  async #run({ name, migration }: Step, book: Bookkeeping): Promise<void> {
    const { name: engine } = this.#engine
    const started = performance.now()
    this.#context.onEvent({ type: 'started', engine, revision: name, direction: this.#direction })
    const attempt: Attempt = { queries: undefined, ran: [], isOver: false }
    try {
      attempt.queries = await queriesOf(this.#engine, migration, this.#direction, this.#held.ctx)
      for (const query of attempt.queries) {
        attempt.ran.push(query)
        await this.#engine.orm.driver.execute(query as string, undefined, 'all', this.#held.ctx)
      }
      attempt.isOver = true
      await (this.#direction === 'up' ? book.mark(name) : book.unmark(name))
    } catch (error) {
      const rolledBack = this.ran
      this.ran = []
      throw this.#failure(error, name, attempt, rolledBack)
    }
    this.ran.push(name)
    this.#context.onEvent({
      type: 'finished',
      engine,
      revision: name,
      direction: this.#direction,
      duration: performance.now() - started,
    })
  }

  /** The error of a COMMIT that failed: the revision to name is the last, all went with it. */
  commitFailed(error: unknown): Error {
    const ran = this.ran
    return this.#failure(
      error,
      ran.at(-1) as string,
      { queries: [], ran: [], isOver: true },
      ran.slice(0, -1),
    )
  }

  #failure(error: unknown, name: string, attempt: Attempt, rolledBack: readonly string[]): Error {
    const index = this.#batch.findIndex(step => step.name === name)
    return failed(
      this.#engine,
      {
        engine: this.#engine.name,
        revision: name,
        direction: this.#direction,
        statement: attempt.isOver || attempt.queries === undefined ? undefined : attempt.ran.length,
        statements: attempt.queries?.length,
        done: [...this.#done],
        rolledBack,
        left: [...this.#batch.slice(index + 1), ...this.#left].map(step => step.name),
        remaining: this.#remaining(attempt, this.#batch[index]?.scope),
      },
      error,
    )
  }

  #remaining({ queries, ran, isOver }: Attempt, scope: Scope | undefined): number | undefined {
    if (scope === 'transaction' && this.#engine.dialect !== 'mysql') return 0
    if (queries === undefined) return undefined
    if (scope === 'connection') return isOver ? ran.length : ran.length - 1
    return committedByDdl([...ran.map(query => String(query)), ...(isOver ? ['commit'] : [])])
  }
}

/** How far a revision came. */
interface Attempt {
  /** Its statements; undefined while its own code runs. */
  queries: readonly Query[] | undefined
  /** The last of them is the one that failed, if one did. */
  readonly ran: Query[]
  isOver: boolean
}
