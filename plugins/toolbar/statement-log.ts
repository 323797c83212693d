import type { StatementMessage } from '../../src/index.ts'
import type { StatementRecord } from './records.ts'
import { shownError } from './shown-error.ts'
import { cut, shownValue } from './texts.ts'

/** Characters that are kept of a statement. */
const MOST_SQL = 20_000
/** Parameters that are kept of a statement. */
const MOST_PARAMETERS = 200
/** Characters that are kept of all statements of an entry, one that is sent again not counted. */
const MOST_ALL = 500_000

type Kept = { -readonly [Key in keyof StatementRecord]: StatementRecord[Key] }

/** The statements of one entry: as many as may be kept, and how many more there were. */
export class StatementLog {
  readonly records: StatementRecord[] = []
  dropped = 0
  readonly #limit: number
  readonly #parameters: boolean
  /** Each text is kept once: a statement that is sent a hundred times comes as a hundred texts. */
  readonly #texts = new Map<string, { readonly sql: string; readonly sent: Map<string, { count: number }> }>()
  #size = 0

  constructor(limit: number, parameters: boolean) {
    this.#limit = limit
    this.#parameters = parameters
  }

  /**
   * @param at milliseconds since the entry's start
   * @returns what `end` is to be given; undefined when it is not kept
   */
  start(message: StatementMessage, at: number, origin: string | undefined): Kept | undefined {
    const { engine, server, dialect, inTransaction } = message
    const cutSql = cut(message.sql, MOST_SQL)
    const revealed = this.#parameters ? message.reveal() : undefined
    const text = revealed && cut(revealed.text, MOST_SQL)
    const parameters = revealed?.parameters.slice(0, MOST_PARAMETERS).map(value => shownValue(value))
    const place = `${engine} ${origin}`
    const same = this.#texts.get(cutSql) ?? { sql: cutSql, sent: new Map<string, { count: number }>() }
    const repeats = same.sent.get(place) ?? { count: 0 }
    repeats.count++
    const size =
      (this.#texts.has(cutSql) ? 0 : cutSql.length) +
      (text?.length ?? 0) +
      (parameters ?? []).reduce((sum, value) => sum + value.length, 0)
    if (this.records.length >= this.#limit || this.#size + size > MOST_ALL) {
      this.dropped++
      return undefined
    }
    this.#size += size
    this.#texts.set(cutSql, same)
    same.sent.set(place, repeats)
    const record: Kept = {
      number: this.records.length + 1,
      engine,
      server: server.name,
      host: server.host,
      processId: server.processId,
      dialect,
      at,
      duration: undefined,
      rows: undefined,
      error: undefined,
      inTransaction,
      sql: same.sql,
      text,
      parameters,
      origin,
      // Those before it are as many by then.
      get repeats() {
        return repeats.count
      },
    }
    this.records.push(record)
    return record
  }

  end(record: Kept, { duration, rows, error }: StatementMessage): void {
    record.duration = duration
    record.rows = rows
    record.error = shownError(error, this.#parameters)
  }
}

export type { Kept as KeptStatement }
