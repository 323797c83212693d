import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EntitySchema, Options } from '@mikro-orm/core'
import { p } from '@mikro-orm/core'
import { defineEntity } from '@mikro-orm/sql'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import {
  type MigrationEvent,
  type Migrations,
  type MigrationsOptions,
  migrations,
} from '../../plugins/migrations/index.ts'
import sqlAssist from '../../src/index.ts'
import type { TestBackend } from '../support/backends.ts'

// An application whose entities change from release to release, and a folder for its revisions.

const author = {
  id: p.integer().primary(),
  name: p.string().length(80).unique(),
  kind: p.enum(['poet', 'clerk']).default('poet'),
}
const book = { id: p.integer().primary(), title: p.string(), price: p.decimal().precision(10).scale(2) }

/** The entities of the first release; the two tables point to each other. */
export function first() {
  const Author = defineEntity({
    name: 'Author',
    properties: { ...author, best: () => p.manyToOne(Book as never).nullable() },
  })
  const Book: EntitySchema = defineEntity({
    name: 'Book',
    properties: { ...book, author: () => p.manyToOne(Author) },
  }) as never
  return [Author, Book]
}

/** The second release: a column more, a column that may be null, another table. */
export function second() {
  const Author = defineEntity({
    name: 'Author',
    properties: { ...author, born: p.date().nullable(), best: () => p.manyToOne(Book as never).nullable() },
  })
  const Book: EntitySchema = defineEntity({
    name: 'Book',
    properties: { ...book, title: p.string().nullable(), author: () => p.manyToOne(Author) },
  }) as never
  const Shelf = defineEntity({
    name: 'Shelf',
    properties: { id: p.integer().primary(), label: p.string().default('so; so') },
  })
  return [Author, Book, Shelf]
}

/** What a second engine in the same database has. */
export const Line = defineEntity({
  name: 'Line',
  properties: { id: p.integer().primary(), text: p.text() },
})

export interface Release {
  readonly app: FastifyInstance
  readonly migrations: Migrations
  readonly events: MigrationEvent[]
  /** Runs SQL on an engine, and answers with its rows. */
  sql(text: string, engine?: string): Promise<Record<string, unknown>[]>
  /** The tables that there are. */
  tables(): Promise<string[]>
  close(): Promise<void>
}

/** A folder that is removed with `t`, and in which revisions find the packages that they import. */
export async function makeFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sqlassist-migrations-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'))
  return folder
}

/** Starts the application with these entities, as a new release of it would. */
export async function release(
  t: Test,
  backend: TestBackend,
  folder: string,
  entities: readonly unknown[],
  more: {
    options?: Partial<MigrationsOptions>
    engines?: Record<string, Partial<Options>>
    orm?: Partial<Options>
  } = {},
): Promise<Release> {
  const app = Fastify()
  const quiet = { debug: false, logger: () => {} }
  const engines = Object.fromEntries(
    Object.entries({ writer: { entities, ...more.orm } as Partial<Options>, ...more.engines }).map(
      ([name, options]) => [name, { orm: backend.options({ ...quiet, ...options }) }],
    ),
  )
  await app.register(sqlAssist, { engines })
  t.teardown(() => app.close())
  const events: MigrationEvent[] = []
  const sql = async (text: string, engine = 'writer') =>
    (await app.sqlAssist.engines.get(engine).orm.driver.getConnection('write').execute(text)) as Record<
      string,
      unknown
    >[]
  return {
    app,
    events,
    sql,
    migrations: migrations(app, {
      directory: folder,
      onEvent: event => events.push(event),
      ...more.options,
    }),
    async tables() {
      const queries = {
        postgresql: "select tablename as name from pg_tables where schemaname = 'public'",
        mysql: 'select table_name as name from information_schema.tables where table_schema = database()',
        sqlite: "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'",
      }
      return (await sql(queries[backend.dialect])).map(row => String(row.name)).sort()
    },
    close: () => app.close() as unknown as Promise<void>,
  }
}

/** The files of an engine's folder. */
export async function filesOf(folder: string, engine = 'writer'): Promise<string[]> {
  return (await readdir(join(folder, engine))).sort()
}

/** Writes a revision by hand. */
export async function writeRevision(
  folder: string,
  name: string,
  up: string,
  down = '',
  members = '',
): Promise<void> {
  const { mkdir } = await import('node:fs/promises')
  await mkdir(join(folder, 'writer'), { recursive: true })
  await writeFile(
    join(folder, 'writer', `${name}.ts`),
    `import { Migration } from '@mikro-orm/migrations'
export class Revision extends Migration {
  ${members}
  override ${up.includes('await ') ? 'async ' : ''}up() { ${up} }
  ${down === '' ? '' : `override down() { ${down} }`}
}
`,
  )
}

export const textOf = (folder: string, file: string): Promise<string> =>
  readFile(join(folder, 'writer', file), 'utf8')
