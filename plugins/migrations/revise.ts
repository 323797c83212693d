import { readApplied } from './bookkeeping.ts'
import { errors } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { listRevisions } from './revisions.ts'
import {
  compareSchemas,
  databaseSchema,
  emptySchema,
  entitySchema,
  type SchemaDiff,
  snapshotPath,
  snapshotSchema,
  writeSnapshot,
} from './schema.ts'
import { writeRevision } from './write-revision.ts'

/** A revision that was written, or would have been empty. */
export interface RevisionResult {
  readonly engine: string
  /** Its file; undefined when there was nothing to do. */
  readonly file: string | undefined
  readonly up: readonly string[]
  readonly down: readonly string[]
}

/** @throws SQLA_ERR_MIGRATION_FOLDER */
export async function revise(
  engine: MigratedEngine,
  message: string,
  isEmpty: boolean,
): Promise<RevisionResult> {
  const { up, down } = isEmpty ? { up: [], down: [] } : await pendingChanges(engine)
  if (!isEmpty && up.length === 0) return { engine: engine.name, file: undefined, up, down }
  const file = await writeRevision(engine, message, { up, down })
  if (!isEmpty) await writeSnapshot(engine, entitySchema(engine))
  return { engine: engine.name, file, up, down }
}

/**
 * What the entities have that no revision has brought. The snapshot tells, without a look at the database; where the
 * configuration wants no snapshot, the database does.
 *
 * @throws SQLA_ERR_MIGRATION_FOLDER
 */
export async function pendingChanges(engine: MigratedEngine): Promise<SchemaDiff> {
  const from = (await snapshotSchema(engine)) ?? (await schemaWithoutSnapshot(engine))
  return compareSchemas(engine, from, entitySchema(engine))
}

async function schemaWithoutSnapshot(engine: MigratedEngine) {
  const revisions = await listRevisions(engine)
  if (revisions.length === 0) return emptySchema(engine)
  const path = snapshotPath(engine)
  if (path !== undefined) {
    throw new errors.SQLA_ERR_MIGRATION_FOLDER(
      engine.name,
      `there are revisions, but the snapshot ${path} is missing. Restore it from your version control`,
    )
  }
  const applied = new Set((await readApplied(engine)).map(({ name }) => name))
  const pending = revisions.filter(({ name }) => !applied.has(name))
  if (pending.length === 0) return databaseSchema(engine)
  throw new errors.SQLA_ERR_MIGRATION_FOLDER(
    engine.name,
    `without a snapshot the database must be at the newest revision; ${pending.length} are pending`,
  )
}
