import type { Transaction } from '@mikro-orm/core'
import type { MigrationStorage } from '@mikro-orm/migrations'
import { hold, recorder } from './connection.ts'
import type { MigratedEngine } from './migrated-engine.ts'
import { migrationsPackage } from './peers.ts'

/** One line of the bookkeeping. */
export interface Applied {
  readonly name: string
  readonly at: Date
}

/** Which revisions are applied, in the table that MikroORM's migrator keeps, on one connection. */
export class Bookkeeping {
  readonly #engine: MigratedEngine
  readonly #storage: MigrationStorage
  readonly #ctx: Transaction

  private constructor(engine: MigratedEngine, storage: MigrationStorage, ctx: Transaction) {
    this.#engine = engine
    this.#storage = storage
    this.#ctx = ctx
    storage.setMasterMigration(ctx)
  }

  static async on(engine: MigratedEngine, ctx: Transaction): Promise<Bookkeeping> {
    const { MigrationStorage } = await migrationsPackage()
    const options = { ...engine.settings, tableName: engine.table }
    return new Bookkeeping(engine, new MigrationStorage(engine.orm.driver as never, options), ctx)
  }

  /** The applied revisions, in the order in which they were applied. Makes no table: whoever looks changes nothing. */
  async read(): Promise<Applied[]> {
    if (!(await this.exists())) return []
    const rows = await this.#storage.getExecutedMigrations()
    return rows.map(row => ({ name: this.#storage.getMigrationName(row.name), at: row.executed_at }))
  }

  exists(): Promise<boolean> {
    const { tableName, schemaName } = this.#storage.getTableName()
    const helper = this.#engine.platform.getSchemaHelper()
    return (
      helper?.tableExists(this.#engine.connection, tableName, schemaName, this.#ctx) ?? Promise.resolve(false)
    )
  }

  async ensureTable(): Promise<void> {
    await this.#storage.ensureTable()
  }

  async mark(name: string): Promise<void> {
    await this.#storage.logMigration({ name })
  }

  async unmark(name: string): Promise<void> {
    await this.#storage.unlogMigration({ name })
  }

  async drop(): Promise<void> {
    const { tableName, schemaName } = this.#storage.getTableName()
    const table = [schemaName, tableName].filter(part => part !== undefined).join('.')
    const sql = `drop table if exists ${this.#engine.platform.quoteIdentifier(table)}`
    await this.#engine.connection.execute(sql, [], 'run', this.#ctx)
  }
}

/** What is applied right now, without a lock. */
export function readApplied(engine: MigratedEngine): Promise<Applied[]> {
  return hold(engine, async ({ ctx }) => (await Bookkeeping.on(engine, ctx)).read())
}

/** A bookkeeping that looks at the database but only writes down what it would change there. */
export async function recordedBookkeeping(
  engine: MigratedEngine,
  ctx: Transaction,
  onStatement: (sql: string) => void,
): Promise<Bookkeeping> {
  const record = recorder(onStatement)
  const looking = {
    executeQuery: (query: { sql: string }) =>
      (/^\s*(select|pragma|show)\b/i.test(query.sql) ? ctx : record).executeQuery(query as never),
  }
  return Bookkeeping.on(engine, looking as unknown as Transaction)
}
