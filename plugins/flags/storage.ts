import { BaseMySqlPlatform, BasePostgreSqlPlatform } from '@mikro-orm/sql'
import type { Engine, SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'
import { completeFlag, type FlagData, type FlagInput } from './flag-data.ts'
import { listen } from './listener.ts'
import type { Changes, FlagStore, UpsertOptions } from './store.ts'
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
  /** The schema of both tables. Default: that of the connection. */
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
 * once.
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
  /** For `subscribe`, which needs a connection of its own. */
  readonly #engine: Engine | undefined

  constructor({
    on,
    flagsTable = 'flypper_flags',
    metadataTable = 'flypper_metadata',
    schema,
  }: FlagStorageOptions) {
    for (const name of [flagsTable, metadataTable, schema ?? 'public']) assertName(name)
    this.#on = on
    this.#engine = 'getConnection' in on ? undefined : on
    const platform = ('getConnection' in on ? on : on.orm.em).getPlatform()
    const quote = (name: string) => platform.quoteIdentifier(name).toString()
    const within = schema === undefined ? '' : `${quote(schema)}.`
    this.#flags = within + quote(flagsTable)
    this.#metadata = within + quote(metadataTable)
    this.#index = quote(`ix_${flagsTable}_version`)
    this.#channel = `sqlassist_${schema === undefined ? '' : `${schema}_`}${flagsTable}`.slice(0, 63)
  }

  /**
   * Creates both tables and the index, if they are missing; two processes may do so at once. On MariaDB and MySQL that
   * ends a session's transaction.
   */
  async createTables(): Promise<void> {
    await this.#transaction(async em => {
      const isMySql = em.getPlatform() instanceof BaseMySqlPlatform
      const isPostgres = em.getPlatform() instanceof BasePostgreSqlPlatform
      // Names compare as they are, whatever the database's collation is.
      const text = isMySql ? 'varchar(255) character set utf8mb4 collate utf8mb4_bin' : 'varchar(255)'
      const index = isMySql ? `, index ${this.#index} (version)` : ''
      if (isPostgres) await em.execute('select pg_advisory_xact_lock(hashtext(?))', [this.#channel])
      await em.execute(
        `create table if not exists ${this.#flags} (name ${text} not null primary key, version integer not null, data json not null${index})`,
      )
      await em.execute(
        `create table if not exists ${this.#metadata} (${this.#key(em)} ${text} not null primary key, value ${text} not null)`,
      )
      if (isMySql) return this.#createIndexOnMySql(em)
      await em.execute(`create index if not exists ${this.#index} on ${this.#flags} (version)`)
    })
  }

  async list({ versionGreaterThan = 0 }: { readonly versionGreaterThan?: number } = {}): Promise<FlagData[]> {
    return this.#read(em => this.#list(em, versionGreaterThan))
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
      if (before !== undefined) return this.#update(em, flag)
      await em.execute(`insert into ${this.#flags} (name, version, data) values (?, ?, ?)`, [
        flag.name,
        version,
        JSON.stringify(flag),
      ])
      return flag
    })
  }

  async delete(name: string, options: UpsertOptions = {}): Promise<FlagData | undefined> {
    return this.#change(async (em, version) => {
      const before = await this.#find(em, name)
      if (before === undefined) return undefined
      baseOf(name, before, options.expectedVersion)
      return this.#update(em, { ...before, deleted: true, updated_at: Date.now() / 1000, version })
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
      return true
    })
  }

  subscribe(onChange: () => void): () => Promise<void> {
    const engine = this.#engine
    if (engine === undefined || !(engine.orm.em.getPlatform() instanceof BasePostgreSqlPlatform)) {
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
      if (em.getPlatform() instanceof BasePostgreSqlPlatform) {
        await em.execute('select pg_notify(?, ?)', [this.#channel, String(version)])
      }
      return result
    })
  }

  /** Two processes that save the first flag at the same time make one row. */
  async #makeCounter(em: SqlEm, name: string): Promise<void> {
    // MariaDB's `insert ignore` would share the lock of a row that is there, and two that share it cannot both go on.
    const isMySql = em.getPlatform() instanceof BaseMySqlPlatform
    const otherwise = isMySql ? 'on duplicate key update value = value' : 'on conflict do nothing'
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

  /** The flag as it is now, which on MariaDB a plain read in an older transaction would not see. */
  async #find(em: SqlEm, name: string): Promise<FlagData | undefined> {
    const rows: Row[] = await em.execute(
      `select name, version, data from ${this.#flags} where name = ?${forUpdate(em)}`,
      [name],
    )
    // A table of flypper's may compare names in its own way.
    return rows.map(flagOf).find(flag => flag.name === name)
  }

  async #update(em: SqlEm, flag: FlagData): Promise<FlagData> {
    await em.execute(`update ${this.#flags} set version = ?, data = ? where name = ?`, [
      flag.version,
      JSON.stringify(flag),
      flag.name,
    ])
    return flag
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
    const em = 'getConnection' in this.#on ? this.#on : this.#on.orm.em.fork()
    return em.transactional(inner => work(inner as SqlEm))
  }
}

function assertName(name: string): void {
  // A question mark is a parameter; what makes an index of the name needs room for it.
  if (/^[^?\0]{1,52}$/.test(name)) return
  throw new errors.SQLA_ERR_FLAG_STORAGE(
    `'${name}' cannot be the name of a table or schema: it must have 1 to 52 characters, without a question mark`,
  )
}

function forUpdate(em: SqlEm): string {
  const platform = em.getPlatform()
  // SQLite has one writer at a time.
  return platform instanceof BaseMySqlPlatform || platform instanceof BasePostgreSqlPlatform
    ? ' for update'
    : ''
}

/** Some drivers parse JSON, some do not. */
function flagOf({ name, version, data }: Row): FlagData {
  return { ...(typeof data === 'string' ? (JSON.parse(data) as FlagData) : data), name, version }
}
