import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Engine } from './engines/engine.ts'
import { Registry } from './engines/registry.ts'
import { hasReplicas } from './engines/servers.ts'
import { errors } from './errors.ts'
import { addHooks } from './lifecycle/hooks.ts'
import { bindRun, type RunOptions, runScope } from './lifecycle/run.ts'
import { LiveList } from './live-list.ts'
import type { Logger } from './logger.ts'
import { commentsFor } from './observe/sql-comment.ts'
import {
  type EngineOptions,
  type ResolvedTwoPhase,
  resolveTwoPhase,
  type SqlAssistOptions,
  validatePluginOptions,
} from './options.ts'
import { patiently } from './patiently.ts'
import { TokenSigner } from './routing/causal-token.ts'
import { resolveRouting } from './routing/routing-options.ts'
import { transportOf } from './routing/token-transport.ts'
import { newRoutingFigures, type RoutingFigures } from './sessions/causality.ts'
import { Container, type ContainerContext } from './sessions/container.ts'
import type { Db, EngineName } from './sessions/db.ts'
import { type OpenSession, openSessions } from './sessions/open-sessions.ts'
import {
  Janitor,
  type PreparedTransactions,
  type Resolution,
  type ResolveOptions,
} from './transactions/janitor.ts'
import { TwoPhase } from './transactions/two-phase.ts'

/** Milliseconds. What crashes have left prepared is ended before the first request, if that does not take long. */
const RECOVERY_PATIENCE = 5_000

/** An engine whose name is one that the application declared. */
export type NamedEngine = Engine & { readonly name: EngineName }

/** `app.sqlAssist.engines` */
export interface Engines extends Iterable<NamedEngine> {
  /**
   * @param name the engine's; without it the one marked default, else the one named `default`, else the only one
   * @throws SQLA_ERR_UNKNOWN_ENGINE, SQLA_ERR_NO_DEFAULT_ENGINE
   */
  get(name?: string): NamedEngine
  has(name: string): boolean
  names(): EngineName[]
  readonly size: number
  /**
   * Adds an engine and starts it; also after the application has started.
   *
   * @returns the engine, once its server has answered
   * @throws SQLA_ERR_INVALID_ENGINE_NAME, SQLA_ERR_DUPLICATE_ENGINE, SQLA_ERR_INVALID_OPTION, SQLA_ERR_ENGINE_START
   *
   * @example
   * ```ts
   * await app.sqlAssist.engines.add('archive', { orm: archiveConfig, readOnly: true })
   * ```
   */
  add(name: string, options: EngineOptions): Promise<NamedEngine>
}

/** `app.sqlAssist` */
export interface SqlAssist {
  /** The named engines. */
  readonly engines: Engines
  /** The property of requests that has their sessions. */
  readonly requestProperty: string
  /**
   * For the time after a fork: every engine (or the one named) gets a fresh pool at once; what is under way
   * finishes on the old pool, which is then drained and closed. Nothing that is in flight fails.
   *
   * @param name of the engine, `'!default'` or (default) `'!all'`
   * @returns when the old pools are closed, at the latest after the engines' `drainTimeout`
   */
  reinit(name?: EngineName | '!all' | '!default'): Promise<void>
  /**
   * A scope outside requests, for jobs, scripts and messages: commits when `fn` returns, rolls back when it
   * throws, always closes.
   *
   * @example
   * ```ts
   * await app.sqlAssist.run(async db => {
   *   const stale = await db.writer.find(Upload, { createdAt: { $lt: yesterday } })
   *   db.writer.remove(stale)
   * })
   * ```
   */
  run<T>(fn: (db: Db) => T | Promise<T>, options?: RunOptions): Promise<T>
  /** The sessions that are open right now. */
  readonly sessions: OpenSessions
  /** With `twoPhase`: what is prepared in the databases; undefined without. */
  readonly prepared: Prepared | undefined
  /** How often reads went where, and what became of causal tokens, since the start. */
  readonly routing: Readonly<RoutingFigures>
}

/** `app.sqlAssist.prepared`: what commits in two phases have prepared and not ended; `sqlassist transactions` shows it. */
export interface Prepared {
  /** What is prepared in the databases of the engines that join, other people's included. */
  list(): Promise<PreparedTransactions>
  /**
   * Commits or rolls back what crashes have left prepared, as the application does at its start and every minute.
   *
   * @param options `id`: only one transaction's; `force`: also what was prepared within the last seconds, which a process may be
   *   about to commit (it will then fail)
   *
   * @example
   * ```ts
   * for (const { gid, outcome } of (await app.sqlAssist.prepared?.resolve()) ?? []) app.log.info({ gid, outcome }, 'resolved')
   * ```
   */
  resolve(options?: ResolveOptions): Promise<Resolution[]>
}

/** For leak tests and debugging: how many sessions are open, and who opened them. */
export interface OpenSessions {
  /** How many requests and scopes have touched their container and not ended. */
  readonly scopes: number
  /** How many sessions are open. */
  readonly open: number
  /** How many of them hold a connection. */
  readonly holding: number
  list(): OpenSession[]
}

async function register(app: FastifyInstance, options: SqlAssistOptions): Promise<void> {
  validatePluginOptions(options)
  const property = options.requestProperty ?? 'db'
  if (app.hasDecorator('sqlAssist')) {
    throw new errors.SQLA_ERR_ALREADY_REGISTERED('add engines with app.sqlAssist.engines.add')
  }
  if (app.hasRequestDecorator(property)) {
    throw new errors.SQLA_ERR_INVALID_OPTION('requestProperty', `request.${property} exists already`)
  }

  const storage = options.requestContext ? new AsyncLocalStorage<() => Container>() : undefined
  class AppContainer extends Container {}
  const routing = resolveRouting(options.routing)
  const tracksPositions = options.routing !== undefined || Object.values(options.engines).some(hasReplicas)
  // Messages name it as their source before it is complete.
  const sqlAssist = {} as SqlAssist
  const registry: Registry = new Registry(
    {
      log: app.log,
      source: sqlAssist,
      commentOf: commentsFor(options.sqlComments),
      routing,
      tracksPositions,
      primary: () => registry.primary(),
      ...(storage && { currentEntityManager: engine => storage.getStore()?.().get(engine) }),
    },
    name => name in Container.prototype,
    engine => {
      Object.defineProperty(AppContainer.prototype, engine.name, {
        get(this: Container) {
          return this.get(engine.name)
        },
        enumerable: true,
      })
      bindRun(engine, (fn, runOptions) => sqlAssist.run(fn, runOptions))
    },
    engine => twoPhase?.check(engine),
  )
  const twoPhaseOptions = resolveTwoPhase(options.twoPhase)
  const twoPhase = twoPhaseOptions && new TwoPhase(registry, twoPhaseOptions, sqlAssist)
  const janitor = twoPhase && newJanitor(twoPhase, twoPhaseOptions, app.log)
  const figures = newRoutingFigures()
  const { token } = routing
  const secrets = token && [token.secret].flat()
  const containers: ContainerContext = {
    causal: {
      consistency: routing.consistency,
      signer: token && secrets && new TokenSigner(secrets, token.maxAge),
      figures,
      commits: new Map(),
    },
    source: sqlAssist,
    registry,
    anyPreferences: options.anyPreferences ?? ['reader', 'writer'],
    open: new LiveList<Container>(),
    twoPhase,
  }
  Object.assign(sqlAssist, {
    engines: registry as Engines,
    requestProperty: property,
    reinit: name => registry.reinit(name),
    run: (fn, runOptions) =>
      runScope(
        containers,
        AppContainer,
        app.log,
        fn,
        runOptions,
        storage && ((container, work) => storage.run(() => container, work)),
      ),
    sessions: openSessions(containers.open),
    routing: figures,
    prepared: janitor,
  } satisfies SqlAssist)
  app.decorate('sqlAssist', sqlAssist)
  addHooks(
    app,
    {
      containers,
      Container: AppContainer,
      commitMode: options.commitMode ?? 'manual',
      onAbort: options.onAbort ?? 'rollback',
      abortGrace: options.abortGrace ?? 10_000,
      transport: token && transportOf(token),
    },
    property,
    storage && ((container, rest) => storage.run(container, rest)),
  )
  app.addHook('onClose', async () => {
    await janitor?.close()
    await registry.close()
  })

  await startAll(registry, options, twoPhase)
  // A command that only looks does not change what it looks at: it has no onReady.
  if (janitor !== undefined) app.addHook('onReady', () => patiently(janitor.start(), RECOVERY_PATIENCE))
}

function newJanitor(twoPhase: TwoPhase, options: ResolvedTwoPhase, log: Logger): Janitor {
  const { application, warnAfter } = options
  const { decisions } = twoPhase
  const engines = () => twoPhase.engines()
  const janitor = new Janitor({ engines, decisions, application, log, warnAfter })
  twoPhase.onUnfinished = () => janitor.soon()
  return janitor
}

/** All engines start at the same time; the first that fails is the one that is reported. */
async function startAll(
  registry: Registry,
  options: SqlAssistOptions,
  twoPhase: TwoPhase | undefined,
): Promise<void> {
  const started = Object.entries(options.engines).map(([name, engine]) => registry.add(name, engine))
  const outcomes = await Promise.allSettled(started)
  const failed = outcomes.find(outcome => outcome.status === 'rejected')
  try {
    if (failed !== undefined) throw failed.reason
    await twoPhase?.open()
  } catch (error) {
    await registry.close()
    throw error
  }
}

/**
 * The Fastify plugin: named engines, lazy request sessions, the commit rule and the cleanup rule.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, {
 *   engines: { writer: { orm: defineConfig({ clientUrl, entities: [User] }) } },
 *   commitMode: 'autocommit',
 * })
 * ```
 */
export const sqlAssist = fastifyPlugin(register, { fastify: '5.x', name: 'fastify-sqlassist' })
