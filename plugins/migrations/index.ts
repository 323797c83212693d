import { mkdir } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { errors as core } from '../../src/index.ts'
import { type CheckResult, checkEngine, type History, type HistoryEntry, readHistory } from './check.ts'
import { type DumpResult, dumpEngine, type Write } from './dump.ts'
import { errors, errorTable } from './errors.ts'
import type { MigrationFailure } from './failure.ts'
import { type LoadResult, loadEngine } from './load.ts'
import { type MigratedEngine, selectEngines } from './migrated-engine.ts'
import { migrationsPackage } from './peers.ts'
import { planRun } from './plan.ts'
import { printPlan, printStamp } from './print.ts'
import type { Direction, MigrationEvent, OnEvent, RunContext } from './progress.ts'
import { type RevisionResult, revise } from './revise.ts'
import { runPlan } from './run.ts'
import { runSeeders, type SeedResult } from './seed.ts'
import { planStamp, runStamp } from './stamp.ts'
import { createTables, dropTables, type TablesResult } from './tables.ts'

export type {
  CheckResult,
  Direction,
  DumpResult,
  History,
  HistoryEntry,
  LoadResult,
  MigrationEvent,
  MigrationFailure,
  OnEvent,
  RevisionResult,
  SeedResult,
  TablesResult,
  Write,
}
export { errors, errorTable }

/** Options of {@link migrations}. */
export interface MigrationsOptions {
  /** The folder with a folder per engine, relative to the working directory. Default `'migrations'`. */
  readonly directory?: string
  /** How long to wait for another process that migrates, in milliseconds. Default: as long as it takes. */
  readonly lockTimeout?: number
  /** Told what happens, as it happens. What it throws stops the operation. */
  readonly onEvent?: OnEvent
}

/** Which engines an operation is for. */
export interface EngineChoice {
  /** One engine, or several. Default: all that write, in the order of the application. */
  readonly engine?: string | readonly string[]
}

/** Where to go, and whether only to say how. */
export interface TargetChoice extends EngineChoice {
  /** See {@link Migrations.upgrade}, {@link Migrations.downgrade} and {@link Migrations.stamp}. */
  readonly to?: string
  /** Whether to answer with the SQL instead of running it. */
  readonly sql?: boolean
}

/** What an operation did to one engine. */
export interface RunResult {
  readonly engine: string
  /** The revisions that were run (or with `sql` would be), in order. */
  readonly revisions: readonly string[]
  /** With `sql`: the statements, bookkeeping included. */
  readonly sql: readonly string[] | undefined
}

/** What a stamp did to one engine. */
export interface StampResult {
  readonly engine: string
  readonly marked: readonly string[]
  readonly unmarked: readonly string[]
  readonly sql: readonly string[] | undefined
}

/** The migrations of an application: every operation answers with one entry per engine. */
export interface Migrations {
  /** Makes the folders. */
  init(choice?: EngineChoice): Promise<{ engine: string; folder: string; isNew: boolean }[]>
  /**
   * Writes what the entities have and no revision has brought into a new revision.
   *
   * @param options `message` becomes part of the file's name; `empty` writes a revision without statements
   * @throws SQLA_ERR_MIGRATION_FOLDER
   */
  revision(options: EngineChoice & { message: string; empty?: boolean }): Promise<RevisionResult[]>
  /**
   * Runs pending revisions. Engines one after the other; on each, everything or nothing where the database can.
   *
   * @param choice `to`: `head` (default), `+N`, or a revision by name, beginning of its timestamp, or slug
   * @throws SQLA_ERR_MIGRATION_FAILED (see {@link MigrationFailure}), SQLA_ERR_MIGRATION_TARGET,
   *   SQLA_ERR_MIGRATION_FILE, SQLA_ERR_MIGRATION_LOCK
   */
  upgrade(choice?: TargetChoice): Promise<RunResult[]>
  /**
   * Reverts applied revisions, newest first.
   *
   * @param choice `to`: `-N` (default `-1`), `base`, or the revision that is to be the newest
   * @throws as {@link Migrations.upgrade}
   */
  downgrade(choice?: TargetChoice): Promise<RunResult[]>
  /** Which revisions there are, and which are applied. Changes nothing. */
  history(choice?: EngineChoice): Promise<History[]>
  /** Whether entities, revisions and database agree. Changes nothing. */
  check(choice?: EngineChoice): Promise<CheckResult[]>
  /**
   * Writes down revisions as applied (or no longer applied) without running them.
   *
   * @param choice `to`: `head` (default), `base`, or the revision that is to be the newest applied one
   * @throws SQLA_ERR_MIGRATION_TARGET
   */
  stamp(choice?: TargetChoice): Promise<StampResult[]>
  /**
   * Creates the tables of the entities that are missing, without revisions.
   *
   * @throws SQLA_ERR_MIGRATION_TABLES
   */
  createAll(choice?: EngineChoice & { sql?: boolean }): Promise<TablesResult[]>
  /**
   * Drops the tables of the entities, with everything in them, and the bookkeeping. Nobody is asked.
   *
   * @throws SQLA_ERR_MIGRATION_TABLES
   */
  dropAll(choice?: EngineChoice & { sql?: boolean }): Promise<TablesResult[]>
  /**
   * Writes all rows as lines of JSON, each engine from one snapshot, parents before children.
   *
   * @param choice `write` takes a piece of the text; the next one comes when it has resolved
   * @throws SQLA_ERR_MIGRATION_TABLES
   */
  dumpData(choice: EngineChoice & { write: Write }): Promise<DumpResult[]>
  /**
   * Adds the rows of a dump, on each engine all or none.
   *
   * @param choice `lines` is asked for the dump once per engine; `name` is what messages call it
   * @throws SQLA_ERR_MIGRATION_DATA
   */
  loadData(
    choice: EngineChoice & { lines: () => AsyncIterable<string> | Iterable<string>; name?: string },
  ): Promise<LoadResult[]>
  /**
   * Runs seeders of `@mikro-orm/seeder`, each on the engines whose folder (`seeders/<engine>`) has it.
   *
   * @throws SQLA_ERR_MIGRATION_SEEDER
   */
  seed(choice?: EngineChoice & { seeders?: readonly string[] }): Promise<SeedResult[]>
}

const KNOWN = ['directory', 'lockTimeout', 'onEvent']

/**
 * The migrations of an application, as values; the command `sqlassist database` prints them.
 *
 * @param app an application whose engines have started
 * @throws SQLA_ERR_INVALID_OPTION; its operations also SQLA_ERR_MIGRATION_PACKAGE, SQLA_ERR_MIGRATION_APP,
 *   SQLA_ERR_MIGRATION_ENGINE, SQLA_ERR_MIGRATION_FOLDER and SQLA_ERR_UNKNOWN_ENGINE
 *
 * @example
 * ```ts
 * app.addHook('onReady', async () => {
 *   await migrations(app).upgrade()
 * })
 * ```
 */
export function migrations(app: FastifyInstance, options: MigrationsOptions = {}): Migrations {
  validate(options)
  const { directory = 'migrations', onEvent = () => {}, lockTimeout } = options
  const context: RunContext = { onEvent, lockTimeout }
  const select = (choice: EngineChoice | undefined): MigratedEngine[] => {
    const { engines, skipped } = selectEngines(app, directory, choice?.engine)
    for (const engine of skipped) onEvent({ type: 'skipped', engine })
    return engines
  }
  const each = async <T>(
    choice: EngineChoice | undefined,
    work: (engine: MigratedEngine) => Promise<T>,
  ): Promise<T[]> => inTurn(select(choice), work)

  const run = async (direction: Direction, choice: TargetChoice | undefined): Promise<RunResult[]> => {
    await migrationsPackage()
    // A target that one of the engines does not know is told before anything has run on another.
    const plans = await each(choice, engine => planRun(engine, direction, choice?.to))
    return inTurn(plans, async plan => ({
      engine: plan.engine.name,
      sql: choice?.sql ? await printPlan(plan) : undefined,
      revisions: choice?.sql ? plan.steps.map(({ name }) => name) : await runPlan(plan, context),
    }))
  }

  return {
    init: choice =>
      each(choice, async ({ name, folder }) => ({
        engine: name,
        folder,
        isNew: (await mkdir(folder, { recursive: true })) !== undefined,
      })),
    async revision({ message, empty = false, ...choice }) {
      await migrationsPackage()
      return each(choice, engine => revise(engine, message, empty))
    },
    upgrade: choice => run('up', choice),
    downgrade: choice => run('down', choice),
    async history(choice) {
      await migrationsPackage()
      return each(choice, readHistory)
    },
    async check(choice) {
      await migrationsPackage()
      return each(choice, checkEngine)
    },
    async stamp(choice) {
      const plans = await each(choice, engine => planStamp(engine, choice?.to))
      return inTurn(plans, async plan => {
        const { engine, mark, unmark } = choice?.sql ? plan : await runStamp(plan, context)
        const sql = choice?.sql ? await printStamp(plan) : undefined
        return { engine: engine.name, marked: mark, unmarked: unmark, sql }
      })
    },
    createAll: choice => each(choice, engine => createTables(engine, choice?.sql ?? false)),
    dropAll: async choice =>
      inTurn(select(choice).reverse(), engine => dropTables(engine, choice?.sql ?? false, context)),
    dumpData: ({ write, ...choice }) => each(choice, engine => dumpEngine(engine, write, onEvent)),
    loadData: ({ lines, name = 'the dump', ...choice }) =>
      each(choice, engine => loadEngine(engine, app.sqlAssist.engines.names(), lines, name, context)),
    seed: async choice => runSeeders(select(choice), choice?.seeders ?? ['DatabaseSeeder']),
  }
}

async function inTurn<In, Out>(items: readonly In[], work: (item: In) => Promise<Out> | Out): Promise<Out[]> {
  const results: Out[] = []
  for (const item of items) results.push(await work(item))
  return results
}

function validate(options: MigrationsOptions): void {
  const { directory, lockTimeout, onEvent } = options
  const unknown = Object.keys(options).find(name => !KNOWN.includes(name))
  if (unknown !== undefined)
    throw new core.SQLA_ERR_INVALID_OPTION(unknown, `is none; there are: ${KNOWN.join(', ')}`)
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) {
    throw new core.SQLA_ERR_INVALID_OPTION('directory', 'must be a path')
  }
  if (lockTimeout !== undefined && !(typeof lockTimeout === 'number' && lockTimeout > 0)) {
    throw new core.SQLA_ERR_INVALID_OPTION('lockTimeout', 'must be a number of milliseconds above 0')
  }
  if (onEvent !== undefined && typeof onEvent !== 'function') {
    throw new core.SQLA_ERR_INVALID_OPTION('onEvent', 'must be a function')
  }
}
