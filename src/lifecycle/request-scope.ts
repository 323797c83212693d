import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Engine } from '../engines/engine.ts'
import { outcomes } from '../observe/channels.ts'
import type { CommitMode, OnAbort, RouteOptions } from '../options.ts'
import type { Consistency, TokenTransport } from '../routing/routing-options.ts'
import type { Container, ContainerContext } from '../sessions/container.ts'
import { commits } from './commit-rule.ts'
import type { Repeatable } from './retry.ts'
import { assertSendable, isStream, removeSuccessHeaders, statusOf } from './sendable.ts'

/** What the scopes of one plugin instance share. */
export interface ScopeContext {
  readonly containers: ContainerContext
  readonly Container: typeof Container
  readonly commitMode: CommitMode
  readonly onAbort: OnAbort
  /** Milliseconds that a handler may go on without a client. */
  readonly abortGrace: number
  /** Takes causal tokens to clients and back; undefined when there are none. */
  readonly transport: TokenTransport | undefined
}

/** What is known of a route since it was registered; kept in its config. */
export interface RouteState extends RouteOptions {
  /** Whether the route's own onSend list ends with the commit rule. */
  readonly commitsLast: boolean
}

/** Where a route's config keeps its {@link RouteState}. */
export const kRoute = Symbol('fastify-sqlassist.route')

/** A 404 handler, or a route that was registered before the plugin. */
const UNKNOWN_ROUTE: RouteState = { commitsLast: false }

const NOTHING_TO_WAIT_FOR = Promise.resolve()

/**
 * The life of one request's container: when its sessions commit, roll back and close. Made when `request.db` is
 * first touched; the table in docs/lifecycle.md has every ending.
 */
export class RequestScope implements Repeatable {
  readonly container: Container
  readonly request: FastifyRequest
  readonly route: RouteState
  /** Whether the request threw (anything, `null` too): that dooms its transactions. */
  hasThrown = false
  /** Whether the response is being made: what is flushed from then on, the commit rule flushes. */
  isEnding = false
  readonly #context: ScopeContext
  readonly #reply: FastifyReply
  #aborted = false
  /** Whether what an autocommit session was given could not be saved; asking again would only say so again. */
  #autocommitFailed = false
  #settled: Promise<void> | undefined
  #grace: NodeJS.Timeout | undefined

  constructor(context: ScopeContext, request: FastifyRequest, reply: FastifyReply) {
    this.#context = context
    this.request = request
    this.#reply = reply
    const config = request.routeOptions.config as { db?: RouteOptions; [kRoute]?: RouteState }
    this.route = config[kRoute] ?? { ...UNKNOWN_ROUTE, ...config.db }
    this.container = new context.Container(context.containers, this)
    // The one event that every kind of ending has: onResponse, onSend and onRequestAbort each miss some.
    if (reply.raw.closed || reply.raw.destroyed) this.#onClose()
    else reply.raw.on('close', () => this.#onClose())
  }

  get consistency(): Consistency | undefined {
    return this.route.consistency
  }

  /** What the client has brought along. It is also asked for behind a COMMIT, which must not be turned into an error. */
  readTokens(): string | readonly string[] | undefined {
    try {
      return this.#context.transport?.read(this.request)
    } catch (error) {
      this.log.error({ err: error }, 'the causal tokens could not be read; they are ignored')
      return undefined
    }
  }

  get log(): FastifyRequest['log'] {
    return this.request.log
  }

  label(): string {
    return `${this.request.method} ${this.request.routeOptions.url ?? this.request.url}`
  }

  /**
   * Writes what will be saved, so that generated ids and defaults are in the answer; commits nothing.
   *
   * @returns undefined when there is nothing to wait for
   */
  flush(): Promise<void> | undefined {
    this.isEnding = true
    return this.container.onlyReads ? undefined : this.#flush()
  }

  /**
   * The commit rule. Fastify runs onSend a second time when it failed, or when the handler timed out meanwhile:
   * then the first outcome stands, and is waited for.
   *
   * @returns undefined when there is nothing to wait for
   */
  settle(payload: unknown): Promise<void> | undefined {
    this.isEnding = true
    if (this.#settled !== undefined) return this.#settled.catch(() => {}).then(() => this.#flushAutocommit())
    if (!this.#aborted && this.container.onlyReads && this.container.atRest) {
      this.#settled = NOTHING_TO_WAIT_FOR
      this.#sendToken()
      return undefined
    }
    this.#settled = this.#settle(payload)
    return this.#settled
  }

  get isAborted(): boolean {
    return this.#aborted
  }

  /** For handlers that may run again: what the response would commit is committed before it is made. */
  async commitNow(): Promise<void> {
    this.isEnding = true
    const chosen = (engine: Engine | undefined): boolean => this.#isChosen(engine, this.#reply.statusCode)
    if (this.container.wouldCommit(chosen)) await this.container.commitWhere(chosen)
  }

  async restart(): Promise<void> {
    this.isEnding = false
    await this.container.restart()
  }

  async #flush(): Promise<void> {
    const { statusCode } = this.#reply
    try {
      await this.container.flushWhere(engine => this.#isChosen(engine, statusCode))
    } catch (error) {
      removeSuccessHeaders(this.#reply)
      throw error
    }
    await this.#flushAutocommit(engine => !this.#isChosen(engine, statusCode))
  }

  async #settle(payload: unknown): Promise<void> {
    const statusCode = statusOf(this.#reply, payload)
    const chosen = (engine: Engine | undefined): boolean => this.#isChosen(engine, statusCode)
    try {
      const commits = this.container.wouldCommit(chosen)
      if (outcomes.hasSubscribers) this.#tellOutcome(commits, statusCode)
      if (commits) {
        assertSendable(this.#reply, payload)
        if (!isStream(payload)) await this.container.endStreams()
        await this.container.flushWhere(engine => this.#flushesAlways(engine))
        await this.container.commitWhere(chosen)
      } else {
        await this.#giveUp()
      }
      if (!isStream(payload)) this.container.endSnapshots()
      this.#sendToken()
    } catch (error) {
      removeSuccessHeaders(this.#reply)
      if (outcomes.hasSubscribers) {
        this.container.tellOutcome('rollback', `the commit failed: ${nameOf(error)}`)
      }
      throw error
    } finally {
      if (this.#aborted) this.#close()
    }
  }

  /** What has been committed and seen goes to the client. It cannot fail any more: the outcome stands. */
  #sendToken(): void {
    const { transport } = this.#context
    const fresh = transport === undefined ? undefined : this.container.freshToken
    if (transport === undefined || fresh === undefined) return
    const logFailure = (error: unknown): void =>
      this.log.error({ err: error }, 'the causal token could not be sent; the response stands')
    try {
      // An async function is a TokenTransport's `write` as well, for the compiler.
      const sending: unknown = transport.write(this.#reply, fresh.token, fresh.kind)
      if (sending instanceof Promise) sending.catch(logFailure)
    } catch (error) {
      logFailure(error)
    }
  }

  async #giveUp(): Promise<void> {
    await this.#flushAutocommit()
    // The answer does not wait for a statement that nobody waits for (of a handler that timed out).
    if (this.container.busy) void this.container.close()
    else await this.container.rollback()
  }

  /** For responses that are not a success: what was written down about it stays, and they stay what they are. */
  async #flushAutocommit(concerns: (engine: Engine) => boolean = () => true): Promise<void> {
    if (this.#autocommitFailed) return
    try {
      await this.container.flushWhere(engine => this.#flushesAlways(engine) && concerns(engine))
    } catch (error) {
      this.#autocommitFailed = true
      this.log.error({ err: error }, 'an autocommit session could not be flushed; the response stands')
    }
  }

  /** Whether the response commits the transactions of an engine. */
  #isChosen(engine: Engine | undefined, statusCode: number): boolean {
    return !this.#doomed && commits(this.#mode(engine), statusCode)
  }

  /** What an autocommit engine was given is saved whatever the response is, where anything is saved by itself. */
  #flushesAlways(engine: Engine): boolean {
    return engine.autocommit && this.#mode(engine) !== 'manual'
  }

  get #doomed(): boolean {
    if (this.#aborted && (this.route.onAbort ?? this.#context.onAbort) === 'rollback') return true
    return this.hasThrown || this.container.isDoomed
  }

  #tellOutcome(commits: boolean, statusCode: number): void {
    this.container.tellOutcome(commits ? 'commit' : 'rollback', this.#reasonFor(commits, statusCode))
  }

  /** Why the commit rule has decided as it has, for people. */
  #reasonFor(commits: boolean, statusCode: number): string {
    if (commits) return `status ${statusCode}`
    if (this.hasThrown) return 'the request threw'
    if (this.container.isDoomed) return 'the transaction was doomed'
    if (this.#doomed) return 'the client has gone away'
    const mode = this.#mode(undefined)
    if (mode === 'manual') return 'nothing commits by itself (commitMode manual)'
    return this.#isChosen(undefined, statusCode)
      ? 'there was nothing to commit'
      : `status ${statusCode} does not commit (${mode})`
  }

  #mode(engine: Engine | undefined): CommitMode {
    return this.route.commitMode ?? engine?.commitMode ?? this.#context.commitMode
  }

  #onClose(): void {
    if (this.#settled === NOTHING_TO_WAIT_FOR) {
      this.#close()
    } else if (this.#settled !== undefined) {
      // A COMMIT that is under way is not cut.
      const close = (): void => this.#close()
      this.#settled.then(close, close)
    } else if (this.#reply.sent) {
      // Hijacked, or ended through `reply.raw`: nothing commits by itself.
      if (outcomes.hasSubscribers) this.container.tellOutcome('rollback', 'the reply was hijacked')
      this.#close()
    } else {
      this.#aborted = true
      this.#grace = setTimeout(() => this.#giveUpWaiting(), this.#context.abortGrace)
      this.#grace.unref()
    }
  }

  #giveUpWaiting(): void {
    if (outcomes.hasSubscribers && this.#settled === undefined) {
      this.container.tellOutcome('rollback', 'the client has gone away, and the handler did not end')
    }
    this.#close()
  }

  #close(): void {
    if (this.#grace !== undefined) clearTimeout(this.#grace)
    void this.container.close()
  }
}

/** What an error is, without its message, which may quote values. */
function nameOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  const isCoded = typeof code === 'string' && code.startsWith('SQLA_ERR_')
  return String(isCoded ? code : (name ?? typeof error))
}
