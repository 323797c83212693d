import { patiently } from '../patiently.ts'
import type { Engine } from './engine.ts'

/** The part of pg's client that listens. */
interface Client {
  connect(): Promise<unknown>
  query(text: string): Promise<unknown>
  end(): Promise<void>
  on(event: 'notification' | 'error' | 'end', listener: () => void): unknown
  removeAllListeners(): unknown
  readonly connection: { readonly stream: { destroy(): unknown } }
}

/** The part of pg's pool that knows how to connect. */
interface Pool {
  readonly Client: new (options: object) => Client
  readonly options: { readonly password?: unknown }
}

/** Milliseconds between two attempts to connect again. */
const FIRST_PAUSE = 100
const LAST_PAUSE = 5_000
/** Milliseconds. A standby lets nobody listen, until it is promoted. */
const STANDBY_PAUSE = 60_000
/** PostgreSQL's code for what a standby does not do. */
const READ_ONLY = '25006'
/** Milliseconds. */
const CONNECT_PATIENCE = 5_000
const CLOSE_PATIENCE = 1_000

/**
 * Listens to a channel of PostgreSQL (`NOTIFY`) on a connection of its own, and connects again when that is lost: until
 * then whoever listens has to look by itself. On a standby nobody can listen.
 *
 * @param engine of PostgreSQL; the connection is made with the options of its pool, and is none of the pool's
 * @param channel its name; quoted, so that every name is fine
 * @param onChange called for each notification, after each connect, as some may have been missed, and when the connection is lost
 * @returns ends it
 *
 * @example
 * ```ts
 * const stop = listen(app.sqlAssist.engines.get('writer'), 'prices', () => void readPrices())
 * app.addHook('preClose', stop)
 * ```
 */
export function listen(engine: Engine, channel: string, onChange: () => void): () => Promise<void> {
  let client: Client | undefined
  let timer: NodeJS.Timeout | undefined
  let pause = FIRST_PAUSE
  let isListening = false
  let isEnded = false

  const lost = (one: Client, error?: unknown): void => {
    if (client !== one) return
    client = undefined
    one.removeAllListeners()
    // A socket may still fail while it is closed.
    one.on('error', () => {})
    void one.end().catch(() => {})
    if (isEnded) return
    // Whoever has listened asks by itself now, and learns whether the database is gone.
    if (isListening) onChange()
    isListening = false
    const isStandby = (error as { code?: unknown } | undefined)?.code === READ_ONLY
    const wait = isStandby ? STANDBY_PAUSE : pause
    timer = setTimeout(() => void connect(), wait * (0.75 + Math.random() / 4))
    timer.unref()
    pause = Math.min(pause * 2, LAST_PAUSE)
  }
  const connect = async (): Promise<void> => {
    let one: Client | undefined
    try {
      const pool = await poolOf(engine)
      if (isEnded) return
      // The pool keeps its password from being copied along.
      const { options } = pool
      one = new pool.Client({
        ...options,
        password: options.password,
        keepAlive: true,
        connectionTimeoutMillis: CONNECT_PATIENCE,
      })
      client = one
      const current = one
      one.on('error', () => lost(current))
      one.on('end', () => lost(current))
      one.on('notification', onChange)
      await one.connect()
      await one.query(`listen ${engine.orm.em.getPlatform().quoteIdentifier(channel)}`)
      pause = FIRST_PAUSE
      if (client !== one) return
      isListening = true
      onChange()
    } catch (error) {
      if (one !== undefined) lost(one, error)
      else if (!isEnded) {
        timer = setTimeout(() => void connect(), LAST_PAUSE)
        timer.unref()
      }
    }
  }
  void connect()
  return async () => {
    isEnded = true
    clearTimeout(timer)
    const one = client
    client = undefined
    if (one === undefined) return
    one.removeAllListeners()
    one.on('error', () => {})
    // A server that has been cut off never says goodbye.
    await patiently(one.end(), CLOSE_PATIENCE)
    one.connection.stream.destroy()
  }
}

async function poolOf(engine: Engine): Promise<Pool> {
  const connection = engine.orm.em.getConnection() as unknown as { getNativeClient(): Promise<Pool> }
  return connection.getNativeClient()
}
