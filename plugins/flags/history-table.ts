import type { SqlEm } from '../../src/index.ts'
import type { FlagData } from './flag-data.ts'
import { authorOf, HISTORY_LIMIT } from './history.ts'
import { hasTable, nameType, type TableName, upsertClause } from './sql.ts'
import type { HistoryAction, HistoryEntry, HistoryOptions } from './store.ts'

interface Row {
  readonly version: number
  readonly action: HistoryAction
  readonly author: string | null
  readonly data: string | FlagData
}

/**
 * Who has done what to which flag, and when: a row for each change, written in its transaction. A database that flypper has
 * made has no such table; there nothing is written down.
 */
export class HistoryTable {
  readonly #table: TableName
  #isThere = false

  constructor(table: TableName) {
    this.#table = table
  }

  async create(em: SqlEm): Promise<void> {
    const type = nameType(em)
    await em.execute(
      `create table if not exists ${this.#table.sql} (name ${type} not null, version integer not null, action varchar(16) not null, author ${type}, data json not null, primary key (name, version))`,
    )
  }

  /** @param data the flag after the change; of one that is purged, as it was before, with the purge's version and time */
  async add(em: SqlEm, action: HistoryAction, data: FlagData, author: string | undefined): Promise<void> {
    if (!(await this.#has(em))) return
    // Versions begin again when somebody resets the counter.
    const otherwise = upsertClause(em, ['name', 'version'], ['action', 'author', 'data'])
    await em.execute(
      `insert into ${this.#table.sql} (name, version, action, author, data) values (?, ?, ?, ?, ?) ${otherwise}`,
      [data.name, data.version, action, authorOf(author), JSON.stringify(data)],
    )
  }

  async read(
    em: SqlEm,
    name: string,
    { limit = HISTORY_LIMIT, before }: HistoryOptions,
  ): Promise<HistoryEntry[]> {
    if (!(await this.#has(em))) return []
    const rows: Row[] = await em.execute(
      `select version, action, author, data from ${this.#table.sql} where name = ? and version < ? order by version desc limit ?`,
      [name, before ?? Number.MAX_SAFE_INTEGER, limit],
    )
    return rows.map(({ version, action, author, data }) => {
      const flag = typeof data === 'string' ? (JSON.parse(data) as FlagData) : data
      return { version, action, author, at: flag.updated_at, data: flag }
    })
  }

  async #has(em: SqlEm): Promise<boolean> {
    this.#isThere ||= await hasTable(em, this.#table)
    return this.#isThere
  }
}
