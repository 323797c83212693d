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

/** How often a statement was sent from a place. */
interface Repeats {
  readonly engine: string
  readonly origin: string | undefined
  count: number
}

/** A statement that is kept. A class, because an object with a getter of its own takes long to make. */
export class KeptStatement implements StatementRecord {
  readonly number: number
  readonly engine: string
  readonly server: string
  readonly host: string | undefined
  readonly processId: number | undefined
  readonly dialect: string
  readonly at: number
  duration: number | undefined
  rows: number | undefined
  error: string | undefined
  readonly inTransaction: boolean
  readonly sql: string
  readonly text: string | undefined
  readonly parameters: readonly string[] | undefined
  readonly origin: string | undefined
  readonly #repeats: Repeats

  constructor(
    { engine, server, dialect, inTransaction }: StatementMessage,
    sent: Pick<StatementRecord, 'number' | 'at' | 'sql' | 'text' | 'parameters'>,
    repeats: Repeats,
  ) {
    this.number = sent.number
    this.engine = engine
    this.server = server.name
    this.host = server.host
    this.processId = server.processId
    this.dialect = dialect
    this.at = sent.at
    this.duration = undefined
    this.rows = undefined
    this.error = undefined
    this.inTransaction = inTransaction
    this.sql = sent.sql
    this.text = sent.text
    this.parameters = sent.parameters
    this.origin = repeats.origin
    this.#repeats = repeats
  }

  /** Those that come after it are counted, too. */
  get repeats(): number {
    return this.#repeats.count
  }
}

/** The statements of one entry: as many as may be kept, and how many more there were. */
export class StatementLog {
  readonly records: KeptStatement[] = []
  dropped = 0
  readonly #limit: number
  readonly #parameters: boolean
  /** Each text is kept once: a statement that is sent a hundred times comes as a hundred texts. */
  readonly #texts = new Map<string, { readonly sql: string; readonly places: Repeats[] }>()
  #size = 0

  constructor(limit: number, parameters: boolean) {
    this.#limit = limit
    this.#parameters = parameters
  }

  /**
   * @param at milliseconds since the entry's start
   * @returns what `end` is to be given; undefined when it is not kept
   */
  start(message: StatementMessage, at: number, origin: string | undefined): KeptStatement | undefined {
    const { engine } = message
    const cutSql = cut(message.sql, MOST_SQL)
    const revealed = this.#parameters ? message.reveal() : undefined
    const text = revealed && cut(revealed.text, MOST_SQL)
    const parameters = revealed?.parameters.slice(0, MOST_PARAMETERS).map(value => shownValue(value))
    const known = this.#texts.get(cutSql)
    const repeats = known?.places.find(place => place.engine === engine && place.origin === origin) ?? {
      engine,
      origin,
      count: 0,
    }
    repeats.count++
    const size =
      (known === undefined ? cutSql.length : 0) +
      (text?.length ?? 0) +
      (parameters ?? []).reduce((sum, value) => sum + value.length, 0)
    if (this.records.length >= this.#limit || this.#size + size > MOST_ALL) {
      this.dropped++
      return undefined
    }
    this.#size += size
    if (known === undefined) this.#texts.set(cutSql, { sql: cutSql, places: [repeats] })
    else if (repeats.count === 1) known.places.push(repeats)
    const number = this.records.length + 1
    const sql = known?.sql ?? cutSql
    const record = new KeptStatement(message, { number, at, sql, text, parameters }, repeats)
    this.records.push(record)
    return record
  }

  end(record: KeptStatement, { duration, rows, error }: StatementMessage): void {
    record.duration = duration
    record.rows = rows
    record.error = shownError(error, this.#parameters)
  }
}
