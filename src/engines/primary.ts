import { errors } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { PrimaryHistory } from '../routing/lag.ts'
import { type Address, labelOf } from './addresses.ts'
import { Monitor } from './monitor.ts'
import { Probe, type ProbeClient, type Reading } from './probe.ts'
import { messageOf, redact } from './redact.ts'

/** What finding the primary takes. */
export interface PrimaryContext {
  readonly engine: string
  /** Every server that may be the one. */
  readonly addresses: readonly Address[]
  readonly probe: { readonly interval: number; readonly timeout: number }
  readonly log: Logger
  open(address: Address): ProbeClient
}

interface Candidate {
  readonly address: Address
  readonly label: string
  readonly monitor: Monitor
}

/** While nobody accepts writes, how soon everybody is asked again, in milliseconds: at first, and at the latest. */
const FIRST_SEARCH = 200
const LAST_SEARCH = 1_000
/** How long an application that starts asks on when servers answer late, in milliseconds. */
const START_PATIENCE = 4_000
/** How long a server may be silent before what it was in the middle of is given up, in milliseconds. */
const SILENCE = 2_000

/**
 * Which of an engine's servers accepts writes right now. A server that answers is not enough: one that has become
 * read-only, or that replays again, is no primary.
 */
export class Primary {
  readonly history = new PrimaryHistory()
  readonly #context: PrimaryContext
  readonly #candidates: readonly Candidate[]
  readonly #onChange: (() => void)[] = []
  readonly #onMove: (() => Promise<void>)[] = []
  readonly #onAbsent: ((error: Error, isSilent: boolean) => void)[] = []
  #current: Candidate
  /** Why there is none; undefined when there is one. */
  #absent: string | undefined = 'it has not been asked yet'
  #system: string | undefined
  /** The latest that has been written to. A server on an earlier one has missed a promotion, and is no primary. */
  #timeline = 0
  #silence: NodeJS.Timeout | undefined
  /** Whether somebody has not been able to follow when the primary moved. */
  #lostFollowers = false
  #search: NodeJS.Timeout | undefined
  #searches = 0
  #closed = false

  constructor(context: PrimaryContext) {
    this.#context = context
    this.#candidates = context.addresses.map(address => ({
      address,
      label: labelOf(address),
      monitor: new Monitor(
        new Probe(() => context.open(address), context.probe.timeout),
        context.probe.interval,
        () => this.#evaluate(),
      ),
    }))
    this.#current = this.#candidates[0] as Candidate
  }

  /** Where the server is that accepts writes, or that did so last. */
  get address(): Address {
    return this.#current.address
  }

  /** Every server that may be the one. */
  get addresses(): readonly Address[] {
    return this.#context.addresses
  }

  /** What it said last; undefined while there is no primary. */
  get reading(): Reading | undefined {
    return this.#absent === undefined ? this.#current.monitor.reading : undefined
  }

  /** The cluster that it writes. */
  get system(): string | undefined {
    return this.#system
  }

  get isPresent(): boolean {
    return this.#absent === undefined
  }

  /** The error for whoever needs a primary when there is none. */
  unavailable(cause?: unknown): Error {
    return new errors.SQLA_ERR_PRIMARY_UNAVAILABLE(
      this.#context.engine,
      redact(this.#absent ?? messageOf(cause)),
      ...(cause === undefined ? [] : [{ cause }]),
    )
  }

  /** Calls back after every answer of a server. */
  onChange(callback: () => void): void {
    this.#onChange.push(callback)
  }

  /** Calls back when another server has become the primary. */
  onMove(callback: () => Promise<void>): void {
    this.#onMove.push(callback)
  }

  /**
   * Calls back when there is no primary any more; and again, with `isSilent`, when it has not been there for so long
   * that it is better not to wait for the answers that it owes.
   */
  onAbsent(callback: (error: Error, isSilent: boolean) => void): void {
    this.#onAbsent.push(callback)
  }

  /**
   * Finds the primary for the first time.
   *
   * @throws SQLA_ERR_PRIMARY_UNAVAILABLE when no server accepts writes
   */
  async start(): Promise<void> {
    const deadline = performance.now() + START_PATIENCE
    do await this.check()
    while (!this.isPresent && this.#isSlow && !this.#closed && performance.now() < deadline)
    if (!this.isPresent) throw this.unavailable()
  }

  /** Asks every server now: somebody has seen an error that makes one doubt. Never rejects. */
  async check(): Promise<void> {
    await Promise.all(this.#candidates.map(({ monitor }) => monitor.check()))
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#search)
    clearTimeout(this.#silence)
    for (const { monitor } of this.#candidates) monitor.stop()
  }

  #evaluate(): void {
    if (this.#closed || this.#isUndecided(this.#current.monitor)) return
    const found = this.#find()
    const wasPresent = this.isPresent
    if (found === undefined) {
      this.#absent = this.#candidates
        .map(({ label, monitor }) => `${label} ${describe(monitor, this.#timeline)}`)
        .join('; ')
      if (wasPresent) {
        this.#context.log.error(
          { engine: this.#context.engine, reason: redact(this.#absent) },
          'no server accepts writes',
        )
        this.#announceAbsence()
      }
      this.#searchOn()
    } else {
      const reading = found.monitor.reading as Reading
      const isFirst = this.#system === undefined
      this.#searches = 0
      clearTimeout(this.#silence)
      this.#timeline = reading.position.timeline
      this.#system ??= reading.position.system
      this.#absent = undefined
      this.history.add(reading.position.lsn, reading.at)
      if (found !== this.#current) this.#move(found, isFirst)
      else if (this.#lostFollowers) this.#callFollowers()
      else if (!wasPresent && !isFirst) {
        this.#context.log.info(
          { engine: this.#context.engine, server: found.label },
          'the primary accepts writes again',
        )
      }
    }
    for (const callback of this.#onChange) callback()
  }

  /**
   * Not asked yet, or being asked again because its connection ended, is no reason to leave it. Neither is one answer
   * that came too late: on a busy machine that happens, and then no write would be accepted anywhere.
   */
  #isUndecided({ reading, failure, failures }: Monitor): boolean {
    if (reading !== undefined) return false
    return failure === undefined || (this.isPresent && failures === 1 && isTimeout(failure))
  }

  /** Of several that accept writes, the latest timeline is right: the others have missed a promotion. */
  #find(): Candidate | undefined {
    let best: Candidate | undefined
    for (const candidate of this.#candidates) {
      const { reading } = candidate.monitor
      if (reading === undefined || reading.standby || reading.readOnly) continue
      if (this.#system !== undefined && reading.position.system !== this.#system) continue
      if (reading.position.timeline < this.#timeline) continue
      const rival = best?.monitor.reading
      const isLater = rival === undefined || reading.position.timeline > rival.position.timeline
      const isSame = rival !== undefined && reading.position.timeline === rival.position.timeline
      if (isLater || (isSame && candidate === this.#current)) best = candidate
    }
    return best
  }

  #move(to: Candidate, isFirst: boolean): void {
    const { engine, log } = this.#context
    const from = this.#current.label
    this.#current = to
    if (isFirst) return
    log.warn({ engine, from, to: to.label }, 'another server accepts writes now; the engine follows it')
    this.#callFollowers()
  }

  #callFollowers(): void {
    const { engine, log } = this.#context
    const to = this.#current.label
    this.#lostFollowers = false
    for (const callback of this.#onMove) {
      callback().catch(error => {
        // It is called again with the next answer.
        this.#lostFollowers = true
        log.error({ err: error, engine, to }, 'the engine could not follow the primary')
      })
    }
  }

  get #isSlow(): boolean {
    return this.#candidates.some(({ monitor: { failure } }) => failure !== undefined && isTimeout(failure))
  }

  #announceAbsence(): void {
    const error = this.unavailable()
    for (const callback of this.#onAbsent) callback(error, false)
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => {
      // One that answers, if only to say that it accepts no writes, also answers what it was asked before.
      if (this.#current.monitor.reading !== undefined) return
      for (const callback of this.#onAbsent) callback(error, true)
    }, SILENCE)
    this.#silence.unref()
  }

  #searchOn(): void {
    if (this.#search !== undefined) return
    // With jitter: other processes have lost the same server.
    const pause = Math.min(FIRST_SEARCH * 1.5 ** this.#searches++, LAST_SEARCH) * (0.75 + Math.random() / 4)
    this.#search = setTimeout(() => {
      this.#search = undefined
      void this.check()
    }, pause)
    this.#search.unref()
  }
}

function describe({ reading, failure }: Monitor, timeline: number): string {
  if (reading === undefined)
    return failure === undefined ? 'has not answered yet' : `cannot be reached: ${messageOf(failure)}`
  if (reading.standby) return 'is a standby'
  if (reading.readOnly) return 'is read-only'
  return reading.position.timeline < timeline
    ? `has missed a promotion: it writes timeline ${reading.position.timeline}, and timeline ${timeline} is the latest`
    : 'is of another cluster'
}

/** Also pg's own word for a connection that was not there in time, which has no code. */
function isTimeout(failure: unknown): boolean {
  const { code, message } = failure as { code?: unknown; message?: unknown }
  return code === 'ETIMEDOUT' || message === 'timeout expired'
}
