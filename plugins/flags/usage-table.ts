import type { SqlEm } from '../../src/index.ts'
import { hasTable, nameType, type TableName, upsertClause } from './sql.ts'
import type { Usage } from './store.ts'

/** When recording began: a row whose name no flag can have. */
const SINCE = ''
/** How many names a statement has; databases limit their parameters. */
const AT_ONCE = 1_000

/**
 * When which flag was last asked for. A database that flypper has made has no such table; there nothing is written down.
 */
export class UsageTable {
  readonly #table: TableName
  #isThere = false

  constructor(table: TableName) {
    this.#table = table
  }

  async create(em: SqlEm): Promise<void> {
    await em.execute(
      `create table if not exists ${this.#table.sql} (name ${nameType(em)} not null primary key, asked_at bigint not null)`,
    )
  }

  async note(em: SqlEm, names: readonly string[]): Promise<void> {
    if (!(await this.#has(em))) return
    const now = Math.floor(Date.now() / 1000)
    const since = upsertClause(em, ['name'], ['name'])
    await em.execute(`insert into ${this.#table.sql} (name, asked_at) values (?, ?) ${since}`, [SINCE, now])
    // In one order everywhere: two processes that lock the same rows do not wait for each other in a circle.
    const sorted = [...new Set(names)].sort()
    for (let at = 0; at < sorted.length; at += AT_ONCE) {
      await this.#noteSome(em, sorted.slice(at, at + AT_ONCE), now)
    }
  }

  async #noteSome(em: SqlEm, names: readonly string[], now: number): Promise<void> {
    const rows = names.map(() => '(?, ?)').join(', ')
    await em.execute(
      `insert into ${this.#table.sql} (name, asked_at) values ${rows} ${upsertClause(em, ['name'], ['asked_at'])}`,
      names.flatMap(name => [name, now]),
    )
  }

  async read(em: SqlEm): Promise<Usage> {
    const askedAt = new Map<string, number>()
    if (await this.#has(em)) {
      const rows: { name: string; asked_at: number | string }[] = await em.execute(
        `select name, asked_at from ${this.#table.sql}`,
      )
      // Some drivers give a bigint as text.
      for (const { name, asked_at: at } of rows) askedAt.set(name, Number(at))
    }
    const since = askedAt.get(SINCE)
    askedAt.delete(SINCE)
    return { since, askedAt }
  }

  async #has(em: SqlEm): Promise<boolean> {
    this.#isThere ||= await hasTable(em, this.#table)
    return this.#isThere
  }
}
