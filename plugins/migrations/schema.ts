import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSchema, SchemaComparator } from '@mikro-orm/sql'
import { errors, reasonOf } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { migrationsPackage } from './peers.ts'

// What the entities want, what the newest revision leaves behind (its snapshot), and what the database has. All three
// know the tables of one engine only: another engine may live in the same database.

/** The statements that lead from one schema to another, and back. */
export interface SchemaDiff {
  readonly up: string[]
  readonly down: string[]
}

export function entitySchema(engine: MigratedEngine): DatabaseSchema {
  return engine.generator.getTargetSchema()
}

export function emptySchema(engine: MigratedEngine): DatabaseSchema {
  return new DatabaseSchema(engine.platform, entitySchema(engine).name)
}

/** The tables in the database that belong to the engine's entities, as they are there. */
export async function databaseSchema(engine: MigratedEngine): Promise<DatabaseSchema> {
  const { connection, platform, orm } = engine
  const target = entitySchema(engine)
  const { skipTables, skipViews } = orm.config.get('schemaGenerator')
  const mine = [...target.getTables().map(table => table.name)]
  const found = await DatabaseSchema.create(
    connection,
    platform,
    orm.config as never,
    undefined,
    target.getNamespaces(),
    mine,
    skipTables,
    skipViews,
  )
  const wanted = new Set(target.getTables().map(table => table.getShortestName(false)))
  found.setTables(found.getTables().filter(table => wanted.has(table.getShortestName(false))))
  found.setViews(found.getViews().filter(view => target.hasView(view.name)))
  const enums = Object.entries(found.getNativeEnums()).filter(([name]) => target.hasNativeEnum(name))
  found.setNativeEnums(Object.fromEntries(enums))
  return found
}

export function snapshotPath(engine: MigratedEngine): string | undefined {
  return engine.snapshot === undefined ? undefined : join(engine.folder, `${engine.snapshot}.json`)
}

/**
 * The schema that the newest revision leaves behind.
 *
 * @returns undefined when there is no snapshot
 * @throws SQLA_ERR_MIGRATION_FOLDER when it cannot be read
 */
export async function snapshotSchema(engine: MigratedEngine): Promise<DatabaseSchema | undefined> {
  const path = snapshotPath(engine)
  if (path === undefined) return undefined
  try {
    JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new errors.SQLA_ERR_MIGRATION_FOLDER(
      engine.name,
      `the snapshot ${path} cannot be read: ${reasonOf(error)}. Restore it from your version control`,
    )
  }
  return (await snapshotReader(engine)).read()
}

/** MikroORM's migrator knows how to read what it writes, but only tells those who inherit from it. */
async function snapshotReader(engine: MigratedEngine) {
  const { Migrator } = await migrationsPackage()
  class SnapshotReader extends Migrator {
    protected override readonly options = {
      ...engine.settings,
      path: engine.folder,
      emit: 'js' as const,
      snapshot: true,
      snapshotName: engine.snapshot as string,
      silent: true,
    }

    read(): Promise<DatabaseSchema | undefined> {
      return this.getSchemaFromSnapshot() as Promise<DatabaseSchema | undefined>
    }
  }
  return new SnapshotReader(engine.orm.em as never)
}

/** Writes down what the entities want as what the newest revision leaves behind. */
export async function writeSnapshot(engine: MigratedEngine, schema: DatabaseSchema): Promise<void> {
  const path = snapshotPath(engine)
  if (path === undefined) return
  await mkdir(engine.folder, { recursive: true })
  await writeFile(path, `${JSON.stringify(schema, null, 2)}\n`)
}

export function compareSchemas(engine: MigratedEngine, from: DatabaseSchema, to: DatabaseSchema): SchemaDiff {
  const comparator = new SchemaComparator(engine.platform)
  const up = comparator.compare(from, to)
  const down = comparator.compare(to, from, up)
  const { safe = false, dropTables = true } = engine.settings
  return {
    up: statements(engine, up, { safe, dropTables }),
    down: statements(engine, down, { safe: false, dropTables: true }),
  }
}

/** What drops every table, view and type of a schema. */
export function dropStatements(engine: MigratedEngine, schema: DatabaseSchema): string[] {
  const difference = new SchemaComparator(engine.platform).compare(schema, emptySchema(engine))
  return statements(engine, difference, { safe: false, dropTables: true })
}

type Difference = ReturnType<SchemaComparator['compare']>

function statements(
  engine: MigratedEngine,
  difference: Difference,
  options: { safe: boolean; dropTables: boolean },
): string[] {
  const own = {
    ...difference,
    // Somebody else may have tables in it.
    removedNamespaces: new Set<string>(),
    // A snapshot does not hold them, so they would be new every time.
    newRoutines: {},
    changedRoutines: {},
    removedRoutines: {},
  }
  // `cascade` would drop what others have made of a table along with it: their views, their foreign keys.
  return splitStatements(engine.generator.diffToSQL(own, { wrap: false, ...options })).map(sql =>
    sql.replace(/^(drop table .*) cascade;$/, '$1;'),
  )
}

/** At the ends of lines, but not inside a literal or the body of a function. */
export function splitStatements(sql: string): string[] {
  const found: string[] = []
  let open = ''
  const chunks = sql.split(/;\n/)
  for (const [index, chunk] of chunks.entries()) {
    open += open === '' ? chunk : `;\n${chunk}`
    const isInside = open.split("'").length % 2 === 0 || open.split('$$').length % 2 === 0
    if (isInside && index < chunks.length - 1) continue
    const statement = open.trim().replace(/;$/, '')
    if (statement !== '') found.push(`${statement};`)
    open = ''
  }
  return found
}
