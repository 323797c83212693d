// What the toolbar remembers of requests: plain data, without values unless `parameters` is on.

/** A request, or a scope outside requests (`app.sqlAssist.run`). */
export interface Entry {
  /** Counts from 1 in this process. */
  readonly id: number
  readonly kind: 'request' | 'scope'
  /** Of a request; empty for a scope. */
  readonly method: string
  /** The route's pattern, or the scope's name. */
  readonly route: string
  /** The path; of a query string only the names. Empty for a scope. */
  readonly url: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds; undefined while it runs. */
  duration: number | undefined
  status: number | undefined
  /** What the commit rule has decided, and why; undefined where nothing was asked of it. */
  outcome: { readonly is: 'commit' | 'rollback'; readonly reason: string } | undefined
  readonly sessions: SessionRecord[]
  readonly statements: StatementRecord[]
  /** How many further statements were not kept. */
  dropped: number
  readonly routes: RouteRecord[]
  readonly waits: WaitRecord[]
  readonly flags: FlagRecord[]
  /** The keys of the segments that it was found to be in; undefined where nobody asked. */
  segments: readonly string[] | undefined
  readonly events: EventRecord[]
  readonly steps: TwoPhaseRecord[]
}

/** An engine in an entry. Engines that were not used are not there: they are INIT. */
export interface SessionRecord {
  readonly engine: string
  status: 'START' | 'END'
  /** Milliseconds since the entry's start. */
  readonly at: number
  /** Entities in the identity map when it ended (before a rollback forgot them). */
  identityMap: number | undefined
  /** Changes that nobody had flushed when it ended: `create User`, … */
  unflushed: readonly string[]
  /** Its transactions, in the order in which they ended. */
  readonly ends: {
    readonly is: 'commit' | 'rollback'
    readonly at: number
    readonly duration: number
    readonly error: string | undefined
  }[]
}

export interface StatementRecord {
  /** Counts from 1 in its entry. */
  readonly number: number
  readonly engine: string
  /** The replica's name, or `primary`. */
  readonly server: string
  readonly host: string | undefined
  readonly processId: number | undefined
  readonly dialect: string
  /** Milliseconds since the entry's start. */
  readonly at: number
  /** Milliseconds; undefined while it runs. */
  duration: number | undefined
  rows: number | undefined
  error: string | undefined
  readonly inTransaction: boolean
  /** With `$1` … in the place of values. */
  readonly sql: string
  /** With values; undefined unless `parameters` is on. */
  readonly text: string | undefined
  readonly parameters: readonly string[] | undefined
  /** The line of the application's code that it came from: `file:line:column`, relative to the working directory; undefined where none is known. */
  readonly origin: string | undefined
  /** How often the entry has sent the same `sql` from the same `origin` on the same engine: 2 or more is a likely N+1. */
  readonly repeats: number
}

export interface RouteRecord {
  readonly engine: string
  readonly server: string
  readonly reason: string
  readonly at: number
}

export interface WaitRecord {
  readonly engine: string
  readonly at: number
  readonly duration: number
  readonly error: string | undefined
}

export interface FlagRecord {
  readonly name: string
  /** As JSON; `parameters` off does not hide it: a flag's value is no user's data. */
  readonly value: string
  readonly times: number
}

export interface EventRecord {
  readonly topic: string
  readonly originatorId: string
  readonly originatorVersion: number
}

export interface TwoPhaseRecord {
  readonly step: string
  readonly engine: string
  readonly id: string
  readonly duration: number
  readonly error: string | undefined
}

/** How a replica was at a moment. */
export interface LagSample {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly state: string
  /** Milliseconds and bytes; undefined when it did not answer. */
  readonly lag: { readonly ms: number; readonly bytes: number } | undefined
}

export interface ReplicaHistory {
  readonly engine: string
  readonly replica: string
  /** Oldest first. */
  readonly samples: readonly LagSample[]
}

/** A subscription, projection or outbox of fastify-sqlassist/events. */
export interface SubscriptionRecord {
  readonly name: string
  /** The last notification that it has dealt with; undefined while it is not known. */
  readonly position: string | undefined
  /** `running`, `waiting` (another process leads), `stopped`, `failed`. */
  readonly state: string
  readonly error: string | undefined
  /** Milliseconds since 1970. */
  readonly at: number
}

/** What the pages are made from. */
export interface Records {
  /** Newest first. */
  entries(): readonly Entry[]
  get(id: number): Entry | undefined
  /** How many entries of each kind are kept at most. */
  readonly limit: number
  replicas(): readonly ReplicaHistory[]
  subscriptions(): readonly SubscriptionRecord[]
  clear(): void
  /** @returns ends the subscription */
  onChange(
    listener: (change: {
      readonly kind: 'entry' | 'replica' | 'subscription' | 'clear'
      readonly id?: number
    }) => void,
  ): () => void
}
