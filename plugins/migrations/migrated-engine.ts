import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { MigrationsOptions } from '@mikro-orm/core'
import type { AbstractSqlConnection, AbstractSqlPlatform, SqlSchemaGenerator } from '@mikro-orm/sql'
import type { FastifyInstance } from 'fastify'
import type { Engine } from '../../src/index.ts'
import { errors } from './errors.ts'

/** An engine that has migrations, and where it has them. */
export interface MigratedEngine {
  readonly name: string
  readonly engine: Engine
  readonly orm: Engine['orm']
  readonly dialect: 'postgresql' | 'mysql' | 'sqlite'
  readonly connection: AbstractSqlConnection
  readonly platform: AbstractSqlPlatform
  readonly generator: SqlSchemaGenerator
  /** The folder of its revisions, absolute. */
  readonly folder: string
  /** The table that says which of them are applied, with its schema in front where the configuration says one. */
  readonly table: string
  /** Name of the snapshot's file in the folder, without `.json`; undefined when the configuration wants none. */
  readonly snapshot: string | undefined
  readonly emit: 'ts' | 'js'
  /** What the engine's MikroORM configuration says about migrations. */
  readonly settings: MigrationsOptions
}

/** MikroORM's own, which every engine would share. */
const DEFAULT_TABLE = 'mikro_orm_migrations'

/**
 * The engines that an operation is for, in the order of the application.
 *
 * @param names the ones wanted; without it all that write
 * @returns them, and those that were left out because they are read-only
 * @throws SQLA_ERR_MIGRATION_APP, SQLA_ERR_MIGRATION_ENGINE, SQLA_ERR_MIGRATION_FOLDER, SQLA_ERR_UNKNOWN_ENGINE
 */
export function selectEngines(
  app: FastifyInstance,
  directory: string,
  names: string | readonly string[] | undefined,
): { engines: MigratedEngine[]; skipped: string[] } {
  if (!app?.hasDecorator?.('sqlAssist')) {
    throw new errors.SQLA_ERR_MIGRATION_APP(
      'register fastify-sqlassist on this instance, not inside a context of its own',
    )
  }
  const registered = [...app.sqlAssist.engines] as Engine[]
  const wanted = names === undefined ? undefined : new Set([names].flat())
  for (const name of wanted ?? []) {
    const engine: Engine = app.sqlAssist.engines.get(name)
    if (engine.readOnly) {
      throw new errors.SQLA_ERR_MIGRATION_ENGINE(
        name,
        'it is readOnly. Name the engine that writes its tables',
      )
    }
  }
  const writing = registered.filter(engine => !engine.readOnly)
  const all = writing.map(engine => migratedEngine(engine, directory))
  assertApart(all)
  return {
    engines: all.filter(({ name }) => wanted?.has(name) ?? true),
    skipped:
      wanted === undefined ? registered.filter(engine => engine.readOnly).map(engine => engine.name) : [],
  }
}

function migratedEngine(engine: Engine, directory: string): MigratedEngine {
  const { orm, name, dialect } = engine
  if (dialect === 'other') {
    throw new errors.SQLA_ERR_MIGRATION_ENGINE(name, 'migrations know PostgreSQL, MySQL, MariaDB and SQLite')
  }
  const settings = orm.config.get('migrations')
  if ('schema' in settings && settings.schema !== undefined) {
    throw new errors.SQLA_ERR_MIGRATION_ENGINE(
      name,
      'migrations.schema is not supported; say the search_path of the role that the engine logs in with',
    )
  }
  const given = givenSettings(engine)
  const emit = settings.emit === 'ts' || settings.emit === undefined ? 'ts' : 'js'
  return {
    name,
    engine,
    orm,
    dialect,
    connection: orm.driver.getConnection('write'),
    platform: orm.driver.getPlatform() as AbstractSqlPlatform,
    generator: orm.schema as unknown as SqlSchemaGenerator,
    folder: folderOf(given, emit, orm.config.get('baseDir')) ?? resolve(directory, name),
    table: given.tableName ?? `${DEFAULT_TABLE}_${name}`,
    snapshot: settings.snapshot === false ? undefined : (given.snapshotName ?? '.snapshot'),
    emit,
    settings,
  }
}

/** The sources where they are, what was compiled from them where only that is. */
function folderOf(
  { path, pathTs }: MigrationsOptions,
  emit: 'ts' | 'js',
  baseDir: string,
): string | undefined {
  const inOrder = emit === 'ts' ? [pathTs, path] : [path, pathTs]
  const folders = inOrder.filter(folder => folder !== undefined).map(folder => resolve(baseDir, folder))
  return folders.find(folder => existsSync(folder)) ?? folders[0]
}

/** What the application has set itself. An instance has MikroORM's defaults mixed in. */
function givenSettings(engine: Engine): MigrationsOptions {
  const { orm } = engine.options
  if (engine.owned) return (orm as { migrations?: MigrationsOptions }).migrations ?? {}
  const { tableName, ...settings } = engine.orm.config.get('migrations')
  return tableName === undefined || tableName === DEFAULT_TABLE ? settings : { ...settings, tableName }
}

/** Two engines with one folder would each apply the other's revisions; with one table, each believe the other's. */
function assertApart(engines: readonly MigratedEngine[]): void {
  const folders = new Map<string, string>()
  const tables = new Map<string, string>()
  for (const { name, folder, table, orm } of engines) {
    const { host = '', port = '', dbName = '' } = orm.config.getAll()
    for (const [places, place, what] of [
      [folders, folder, 'folder'],
      [tables, JSON.stringify([host, port, dbName, table]), 'migrations.tableName'],
    ] as const) {
      const other = places.get(place)
      if (other !== undefined) {
        throw new errors.SQLA_ERR_MIGRATION_FOLDER(
          name,
          `engine '${other}' has the same ${what}; give each its own (${what === 'folder' ? 'migrations.path' : what})`,
        )
      }
      places.set(place, name)
    }
  }
}
