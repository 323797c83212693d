import type { IsolationLevel } from '@mikro-orm/core'
import type { Engine } from '../engines/engine.ts'
import { errors } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { outcomes } from '../observe/channels.ts'
import type { CommitMode } from '../options.ts'
import { CONSISTENCIES, type Consistency } from '../routing/routing-options.ts'
import type { Container, ContainerContext } from '../sessions/container.ts'
import type { Db } from '../sessions/db.ts'
import type { SqlEm } from '../sessions/entity-manager.ts'

/** Options of a scope outside requests. */
export interface RunOptions {
  /** `'manual'`: only what `fn` commits itself is committed. Default: commit when `fn` returns. */
  commitMode?: CommitMode
  /** The request on whose behalf the work is done; `requestOf` finds it. */
  request?: unknown
  /** Names the scope in messages and in `app.sqlAssist.sessions`. Default `'run()'`. */
  name?: string
  /** A causal token (`request.db.token`): reads see at least what its bearer has written and seen. */
  token?: string | undefined
  /** Overrides `routing.consistency`. */
  consistency?: Consistency
  /** Whether every statement and flush commits by itself, as if all engines were `autocommit`. Default false. */
  autocommit?: boolean
}

/**
 * A scope outside requests: jobs, scripts, messages of a WebSocket. Commits when `fn` returns, rolls back when
 * it throws, always closes.
 */
export async function runScope<T>(
  context: ContainerContext,
  ContainerClass: typeof Container,
  log: Logger,
  fn: (db: Db) => T | Promise<T>,
  options: RunOptions = {},
  enter: (container: Container, work: () => Promise<T>) => Promise<T> = (_container, work) => work(),
): Promise<T> {
  if (options.consistency !== undefined && !CONSISTENCIES.includes(options.consistency)) {
    throw new errors.SQLA_ERR_INVALID_OPTION('run: consistency', `must be one of ${CONSISTENCIES.join(', ')}`)
  }
  if (typeof fn !== 'function') throw new errors.SQLA_ERR_INVALID_OPTION('run(fn)', 'fn must be a function')
  const owner = {
    label: () => options.name ?? 'run()',
    request: options.request,
    isEnding: false,
    log,
    consistency: options.consistency,
    readTokens: () => options.token,
    autocommit: options.autocommit ?? false,
  }
  const container = new ContainerClass(context, owner)
  try {
    const result = await enter(container, async () => fn(container as unknown as Db))
    owner.isEnding = true
    await container.endStreams()
    const isManual = options.commitMode === 'manual'
    if (outcomes.hasSubscribers) {
      if (isManual) container.tellOutcome('rollback', 'nothing commits by itself (commitMode manual)')
      else container.tellOutcome('commit', 'it returned')
    }
    if (isManual) await container.rollback()
    else await container.commit()
    return result
  } catch (error) {
    if (outcomes.hasSubscribers) container.tellOutcome('rollback', 'it threw')
    await container.rollback()
    throw error
  } finally {
    await container.close()
  }
}

/** Options of {@link runOn}. */
export interface RunOnOptions extends RunOptions {
  /** Of the transaction. Default: the engine's. */
  isolationLevel?: IsolationLevel
  /** Whether the transaction is a read-only one. Default: the engine's `readOnly`. */
  readOnly?: boolean
}

/** `app.sqlAssist.run` */
type Run = <T>(fn: (db: Db) => Promise<T>, options?: RunOptions) => Promise<T>

/** Of the application that each engine is one of. */
const runs = new WeakMap<Engine, Run>()

/** For the plugin: lets {@link runOn} find the application of an engine. */
export function bindRun(engine: Engine, run: Run): void {
  runs.set(engine, run)
}

/**
 * `app.sqlAssist.run` for code that is given an engine and knows no application, as a plugin's storage is: `work` gets the session of
 * the engine in a transaction, which is committed when it returns, rolled back when it throws, and closed. That is so on an
 * autocommit engine and on a read-only one, too.
 *
 * @throws SQLA_ERR_CLOSED when the engine has not been started
 *
 * @example
 * ```ts
 * await runOn(app.sqlAssist.engines.get('writer'), async session => {
 *   session.create(User, { name: 'Ann' })
 * })
 * ```
 */
export async function runOn<R>(
  engine: Engine,
  work: (session: SqlEm) => Promise<R>,
  { isolationLevel, readOnly, ...options }: RunOnOptions = {},
): Promise<R> {
  const run = runs.get(engine)
  if (run === undefined) throw new errors.SQLA_ERR_CLOSED(`Engine '${engine.name}'`)
  return run(async db => {
    const session = db.get(engine.name) as SqlEm
    const begin = { ...(isolationLevel && { isolationLevel }), ...(readOnly && { readOnly }) }
    // Such a session has no transaction of its own.
    if (!engine.hasTransaction && !options.autocommit) {
      return session.transactional(em => work(em as SqlEm), begin)
    }
    if (isolationLevel !== undefined || readOnly) await session.begin(begin)
    const result = await work(session)
    // Nothing else commits a session that is no part of a scope's transaction.
    if (engine.options.join === false) await session.commit()
    return result
  }, options)
}
