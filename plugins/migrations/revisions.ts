import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Constructor } from '@mikro-orm/core'
import type { Migration } from '@mikro-orm/migrations'
import { errors, reasonOf } from './errors.ts'
import type { MigratedEngine } from './migrated-engine.ts'

/** One step of a schema's history: a file with a class that has `up()` and `down()`. */
export interface Revision {
  /** What the bookkeeping knows it by: the file's name without its ending. */
  readonly name: string
  /** Its file; undefined when it is one of `migrationsList`. */
  readonly file: string | undefined
  /** @throws SQLA_ERR_MIGRATION_FILE */
  load(): Promise<Migration>
}

const FILE = /^(?!.*\.d\.[cm]?ts$)(.+)\.[cm]?[jt]s$/
/** `20250131120000_add_authors`; MikroORM's own names have `Migration` in front. */
const NAME = /^(?:Migration)?(\d{14})(?:_(.+))?$/

/** The parts of a revision's name: when it was made, and what it does. */
export function partsOf(name: string): { timestamp: string | undefined; slug: string | undefined } {
  const [, timestamp, slug] = NAME.exec(name) ?? []
  return { timestamp, slug }
}

/** What a message becomes in the name of a file: `Add authors!` → `add_authors`. */
export function slugOf(message: string): string {
  return message
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^\p{L}\p{N}]+/gu, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 60)
    .replace(/_+$/, '')
}

/**
 * A timestamp behind that of the newest revision: order is the order of names, whatever the clock says.
 *
 * @param newest the name of the newest revision there is
 */
export function nextTimestamp(now: Date, newest: string | undefined): string {
  const text = (date: Date) => date.toISOString().replace(/[-T:]|\..*$/g, '')
  const last = newest === undefined ? undefined : partsOf(newest).timestamp
  if (last === undefined || last < text(now)) return text(now)
  const iso = last.replace(/^(....)(..)(..)(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6Z')
  return text(new Date(Date.parse(iso) + 1_000))
}

/**
 * Every revision of an engine, oldest first; empty when the folder does not exist yet.
 *
 * @throws SQLA_ERR_MIGRATION_FOLDER
 */
export async function listRevisions(engine: MigratedEngine): Promise<Revision[]> {
  const { migrationsList } = engine.settings
  if (migrationsList !== undefined) {
    return migrationsList.map(entry => {
      const type = (typeof entry === 'function' ? entry : entry.class) as unknown as Constructor<Migration>
      const name = typeof entry === 'function' ? entry.name : entry.name
      return revision(engine, name, undefined, async () => type)
    })
  }
  const files = await readdir(engine.folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new errors.SQLA_ERR_MIGRATION_FOLDER(engine.name, `cannot be read: ${reasonOf(error)}`)
  })
  const byName = new Map<string, string>()
  for (const file of files.sort()) {
    const name = FILE.exec(file)?.[1]
    if (name === undefined) continue
    const twin = byName.get(name)
    if (twin !== undefined) {
      throw new errors.SQLA_ERR_MIGRATION_FOLDER(engine.name, `${twin} and ${file} are the same revision`)
    }
    byName.set(name, file)
  }
  return [...byName]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, file]) => {
      const path = join(engine.folder, file)
      return revision(engine, name, path, () => classIn(path))
    })
}

function revision(
  engine: MigratedEngine,
  name: string,
  file: string | undefined,
  find: () => Promise<Constructor<Migration> | undefined>,
): Revision {
  return {
    name,
    file,
    async load() {
      try {
        const type = await find()
        if (type !== undefined) return new type(engine.orm.driver as never, engine.orm.config as never)
      } catch (error) {
        throw new errors.SQLA_ERR_MIGRATION_FILE(name, engine.name, reasonOf(error), { cause: error })
      }
      throw new errors.SQLA_ERR_MIGRATION_FILE(name, engine.name, 'it exports no class with up()')
    },
  }
}

async function classIn(path: string): Promise<Constructor<Migration> | undefined> {
  const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  return Object.values(module).find(
    value => typeof value === 'function' && typeof value.prototype?.up === 'function',
  ) as Constructor<Migration> | undefined
}
