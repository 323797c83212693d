import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { BasePostgreSqlPlatform } from '@mikro-orm/sql'
import type { Engine } from '../../src/index.ts'
import { silent } from './abortable.ts'
import type { ApplicationLog } from './application.ts'
import type { EventTable } from './tables.ts'

/** Milliseconds between two attempts of those who are not elected. */
const POLL = 500
/** Milliseconds between two proofs of the elected one that its connection is there. */
const HEARTBEAT = 2_000
/** Milliseconds. */
const PATIENCE = 5_000
const CLOSE_PATIENCE = 1_000

/** The part of pg's client that holds a lock. */
interface Client {
  connect(): Promise<unknown>
  query(text: string): Promise<{ readonly rows: readonly { readonly got: boolean }[] }>
  end(): Promise<void>
  on(event: 'error' | 'end', listener: (error?: unknown) => void): unknown
  removeAllListeners(): unknown
  readonly connection: { readonly stream: { destroy(): unknown } }
}

/** The part of pg's pool that knows how to connect. */
interface Pool {
  readonly Client: new (options: object) => Client
  readonly options: { readonly password?: unknown }
}

/** What is elected for. */
export interface LeadershipOptions {
  /** The database in which the candidates meet. */
  readonly engine: Engine
  /** The tracking table; those of two schemas have nothing to do with each other. */
  readonly table: EventTable
  /** Of the office: one of its candidates is elected. */
  readonly name: string
  readonly log?: ApplicationLog | undefined
}

/**
 * Elects one of all processes that want the same: whoever gets an advisory lock of the session (PostgreSQL) on a connection of
 * its own. The server gives the lock back when that connection ends, however it ends, so the others take over within about
 * half a second.
 *
 * Nothing may depend on there being one leader only: a process that was cut off from the server does not know yet that
 * somebody else has been elected. Behind a pooler that hands connections around by transaction, such a lock belongs to
 * nobody: connect directly, or do without.
 */
export class Leadership {
  readonly #options: LeadershipOptions
  #client: Client | undefined
  /** Aborted when the connection is lost. */
  #lost: AbortController | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #hasWarned = false
  #isClosed = false

  /** @returns undefined where there are no such locks */
  static of(options: LeadershipOptions): Leadership | undefined {
    const isPostgres = options.engine.orm.em.getPlatform() instanceof BasePostgreSqlPlatform
    return isPostgres ? new Leadership(options) : undefined
  }

  constructor(options: LeadershipOptions) {
    this.#options = options
  }

  /** Whether this is the one. */
  get isElected(): boolean {
    return this.#heartbeat !== undefined
  }

  /**
   * Waits until this is the one.
   *
   * @param signal gives up
   * @returns aborted when it is not the one any more; undefined when it has given up
   */
  async elected(signal: AbortSignal): Promise<AbortSignal | undefined> {
    const giveUp = () => this.#drop()
    signal.addEventListener('abort', giveUp)
    try {
      return await this.#stand(signal)
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  /** Tries again and again. */
  async #stand(signal: AbortSignal): Promise<AbortSignal | undefined> {
    while (!signal.aborted && !this.#isClosed) {
      try {
        const term = await this.#candidate()
        if (term !== undefined) return term
      } catch (error) {
        this.#drop()
        if (!this.#hasWarned && !signal.aborted) {
          this.#options.log?.warn(
            { err: error, name: this.#options.name },
            'nobody can be elected: the database cannot be reached',
          )
        }
        this.#hasWarned = true
      }
      await sleep(POLL, undefined, { signal }).catch(() => {})
    }
    return undefined
  }

  /** One attempt. */
  async #candidate(): Promise<AbortSignal | undefined> {
    const client = this.#client ?? (await this.#connect())
    const lost = this.#lost as AbortController
    if (this.isElected) return lost.signal
    const { rows } = await within(client.query(this.#lock()), PATIENCE)
    this.#hasWarned = false
    if (rows[0]?.got !== true || this.#client !== client) return undefined
    this.#heartbeat = setInterval(() => {
      // A connection that was cut off says nothing.
      within(client.query('select true as got'), PATIENCE).catch(() => this.#drop(client))
    }, HEARTBEAT)
    this.#heartbeat.unref()
    return lost.signal
  }

  /** Locks of writers have two halves; one of a single number is never taken for one of them. */
  #lock(): string {
    const { name, table } = this.#options
    const hash = createHash('sha256').update(`fastify-sqlassist.leader\0${name}`).digest().readBigInt64BE()
    // On a connection whose search path does not have the table, the name is enough.
    const oid = `coalesce(to_regclass('${table.sql}')::oid::bigint, 0)`
    return `select pg_try_advisory_lock((${hash})::bigint # ${oid}) as got`
  }

  async #connect(): Promise<Client> {
    const pool = await poolOf(this.#options.engine)
    // The pool keeps its password from being copied along.
    const { options } = pool
    const client = new pool.Client({
      ...options,
      password: options.password,
      keepAlive: true,
      connectionTimeoutMillis: PATIENCE,
    })
    const lost = new AbortController()
    this.#client = client
    this.#lost = lost
    client.on('error', () => this.#drop(client))
    client.on('end', () => this.#drop(client))
    // Of a client that is ended meanwhile, pg says nothing any more.
    const dropped = silent(Promise.withResolvers<never>())
    lost.signal.addEventListener('abort', () => dropped.reject(new RangeError('the connection was given up')))
    await Promise.race([client.connect(), dropped.promise])
    // The server gives up sooner than by default on a machine that has vanished without a word.
    await within(client.query(KEEPALIVES), PATIENCE)
    return client
  }

  /** Gives up what was won, at once, and is no candidate any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    const client = this.#detach()
    if (client === undefined) return
    await within(client.end(), CLOSE_PATIENCE).catch(() => {})
    client.connection.stream.destroy()
  }

  /** The connection is of no use any more. */
  #drop(one: Client | undefined = this.#client): void {
    if (one === undefined || one !== this.#client) return
    this.#detach()
    void one.end().catch(() => {})
    one.connection.stream.destroy()
  }

  /** Ends the term. @returns the connection, which nobody listens to any more */
  #detach(): Client | undefined {
    clearInterval(this.#heartbeat)
    this.#heartbeat = undefined
    const client = this.#client
    this.#client = undefined
    this.#lost?.abort()
    this.#lost = undefined
    client?.removeAllListeners()
    // A socket may still fail while it is closed.
    client?.on('error', () => {})
    return client
  }
}

const KEEPALIVES =
  "select true as got from (select set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false)) as settings"

async function poolOf(engine: Engine): Promise<Pool> {
  const connection = engine.orm.em.getConnection() as unknown as { getNativeClient(): Promise<Pool> }
  return connection.getNativeClient()
}

/** @throws when `work` takes longer, in milliseconds */
async function within<T>(work: Promise<T>, patience: number): Promise<T> {
  const ended = new AbortController()
  try {
    return await Promise.race([
      work,
      sleep(patience, undefined, { signal: ended.signal }).then(() =>
        Promise.reject(
          Object.assign(new RangeError(`no answer within ${patience} ms`), { code: 'ETIMEDOUT' }),
        ),
      ),
    ])
  } finally {
    ended.abort()
  }
}
