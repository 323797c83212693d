import type { FastifyRequest } from 'fastify'
import type {
  DiagnosticMessages,
  DiagnosticScope,
  SessionEndMessage,
  SessionMessage,
  StatementMessage,
} from '../../src/index.ts'
import { currentCallSite, watchCalls } from './call-sites.ts'
import { hearing, type PluginMessages } from './hearing.ts'
import { LagSampler, type ReplicatedEngine } from './lag-sampler.ts'
import { Marks } from './marks.ts'
import { OWN_SCOPE } from './own-scope.ts'
import { type Beginning, type Bounds, Recording, type Writable } from './recording.ts'
import type { Entry, Records, ReplicaHistory, SessionRecord, SubscriptionRecord } from './records.ts'
import { Ring } from './ring.ts'
import type { KeptStatement } from './statement-log.ts'
import { SubscriptionList } from './subscriptions.ts'
import { withoutQueryValues } from './texts.ts'

/** Options of a {@link Recorder}. */
export interface RecorderOptions extends Bounds {
  /** The `app.sqlAssist` whose messages are heard. */
  readonly source: { readonly engines: Iterable<ReplicatedEngine> }
  readonly limit: number
  readonly log: { warn(line: object, text: string): void }
}

type Change = Parameters<Parameters<Records['onChange']>[0]>[0]

/** What is known of a session that has not ended. */
interface OpenSession {
  readonly record: Writable<SessionRecord>
  readonly id: number
}

/** A request that is not recorded. */
const NOT_RECORDED = 0

/**
 * Listens to the diagnostics channels, and keeps what it hears of the last requests. Whoever makes one closes it.
 *
 * Requests and scopes are known by number: those that have been forgotten are not kept alive by what they still do.
 */
export class Recorder implements Records {
  readonly #options: RecorderOptions
  readonly #ring: Ring<Recording>
  readonly #lag: LagSampler
  readonly #subscriptions: SubscriptionList
  readonly #listeners = new Set<(change: Change) => void>()
  /** The entry's number of a request or a scope. */
  readonly #ids = new Marks<object, number>()
  readonly #sessions = new Marks<SessionMessage['session'], OpenSession>()
  /** The open sessions of a scope, for a look at them before they are rolled back. */
  readonly #open = new Marks<DiagnosticScope, Set<SessionMessage['session']>>()
  readonly #statements = new Marks<StatementMessage, { id: number; record: KeptStatement }>()
  readonly #stops: (() => void)[]
  #last = 0

  constructor(options: RecorderOptions) {
    const { source, limit, log, parameters } = options
    this.#options = options
    this.#ring = new Ring(limit)
    this.#subscriptions = new SubscriptionList(parameters)
    this.#lag = new LagSampler(source.engines, () => this.#tell({ kind: 'replica' }))
    this.#stops = hearing(source, log, this.#channels, this.#pluginChannels)
  }

  /** Ends everything. What was recorded stays. */
  close(): void {
    this.#lag.stop()
    for (const stop of this.#stops.splice(0)) stop()
    this.#listeners.clear()
  }

  get limit(): number {
    return this.#ring.limit
  }

  entries(): readonly Entry[] {
    return this.#ring.list()
  }

  get(id: number): Entry | undefined {
    return this.#ring.get(id)
  }

  replicas(): readonly ReplicaHistory[] {
    return this.#lag.list()
  }

  subscriptions(): readonly SubscriptionRecord[] {
    return this.#subscriptions.list()
  }

  clear(): void {
    this.#ring.clear()
    this.#tell({ kind: 'clear' })
  }

  onChange(listener: (change: Change) => void): () => void {
    // One of its own, so that the same function can be given twice.
    const own = (change: Change): void => listener(change)
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  /** A request begins. */
  begin(request: FastifyRequest): void {
    if (this.#ids.get(request) === undefined) this.#add(request, beginningOf(request, false))
  }

  /** The response to a request has ended, or there will be none. */
  end(request: FastifyRequest, status: number | undefined): void {
    this.#update(this.#ids.get(request), entry => entry.end(status))
  }

  /** Nothing that this request does is recorded. */
  ignore(request: FastifyRequest): void {
    this.#ids.set(request, NOT_RECORDED)
  }

  /** What is known of a request so far; undefined when it is not recorded, or not any more. */
  ofRequest(request: FastifyRequest): { readonly entry: Entry; readonly elapsed: number } | undefined {
    const entry = this.#ring.get(this.#ids.get(request) ?? NOT_RECORDED)
    return entry && { entry, elapsed: entry.elapsed }
  }

  readonly #channels: {
    readonly [Name in keyof DiagnosticMessages]?: (message: DiagnosticMessages[Name]) => void
  } = {
    'sqlassist:session:start': message => this.#startSession(message),
    'sqlassist:session:commit': message => this.#endTransaction('commit', message),
    'sqlassist:session:rollback': message => this.#endTransaction('rollback', message),
    'sqlassist:session:close': message => this.#closeSession(message),
    'sqlassist:statement:start': message => {
      const id = this.#idOf(message.scope)
      this.#update(id, entry => {
        const record = entry.startStatement(message, currentCallSite())
        if (record !== undefined) this.#statements.set(message, { id: entry.id, record })
      })
    },
    'sqlassist:statement:end': message => this.#endStatement(message),
    'sqlassist:statement:error': message => this.#endStatement(message),
    'sqlassist:outcome': message => {
      const id = this.#idOf(message.scope)
      if (message.outcome === 'rollback') this.#lookAtSessions(message.scope)
      this.#update(id, entry => entry.decide(message))
    },
    'sqlassist:route': message => this.#update(this.#idOf(message.scope), entry => entry.addRoute(message)),
    'sqlassist:pool:wait': message =>
      this.#update(this.#idOf(message.scope), entry => entry.addWait(message)),
    'sqlassist:two-phase': message =>
      this.#update(this.#idOf(message.scope), entry => entry.addStep(message)),
    'sqlassist:replica': () => this.#lag.sample(),
  }

  readonly #pluginChannels: {
    readonly [Name in keyof PluginMessages]: (message: PluginMessages[Name]) => void
  } = {
    'sqlassist:flag': ({ request, name, value }) =>
      this.#update(this.#idOfRequest(request), entry => entry.addFlag(name, value)),
    'sqlassist:segments': ({ request, keys }) =>
      this.#update(this.#idOfRequest(request), entry => entry.addSegments(keys)),
    'sqlassist:events': ({ request, events }) =>
      this.#update(this.#idOfRequest(request), entry => entry.addEvents(events)),
    'sqlassist:subscription': message => {
      this.#subscriptions.note(message)
      this.#tell({ kind: 'subscription' })
    },
  }

  #startSession(message: SessionMessage): void {
    const { scope, session } = message
    const id = this.#idOfSession(message)
    const open = this.#open.get(scope) ?? new Set()
    this.#open.set(scope, open.add(session))
    this.#update(id, entry => {
      const record = entry.startSession(message)
      if (record !== undefined) this.#sessions.set(session, { record, id })
      watchCalls(message)
    })
  }

  #endTransaction(is: 'commit' | 'rollback', message: SessionEndMessage): void {
    const { record, id } = this.#sessions.get(message.session) ?? {}
    if (record === undefined) return
    this.#update(id, entry => {
      if (is === 'rollback') entry.lookAt(record, message.session)
      entry.endTransaction(record, is, message)
    })
  }

  #closeSession({ scope, session }: SessionMessage): void {
    const { record, id } = this.#sessions.get(session) ?? {}
    const open = this.#open.get(scope)
    open?.delete(session)
    this.#update(id, entry => {
      if (record !== undefined) {
        entry.lookAt(record, session)
        record.status = 'END'
      }
      // All of them end together.
      if (entry.endsWithSessions && open?.size === 0) entry.end(undefined)
    })
  }

  /** Once they have been rolled back they hold nothing any more. */
  #lookAtSessions(scope: DiagnosticScope): void {
    for (const session of this.#open.get(scope) ?? []) {
      const { record, id } = this.#sessions.get(session) ?? {}
      if (record !== undefined) this.#update(id, entry => entry.lookAt(record, session))
    }
  }

  #endStatement(message: StatementMessage): void {
    const { record, id } = this.#statements.get(message) ?? {}
    if (record !== undefined) this.#update(id, entry => entry.endStatement(record, message))
  }

  /** The number of a scope's entry: that of its request, if it is one's. */
  #idOf(scope: DiagnosticScope): number | undefined {
    return this.#ids.get(ownerOf(scope))
  }

  #idOfRequest(request: unknown): number | undefined {
    return typeof request === 'object' && request !== null ? this.#ids.get(request) : undefined
  }

  /** Requests of routes that were registered before the toolbar are first heard of here, as scopes are. */
  #idOfSession({ scope }: SessionMessage): number {
    const owner = ownerOf(scope)
    const known = this.#ids.get(owner) ?? (scope.label() === OWN_SCOPE ? NOT_RECORDED : undefined)
    if (known !== undefined) return known
    return this.#add(
      owner,
      owner === scope
        ? { kind: 'scope', method: '', route: scope.label(), url: '', endsWithSessions: true }
        : beginningOf(owner as FastifyRequest, true),
    )
  }

  #add(owner: object, beginning: Beginning): number {
    const id = ++this.#last
    this.#ids.set(owner, id)
    this.#ring.add(new Recording(id, beginning, this.#options))
    this.#tell({ kind: 'entry', id })
    return id
  }

  #update(id: number | undefined, change: (entry: Recording) => void): void {
    const entry = this.#ring.get(id ?? NOT_RECORDED)
    if (entry === undefined) return
    change(entry)
    this.#tell({ kind: 'entry', id: entry.id })
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change)
  }
}

/** What `run` was given as the request may be anything. */
function ownerOf(scope: DiagnosticScope): object {
  const { request } = scope as { request?: Partial<FastifyRequest> | null }
  return typeof request?.method === 'string' && typeof request.url === 'string' ? request : scope
}

function beginningOf(request: FastifyRequest, endsWithSessions: boolean): Beginning {
  return {
    kind: 'request',
    method: request.method,
    route: request.routeOptions?.url ?? '(no route)',
    url: withoutQueryValues(request.url),
    endsWithSessions,
  }
}
