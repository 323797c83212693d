import type { FastifyInstance } from 'fastify'
import { type DiagnosticScope, observe, type StatementMessage } from 'fastify-sqlassist'

/** Requests that are remembered, statements of each, and characters of each: whatever happens, it stays this small. */
const LIMITS = { requests: 60, statements: 12, sql: 300, flow: 64 }

/** One statement, without its values. */
export interface SentStatement {
  readonly engine: string
  readonly server: string
  readonly sql: string
  /** When it was sent, in milliseconds of `performance.now()`. */
  readonly startedAt: number
  /** Milliseconds. */
  readonly duration: number
  readonly rows: number | undefined
  readonly hasFailed: boolean
}

/** Why a read went where it went. */
export interface Routed {
  readonly engine: string
  readonly server: string
  readonly reason: string
}

/** What one request did with the databases. */
export interface Served {
  /** `POST /write` */
  readonly label: string
  readonly at: Date
  /** In the order in which they were sent: statements beside each other are answered now in this order, now in that. */
  readonly statements: SentStatement[]
  /** Statements that are not kept. */
  more: number
  readonly routed: Routed[]
  /** What the commit rule has decided, and why. */
  outcome: string | undefined
  /** The engines that have committed, and those that have rolled back. */
  readonly committed: string[]
  readonly rolledBack: string[]
}

/** One statement on its way, for the map. */
export interface Sent {
  readonly engine: string
  readonly server: string
  readonly number: number
}

/** The last requests and what they sent where, from the package's diagnostics channels. */
export class Feed {
  readonly #byScope = new WeakMap<DiagnosticScope, Served>()
  readonly #requests: Served[] = []
  readonly #counts = new Map<string, number>()
  #sent: Sent[] = []
  #number = 0
  readonly #changed: () => void

  constructor(app: FastifyInstance, changed: () => void) {
    this.#changed = changed
    const isOurs = ({ source, scope }: { source: object; scope: DiagnosticScope }) =>
      // A process may have several applications; and what is no request's is our own housekeeping.
      source === app.sqlAssist && scope.request !== undefined
    const stops = [
      observe('sqlassist:statement:end', message => isOurs(message) && this.#add(message)),
      observe('sqlassist:statement:error', message => isOurs(message) && this.#add(message)),
      observe('sqlassist:route', message => isOurs(message) && this.#route(message.scope, message)),
      observe('sqlassist:outcome', message => {
        if (isOurs(message)) this.#end(message.scope, served => (served.outcome ??= message.reason))
      }),
      observe('sqlassist:session:commit', message => {
        if (isOurs(message)) this.#end(message.scope, served => note(served.committed, message.engine))
      }),
      observe('sqlassist:session:rollback', message => {
        if (isOurs(message)) this.#end(message.scope, served => note(served.rolledBack, message.engine))
      }),
    ]
    app.addHook('onClose', async () => {
      for (const stop of stops) stop()
    })
  }

  /** The newest first. */
  get requests(): readonly Served[] {
    return this.#requests
  }

  /** How many statements a server has got from requests. */
  count(server: string): number {
    return this.#counts.get(server) ?? 0
  }

  /** The statements behind one that was seen already, as far as they are kept. */
  sentSince(number: number): Sent[] {
    return this.#sent.filter(sent => sent.number > number)
  }

  get lastSent(): number {
    return this.#number
  }

  #of(scope: DiagnosticScope): Served {
    const known = this.#byScope.get(scope)
    if (known !== undefined) return known
    const served: Served = {
      label: scope.label(),
      at: new Date(),
      statements: [],
      more: 0,
      routed: [],
      outcome: undefined,
      committed: [],
      rolledBack: [],
    }
    this.#byScope.set(scope, served)
    this.#requests.unshift(served)
    this.#requests.length = Math.min(this.#requests.length, LIMITS.requests)
    return served
  }

  #add({ scope, engine, server, sql, startedAt, duration = 0, rows, error }: StatementMessage): void {
    const served = this.#of(scope)
    if (served.statements.length < LIMITS.statements) {
      const text = sql.length > LIMITS.sql ? `${sql.slice(0, LIMITS.sql)}…` : sql
      const place = served.statements.findLastIndex(earlier => earlier.startedAt <= startedAt) + 1
      served.statements.splice(place, 0, {
        engine,
        server: server.name,
        sql: text,
        startedAt,
        duration,
        rows,
        hasFailed: error !== undefined,
      })
    } else served.more++
    this.#counts.set(server.name, this.count(server.name) + 1)
    this.#sent = [
      ...this.#sent.slice(1 - LIMITS.flow),
      { engine, server: server.name, number: ++this.#number },
    ]
    this.#changed()
  }

  #route(scope: DiagnosticScope, { engine, server, reason }: Routed): void {
    const { routed } = this.#of(scope)
    const isKnown = routed.some(
      one => one.engine === engine && one.server === server && one.reason === reason,
    )
    if (!isKnown && routed.length < LIMITS.statements) routed.push({ engine, server, reason })
    this.#changed()
  }

  /** A request that has sent nothing has nothing to end. */
  #end(scope: DiagnosticScope, change: (served: Served) => void): void {
    const served = this.#byScope.get(scope)
    if (served === undefined) return
    change(served)
    this.#changed()
  }
}

function note(list: string[], engine: string): void {
  if (!list.includes(engine)) list.push(engine)
}
