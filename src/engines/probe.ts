import type { Position } from '../routing/position.ts'
import { parseLsn } from '../routing/position.ts'

/** What we use of a `Client` of pg for asking a server how it is. */
export interface ProbeClient {
  connect(): Promise<void>
  query(text: string): Promise<{ rows: unknown[] }>
  end(): Promise<void>
  on(event: 'error' | 'end', listener: () => void): unknown
  readonly connection: { readonly stream: { destroy(): void } }
}

/** How a server said it is. */
export interface Reading {
  /** Whether it replays what another server writes. */
  readonly standby: boolean
  /** Whether it refuses writes although it is no standby. */
  readonly readOnly: boolean
  /** What it has replayed; of a primary, what it has written. */
  readonly position: Position
  /** When the last transaction that was replayed had been committed, in milliseconds ago, by the servers' clocks. */
  readonly replayedAgo: number | undefined
  /** Our own clock when the answer came: `performance.now()`. */
  readonly at: number
}

/**
 * A standby does not say which timeline it replays. What is certain is the timeline of its last restartpoint, that
 * of its last flush, and that of what it receives (which takes the right `pg_read_all_stats`): the latest of them
 * is never too late, and a timeline that is believed too early only sends a read to the primary.
 */
const QUESTION = `select pg_is_in_recovery() as standby,
  current_setting('transaction_read_only') = 'on' as read_only,
  (select system_identifier::text from pg_control_system()) as system,
  case when pg_is_in_recovery() then greatest(
    (select timeline_id from pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_control_recovery()),
    (select received_tli from pg_stat_wal_receiver))::text
    else substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8) end as timeline,
  (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end)::text as lsn,
  extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 * 1000 as replayed_ago`

interface Row {
  standby: boolean
  read_only: boolean
  system: string
  timeline: string
  lsn: string
  replayed_ago: number | string | null
}

/** One connection of its own to a server, on which nothing but the question how it is runs. */
export class Probe {
  readonly #open: () => ProbeClient
  readonly #timeout: number
  #client: ProbeClient | undefined
  #closed = false
  /** Ends the waiting for an answer. */
  #giveUp: ((error: Error) => void) | undefined
  /** Called when the connection has ended by itself: whatever was known of the server was known of it before. */
  onLost: (() => void) | undefined

  /**
   * @param open makes a client that is not connected yet
   * @param timeout milliseconds that connecting and answering may take, each
   */
  constructor(open: () => ProbeClient, timeout: number) {
    this.#open = open
    this.#timeout = timeout
  }

  /** Rejects when the server cannot be reached or does not answer in time; the next call connects anew. */
  async ask(): Promise<Reading> {
    try {
      const client = this.#client ?? (await this.#connect())
      const { rows } = await this.#inTime(client.query(QUESTION))
      return readingOf(rows[0] as Row)
    } catch (error) {
      this.#hangUp()
      throw error
    }
  }

  close(): void {
    this.#closed = true
    this.#giveUp?.(closed())
    this.#hangUp()
  }

  async #connect(): Promise<ProbeClient> {
    const client = this.#open()
    this.#client = client
    let isConnected = false
    const lost = (): void => {
      if (this.#client !== client) return
      this.#hangUp()
      // pg says so of what never was a connection, too, before `connect` rejects.
      if (isConnected) this.onLost?.()
    }
    client.on('error', lost)
    client.on('end', lost)
    await this.#inTime(client.connect())
    isConnected = true
    if (this.#closed) throw closed()
    return client
  }

  /** A server that does not answer does not say goodbye either: then the socket is closed from this side alone. */
  #hangUp(): void {
    const client = this.#client
    if (client === undefined) return
    this.#client = undefined
    const timer = setTimeout(() => client.connection.stream.destroy(), this.#timeout)
    timer.unref()
    client
      .end()
      .catch(() => {})
      .finally(() => clearTimeout(timer))
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    this.#giveUp = reject
    const timer = setTimeout(() => {
      // While this process was busy itself, the answer may have come: sockets are read before this runs.
      setImmediate(() => {
        reject(Object.assign(new Error(`no answer within ${this.#timeout} ms`), { code: 'ETIMEDOUT' }))
      })
    }, this.#timeout)
    answer.catch(() => {})
    try {
      return await Promise.race([answer, late])
    } finally {
      this.#giveUp = undefined
      clearTimeout(timer)
    }
  }
}

function closed(): Error {
  return Object.assign(new Error('the probe was closed'), { code: 'ECONNABORTED' })
}

function readingOf(row: Row): Reading {
  return {
    standby: row.standby,
    readOnly: row.read_only,
    position: {
      system: row.system,
      // A standby's is a number, a primary's the first part of the name of a file, which is hexadecimal.
      timeline: Number.parseInt(row.timeline, row.standby ? 10 : 16),
      lsn: parseLsn(row.lsn),
    },
    replayedAgo: row.replayed_ago === null ? undefined : Number(row.replayed_ago),
    at: performance.now(),
  }
}
