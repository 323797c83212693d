import { type Engine, listen, runOn, type SqlEm } from '../../src/index.ts'
import { completeFlag, type FlagData, type FlagInput } from './flag-data.ts'
import { actionOf } from './history.ts'
import { HistoryTable } from './history-table.ts'
import { isMySql, isPostgres, nameType, tableName } from './sql.ts'
import type { Changes, FlagStore, HistoryEntry, HistoryOptions, UpsertOptions, Usage } from './store.ts'
import { UsageTable } from './usage-table.ts'
import { baseOf } from './versions.ts'

/** Where the flags of a {@link FlagStorage} are. */
export interface FlagStorageOptions {
  /**
   * An engine (`app.sqlAssist.engines.get('writer')`): every call is a transaction of its own. Or a session
   * (`request.db.writer`): what is saved is committed or rolled back with the request.
   */
  readonly on: Engine | SqlEm
  /** Default `'flypper_flags'`. */
  readonly flagsTable?: string
  /** Default `'flypper_metadata'`. */
  readonly metadataTable?: string
  /** Who has changed what, and when. Default: `flagsTable` and `_history`. */
  readonly historyTable?: string
  /** When which flag was last asked for. Default: `flagsTable` and `_usage`. */
  readonly usageTable?: string
  /** The schema of the tables. Default: that of the connection. */
  readonly schema?: string
}

/** The rows of the metadata table: the counter, which is flypper's, and when a row was last deleted. */
const VERSION = 'version'
const PURGED = 'purged_at_version'

/** ER_DUP_KEYNAME of MariaDB and MySQL. */
const DUPLICATE_KEY_NAME = 1061

interface Row {
  readonly name: string
  readonly version: number
  readonly data: string | FlagData
}

/** flypper keeps its counter as text. */
interface CounterRow {
  readonly key: string
  readonly value: string
}

/**
 * Flags in a database, in the tables of flypper-sqlalchemy: existing ones go on working, and both may use them at
 * once. Two more tables have the history and when flags were asked for; without them neither is written down.
 *
 * Every change takes its version from the counter's row under lock, until its transaction ends: versions are given in
 * the order of the commits, so that a client which asks for what is newer than the newest it has seen misses nothing. (A
 * sequence would be quicker, and let a client skip what commits late.) On PostgreSQL a commit notifies the clients.
 *
 * @example
 * ```ts
 * const storage = new FlagStorage({ on: app.sqlAssist.engines.get('writer') })
 * await storage.createTables()
 * await storage.upsert({ name: 'new-checkout', enabled: true })
 * ```
 */
export class FlagStorage implements FlagStore {
  readonly #on: Engine | SqlEm
  readonly #flags: string
  readonly #metadata: string
  readonly #index: string
  readonly #channel: string
  readonly #history: HistoryTable
  readonly #usage: UsageTable
  /** For `subscribe`, which needs a connection of its own. */
  readonly #engine: Engine | undefined

  constructor({
    on,
    flagsTable = 'flypper_flags',
    metadataTable = 'flypper_metadata',
    historyTable = `${flagsTable}_history`,
    usageTable = `${flagsTable}_usage`,
    schema,
  }: FlagStorageOptions) {
    this.#on = on
    this.#engine = 'getConnection' in on ? undefined : on
    const platform = ('getConnection' in on ? on : on.orm.em).getPlatform()
    const quote = (name: string) => platform.quoteIdentifier(name).toString()
    const table = (name: string) => tableName(quote, name, schema)
    this.#flags = table(flagsTable).sql
    this.#metadata = table(metadataTable).sql
    this.#history = new HistoryTable(table(historyTable))
    this.#usage = new UsageTable(table(usageTable))
    this.#index = quote(`ix_${flagsTable}_version`)
    this.#channel = `sqlassist_${schema === undefined ? '' : `${schema}_`}${flagsTable}`.slice(0, 63)
  }

  /**
   * Creates the tables and the index, if they are missing; two processes may do so at once. On MariaDB and MySQL that
   * ends a session's transaction.
   */
  async createTables(): Promise<void> {
    await this.#transaction(async em => {
      const text = nameType(em)
      const index = isMySql(em) ? `, index ${this.#index} (version)` : ''
      if (isPostgres(em)) await em.execute('select pg_advisory_xact_lock(hashtext(?))', [this.#channel])
      await em.execute(
        `create table if not exists ${this.#flags} (name ${text} not null primary key, version integer not null, data json not null${index})`,
      )
      await em.execute(
        `create table if not exists ${this.#metadata} (${this.#key(em)} ${text} not null primary key, value ${text} not null)`,
      )
      await this.#history.create(em)
      await this.#usage.create(em)
      if (isMySql(em)) return this.#createIndexOnMySql(em)
      await em.execute(`create index if not exists ${this.#index} on ${this.#flags} (version)`)
    })
  }

  async list({ versionGreaterThan = 0 }: { readonly versionGreaterThan?: number } = {}): Promise<FlagData[]> {
    return this.#read(em => this.#list(em, versionGreaterThan))
  }

  async get(name: string): Promise<FlagData | undefined> {
    return this.#read(em => this.#find(em, name, false))
  }

  async changesSince(version: number): Promise<Changes> {
    return this.#read(async em => {
      // Before the list, and the version is this one even if the list has later flags: what happens in between, a
      // purge perhaps, is asked for the next time.
      const { version: newest, purged } = await this.#counters(em)
      if (newest === version) return { version, flags: [], complete: false }
      const complete = version < purged || version > newest
      return { version: newest, flags: await this.#list(em, complete ? 0 : version), complete }
    })
  }

  async upsert(input: FlagInput, options: UpsertOptions = {}): Promise<FlagData> {
    // Checked before the database is asked, and again with what the flag had.
    completeFlag(input, undefined)
    return this.#change(async (em, version) => {
      const before = await this.#find(em, input.name)
      const base = baseOf(input.name, before, options.expectedVersion)
      const flag = { ...completeFlag(input, base), updated_at: Date.now() / 1000, version }
      if (before === undefined) await this.#insert(em, flag)
      else await this.#update(em, flag)
      await this.#history.add(em, actionOf(base, flag), flag, options.author)
      return flag
    })
  }

  async delete(name: string, options: UpsertOptions = {}): Promise<FlagData | undefined> {
    return this.#change(async (em, version) => {
      const before = await this.#find(em, name)
      if (before === undefined) return undefined
      baseOf(name, before, options.expectedVersion)
      const flag = { ...before, deleted: true, updated_at: Date.now() / 1000, version }
      await this.#update(em, flag)
      await this.#history.add(em, 'deleted', flag, options.author)
      return flag
    })
  }

  async purge(name: string, options: UpsertOptions = {}): Promise<boolean> {
    return this.#change(async (em, version) => {
      const before = await this.#find(em, name)
      if (before === undefined) return false
      baseOf(name, before, options.expectedVersion)
      await em.execute(`delete from ${this.#flags} where name = ?`, [name])
      await this.#makeCounter(em, PURGED)
      await this.#setCounter(em, PURGED, version)
      const last = { ...before, updated_at: Date.now() / 1000, version }
      await this.#history.add(em, 'purged', last, options.author)
      return true
    })
  }

  async history(name: string, options: HistoryOptions = {}): Promise<HistoryEntry[]> {
    return this.#read(em => this.#history.read(em, name, options))
  }

  async noteAsked(names: readonly string[]): Promise<void> {
    // A process that may only read leaves it to those that write.
    if (this.#engine?.readOnly) return
    return this.#read(em => this.#usage.note(em, names))
  }

  async usage(): Promise<Usage> {
    return this.#read(em => this.#usage.read(em))
  }

  subscribe(onChange: () => void): () => Promise<void> {
    const engine = this.#engine
    if (engine === undefined || !isPostgres(engine.orm.em)) {
      return async () => {}
    }
    return listen(engine, this.#channel, onChange)
  }

  /** Takes the next version, does the work with it, and tells everybody when that is committed. */
  async #change<R>(work: (em: SqlEm, version: number) => Promise<R>): Promise<R> {
    return this.#transaction(async em => {
      await this.#makeCounter(em, VERSION)
      // The lock of this row orders all changes; it ends with the transaction.
      const [row]: CounterRow[] = await em.execute(
        `select value from ${this.#metadata} where ${this.#key(em)} = ?${forUpdate(em)}`,
        [VERSION],
      )
      const version = Number(row?.value) + 1
      await this.#setCounter(em, VERSION, version)
      const result = await work(em, version)
      if (isPostgres(em)) {
        await em.execute('select pg_notify(?, ?)', [this.#channel, String(version)])
      }
      return result
    })
  }

  /** Two processes that save the first flag at the same time make one row. */
  async #makeCounter(em: SqlEm, name: string): Promise<void> {
    // MariaDB's `insert ignore` would share the lock of a row that is there, and two that share it cannot both go on.
    const otherwise = isMySql(em) ? 'on duplicate key update value = value' : 'on conflict do nothing'
    await em.execute(`insert into ${this.#metadata} (${this.#key(em)}, value) values (?, '0') ${otherwise}`, [
      name,
    ])
  }

  async #setCounter(em: SqlEm, name: string, version: number): Promise<void> {
    await em.execute(`update ${this.#metadata} set value = ? where ${this.#key(em)} = ?`, [
      String(version),
      name,
    ])
  }

  async #counters(em: SqlEm): Promise<{ version: number; purged: number }> {
    const rows: CounterRow[] = await em.execute(
      `select ${this.#key(em)}, value from ${this.#metadata} where ${this.#key(em)} in (?, ?)`,
      [VERSION, PURGED],
    )
    const counterOf = (name: string) => Number(rows.find(row => row.key === name)?.value ?? 0)
    return { version: counterOf(VERSION), purged: counterOf(PURGED) }
  }

  async #list(em: SqlEm, versionGreaterThan: number): Promise<FlagData[]> {
    const rows: Row[] = await em.execute(
      `select name, version, data from ${this.#flags} where version > ? order by version`,
      [versionGreaterThan],
    )
    return rows.map(flagOf)
  }

  /** @param isLocked as it is now, which on MariaDB a plain read in an older transaction would not see */
  async #find(em: SqlEm, name: string, isLocked = true): Promise<FlagData | undefined> {
    const rows: Row[] = await em.execute(
      `select name, version, data from ${this.#flags} where name = ?${isLocked ? forUpdate(em) : ''}`,
      [name],
    )
    // A table of flypper's may compare names in its own way.
    return rows.map(flagOf).find(flag => flag.name === name)
  }

  async #insert(em: SqlEm, flag: FlagData): Promise<void> {
    await em.execute(`insert into ${this.#flags} (name, version, data) values (?, ?, ?)`, [
      flag.name,
      flag.version,
      JSON.stringify(flag),
    ])
  }

  async #update(em: SqlEm, flag: FlagData): Promise<void> {
    await em.execute(`update ${this.#flags} set version = ?, data = ? where name = ?`, [
      flag.version,
      JSON.stringify(flag),
      flag.name,
    ])
  }

  /** `key` is a word of MySQL's. */
  #key(em: SqlEm): string {
    return em.getPlatform().quoteIdentifier('key').toString()
  }

  /** For a table that flypper has made. */
  async #createIndexOnMySql(em: SqlEm): Promise<void> {
    const name = this.#index.replaceAll('`', '')
    const found: unknown[] = await em.execute(`show index from ${this.#flags} where key_name = ?`, [name])
    if (found.length > 0) return
    try {
      await em.execute(`create index ${this.#index} on ${this.#flags} (version)`)
    } catch (error) {
      // Somebody else was quicker.
      if ((error as { errno?: number }).errno !== DUPLICATE_KEY_NAME) throw error
    }
  }

  #read<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
    return work('getConnection' in this.#on ? this.#on : this.#on.orm.em.fork())
  }

  /** On an engine a transaction of its own; on a session that of the session, undone alone when it fails. */
  #transaction<R>(work: (em: SqlEm) => Promise<R>): Promise<R> {
    const on = this.#on
    return 'getConnection' in on
      ? on.transactional(inner => work(inner as SqlEm))
      : runOn(on, work, { name: 'flags' })
  }
}

function forUpdate(em: SqlEm): string {
  // SQLite has one writer at a time.
  return isMySql(em) || isPostgres(em) ? ' for update' : ''
}

/** Some drivers parse JSON, some do not. */
function flagOf({ name, version, data }: Row): FlagData {
  return { ...(typeof data === 'string' ? (JSON.parse(data) as FlagData) : data), name, version }
}
