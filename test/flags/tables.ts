import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { FlagStorage } from '../../plugins/flags/index.ts'
import sqlAssist, { type Engine } from '../../src/index.ts'
import type { TestBackend } from '../support/backends.ts'

// Tables of flags in the database of a test file.

/** Names that flags may have, however odd. */
export const NAMES = [
  'two words',
  'a/b',
  'a\\b',
  '<script>alert(1)</script>',
  "'; drop table x; --",
  '😀',
  'Ünï',
  '?',
  '%',
  '__proto__',
  'constructor',
]

/** An application with the engine `writer`, and as many sets of tables as are asked for. */
export interface TestTables {
  readonly app: FastifyInstance
  readonly on: Engine
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  quote(name: string): string
  /** Fresh names, which need to be quoted. */
  names(): Record<'flagsTable' | 'metadataTable' | 'historyTable' | 'usageTable', string>
  /** An empty storage in tables of its own. */
  make(): Promise<FlagStorage>
}

export async function tablesOn(
  t: Test,
  backend: TestBackend,
  routes: (app: FastifyInstance) => void = () => {},
): Promise<TestTables> {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = backend.options({ entities: [], discovery: { warnWhenNoEntities: false } }) as never
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  routes(app)
  await app.ready()
  const on = app.sqlAssist.engines.get('writer')
  let made = 0
  const names: TestTables['names'] = () => {
    made++
    return {
      flagsTable: `Flags "${made}`,
      metadataTable: `meta_${made}`,
      historyTable: `History "${made}`,
      usageTable: `Usage "${made}`,
    }
  }
  return {
    app,
    on,
    sql: (text, values = []) => on.orm.em.fork().execute(text, values),
    quote: name => on.orm.em.getPlatform().quoteIdentifier(name).toString(),
    names,
    async make() {
      const storage = new FlagStorage({ on, ...names() })
      await storage.createTables()
      return storage
    },
  }
}
