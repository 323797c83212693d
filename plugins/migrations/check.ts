import { readApplied } from './bookkeeping.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { pendingChanges } from './revise.ts'
import { listRevisions } from './revisions.ts'
import { compareSchemas, databaseSchema, entitySchema } from './schema.ts'

/** One revision of a history. */
export interface HistoryEntry {
  readonly revision: string
  /** Its file; undefined when there is none (any more), or it is one of `migrationsList`. */
  readonly file: string | undefined
  readonly state: 'applied' | 'pending' | 'missing'
  /** When it was applied. */
  readonly at: Date | undefined
}

export interface History {
  readonly engine: string
  /** Oldest first. `missing` are applied and have no file. */
  readonly entries: readonly HistoryEntry[]
  /** The revision that was applied last. */
  readonly current: string | undefined
}

export async function readHistory(engine: MigratedEngine): Promise<History> {
  const revisions = await listRevisions(engine)
  const applied = await readApplied(engine)
  const at = new Map(applied.map(line => [line.name, line.at]))
  const files = new Set(revisions.map(({ name }) => name))
  const entries: HistoryEntry[] = [
    ...revisions.map(({ name, file }) => ({
      revision: name,
      file,
      state: at.has(name) ? ('applied' as const) : ('pending' as const),
      at: at.get(name),
    })),
    ...applied
      .filter(({ name }) => !files.has(name))
      .map(line => ({ revision: line.name, file: undefined, state: 'missing' as const, at: line.at })),
  ]
  entries.sort((a, b) => (a.revision < b.revision ? -1 : 1))
  return { engine: engine.name, entries, current: applied.at(-1)?.name }
}

/** Whether entities, revisions and database agree, and if not, in what. All lists are empty when they do. */
export interface CheckResult {
  readonly engine: string
  readonly ok: boolean
  /** The statements of the revision that somebody forgot to write: the entities have changed since the newest one. */
  readonly changes: readonly string[]
  /** Revisions that are not applied to this database. */
  readonly pending: readonly string[]
  /** Revisions that are applied to this database and have no file. */
  readonly missing: readonly string[]
  /** Statements that would make the database what the entities say. Only looked for when nothing else is wrong. */
  readonly drift: readonly string[]
}

/** @throws SQLA_ERR_MIGRATION_FOLDER */
export async function checkEngine(engine: MigratedEngine): Promise<CheckResult> {
  const changes = (await pendingChanges(engine)).up
  const { entries } = await readHistory(engine)
  const names = (state: HistoryEntry['state']) =>
    entries.filter(entry => entry.state === state).map(entry => entry.revision)
  const pending = names('pending')
  const missing = names('missing')
  const isSettled = changes.length + pending.length + missing.length === 0
  const drift = isSettled ? compareSchemas(engine, await databaseSchema(engine), entitySchema(engine)).up : []
  return {
    engine: engine.name,
    ok: isSettled && drift.length === 0,
    changes,
    pending,
    missing,
    drift,
  }
}
