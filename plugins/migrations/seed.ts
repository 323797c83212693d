import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Constructor } from '@mikro-orm/core'
import type { Seeder } from '@mikro-orm/seeder'
import { errors, reasonOf } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { seederPackage } from './peers.ts'

/** Which seeders ran on an engine. */
export interface SeedResult {
  readonly engine: string
  readonly seeders: readonly string[]
}

type SeederClass = Constructor<Seeder>

const FILE = /^(?!.*\.d\.[cm]?ts$).+\.[cm]?[jt]s$/

/** Where an engine has its seeders: `seeders/<engine>`, or the path of its configuration. */
function folderOf({ engine, orm, name }: MigratedEngine): string {
  const given = (engine.owned ? engine.options.orm : orm.config.getAll()) as {
    seeder?: { path?: string; pathTs?: string }
  }
  const path = given.seeder?.pathTs ?? given.seeder?.path
  return path === undefined ? resolve('seeders', name) : resolve(orm.config.get('baseDir'), path)
}

/**
 * Runs seeders by the names of their classes, each on the engines that have it.
 *
 * @throws SQLA_ERR_MIGRATION_SEEDER when no engine has one of them, or one fails
 */
export async function runSeeders(
  engines: readonly MigratedEngine[],
  names: readonly string[],
): Promise<SeedResult[]> {
  const { SeedManager } = await seederPackage()
  const found = new Map<MigratedEngine, Map<string, SeederClass>>()
  for (const engine of engines) found.set(engine, await seedersOf(engine))
  for (const name of names) {
    if ([...found.values()].some(classes => classes.has(name))) continue
    const others = [...found.values()].flatMap(classes => [...classes.keys()])
    const folders = engines.map(folderOf).join(', ')
    throw new errors.SQLA_ERR_MIGRATION_SEEDER(
      name,
      `no file of ${folders} exports it; there is ${[...new Set(others)].join(', ') || 'none'}`,
    )
  }
  const results: SeedResult[] = []
  for (const [engine, classes] of found) {
    const seeders: string[] = []
    for (const name of names) {
      const seeder = classes.get(name)
      if (seeder === undefined) continue
      try {
        await new SeedManager(engine.orm.em.fork({ disableContextResolution: true }) as never).seed(
          seeder as never,
        )
      } catch (error) {
        throw new errors.SQLA_ERR_MIGRATION_SEEDER(name, `on engine '${engine.name}': ${reasonOf(error)}`, {
          cause: error,
        })
      }
      seeders.push(name)
    }
    results.push({ engine: engine.name, seeders })
  }
  return results
}

async function seedersOf(engine: MigratedEngine): Promise<Map<string, SeederClass>> {
  const folder = folderOf(engine)
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new errors.SQLA_ERR_MIGRATION_SEEDER(`folder ${folder}`, reasonOf(error), { cause: error })
  })
  const classes = new Map<string, SeederClass>()
  for (const file of files.filter(name => FILE.test(name)).sort()) {
    const path = join(folder, file)
    const module: Record<string, unknown> = await import(pathToFileURL(path).href).catch(error => {
      throw new errors.SQLA_ERR_MIGRATION_SEEDER(`file ${path}`, reasonOf(error), { cause: error })
    })
    for (const [name, value] of Object.entries(module)) {
      if (typeof value === 'function' && typeof value.prototype?.run === 'function') {
        classes.set(name, value as SeederClass)
      }
    }
  }
  return classes
}
