import type { TokenProblem, TokenSigner } from '../routing/causal-token.ts'
import { later, type Position, parseLsn } from '../routing/position.ts'
import type { Consistency, TokenKind } from '../routing/routing-options.ts'

/** How often what happened; a live view of it is `app.sqlAssist.routing`. */
export interface RoutingFigures {
  /** Connections taken for reads, on replicas and on the primary. */
  readonly reads: { replica: number; primary: number }
  /** Reads that waited for a replica to catch up, and statements that were run again on another server. */
  waited: number
  repeated: number
  /** Tokens that counted, and tokens that were ignored, by reason. */
  readonly tokens: { accepted: number } & Record<TokenProblem, number>
}

export function newRoutingFigures(): RoutingFigures {
  return {
    reads: { replica: 0, primary: 0 },
    waited: 0,
    repeated: 0,
    tokens: { accepted: 0, malformed: 0, forged: 0, expired: 0 },
  }
}

/** What all requests of an application share. */
export interface CausalContext {
  readonly consistency: Consistency
  /** Undefined when nobody signs: then nothing is remembered from one request to the next. */
  readonly signer: TokenSigner | undefined
  readonly figures: RoutingFigures
  /** The latest commit of this process in each cluster, whoever made it. */
  readonly commits: Map<string, Position>
}

/** What one request or scope brings along. */
export interface CausalOrigin {
  readonly consistency?: Consistency | undefined
  /** The tokens of the client, if it has any. */
  readTokens?(): string | readonly string[] | undefined
}

/** A token for the client. */
export interface FreshToken {
  readonly token: string
  readonly kind: TokenKind
}

/** What a primary is asked behind COMMIT, and behind a read: how far its log has come. */
export const PRIMARY_POSITION = `select case when pg_is_in_recovery() then null
  when current_setting('synchronous_commit') = 'off' then pg_current_wal_insert_lsn()
  else pg_current_wal_flush_lsn() end::text as lsn,
  case when pg_is_in_recovery() then null else substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8) end as timeline`

/**
 * The same behind the COMMIT of a transaction that may have turned `synchronous_commit` off for itself: it may be
 * visible before it was flushed, and afterwards nobody can tell.
 */
export const PRIMARY_INSERT_POSITION = PRIMARY_POSITION.replace(
  "current_setting('synchronous_commit') = 'off'",
  'true',
)

/** The answer to {@link PRIMARY_POSITION}; undefined when it is no primary. */
export function primaryPosition(system: string, row: Record<string, unknown>): Position | undefined {
  const { lsn, timeline } = row as { lsn: string | null; timeline: string | null }
  if (lsn === null || timeline === null) return undefined
  return { system, timeline: Number.parseInt(timeline, 16), lsn: parseLsn(lsn) }
}

/**
 * What one request must see, and what it has seen: its client's token, its own commits, its reads. (Session
 * guarantees: read your writes and monotonic reads, Terry et al., 1994.)
 */
export class Causality {
  readonly context: CausalContext
  readonly consistency: Consistency
  readonly #origin: CausalOrigin
  #written: Set<string> | undefined
  /** One a cluster; there is hardly ever a second one. */
  #seen: Position[] = []
  #hasReadTokens = false
  #distrusts = false
  /** Whether something was seen that the client's tokens do not say. */
  #advanced = false
  /** The clusters in which this request has committed. */
  #committed: Set<string> | undefined

  constructor(context: CausalContext, origin: CausalOrigin) {
    this.context = context
    this.#origin = origin
    this.consistency = origin.consistency ?? context.consistency
  }

  /** Whether positions are worth asking for: somebody will carry them on. */
  get isTracking(): boolean {
    return this.context.signer !== undefined
  }

  /** What a server of the cluster must have for this request. */
  wanted(system: string): Position | undefined {
    this.#readTokens()
    for (const position of this.#seen) if (position.system === system) return position
    return undefined
  }

  /** A read has seen, or a commit has made, what there was at `position`. */
  note(position: Position): void {
    this.#readTokens()
    if (this.#merge(position)) this.#advanced = true
  }

  /** A commit of this request has brought its cluster to `position`. */
  noteCommit(position: Position): void {
    const { commits } = this.context
    commits.set(position.system, later(commits.get(position.system), position))
    this.#committed ??= new Set()
    this.#committed.add(position.system)
    this.note(position)
  }

  /**
   * Whether the client brought a token that cannot be read. It may have written, and nobody can tell what: the primary
   * has it, and the answer brings a good token.
   */
  get distrusts(): boolean {
    this.#readTokens()
    return this.#distrusts
  }

  /** This request has sent a write to the cluster: from now on its reads go to the primary as well. */
  noteWrite(system: string): void {
    this.#written ??= new Set()
    this.#written.add(system)
  }

  hasWritten(system: string): boolean {
    return this.#written?.has(system) ?? false
  }

  /** The token for the client; undefined when there is nothing to tell. */
  get token(): string | undefined {
    this.#readTokens()
    const { signer } = this.context
    return signer === undefined || this.#seen.length === 0 ? undefined : signer.sign(this.#seen)
  }

  /** What the client is to be told; undefined when it says nothing that the client's own tokens do not say. */
  get freshToken(): FreshToken | undefined {
    // Answers to two writes of one client may leave in another order than that of their commits. So that neither is
    // forgotten, whichever comes last says at least what had been committed when it left.
    for (const system of this.#committed ?? []) this.note(this.context.commits.get(system) as Position)
    const token = this.#advanced ? this.token : undefined
    return token === undefined ? undefined : { token, kind: this.#committed === undefined ? 'read' : 'write' }
  }

  #readTokens(): void {
    if (this.#hasReadTokens) return
    this.#hasReadTokens = true
    const { signer, figures } = this.context
    const tokens = signer === undefined ? undefined : this.#origin.readTokens?.()
    if (signer === undefined || tokens === undefined) return
    // A transport of one's own may bring anything.
    for (const token of Array.isArray(tokens) ? tokens : [tokens]) {
      const said = signer.verify(token)
      if (typeof said === 'string') {
        figures.tokens[said]++
        // What an expired one knew, every replica that is online has had long ago.
        if (said !== 'expired') this.#distrusts = true
      } else {
        figures.tokens.accepted++
        for (const position of said) this.#merge(position)
      }
    }
  }

  /** @returns whether it is later than what was known */
  #merge(position: Position): boolean {
    for (const [at, known] of this.#seen.entries()) {
      if (known === position) return false
      if (known.system !== position.system) continue
      if (later(known, position) === known) return false
      this.#seen[at] = position
      return true
    }
    this.#seen.push(position)
    return true
  }
}
