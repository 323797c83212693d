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
  #current: Candidate
  /** Why there is none; undefined when there is one. */
  #absent: string | undefined = 'it has not been asked yet'
  #system: string | undefined
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
   * Finds the primary for the first time.
   *
   * @throws SQLA_ERR_PRIMARY_UNAVAILABLE when no server accepts writes
   */
  async start(): Promise<void> {
    await this.check()
    if (!this.isPresent) throw this.unavailable()
  }

  /** Asks every server now: somebody has seen an error that makes one doubt. Never rejects. */
  async check(): Promise<void> {
    await Promise.all(this.#candidates.map(({ monitor }) => monitor.check()))
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#search)
    for (const { monitor } of this.#candidates) monitor.stop()
  }

  #evaluate(): void {
    if (this.#closed || isUnknown(this.#current.monitor)) return
    const found = this.#find()
    const wasPresent = this.isPresent
    if (found === undefined) {
      this.#absent = this.#candidates.map(({ label, monitor }) => `${label} ${describe(monitor)}`).join('; ')
      if (wasPresent) {
        this.#context.log.error(
          { engine: this.#context.engine, reason: redact(this.#absent) },
          'no server accepts writes',
        )
      }
      this.#searchOn()
    } else {
      const reading = found.monitor.reading as Reading
      const isFirst = this.#system === undefined
      this.#searches = 0
      this.#system ??= reading.position.system
      this.#absent = undefined
      this.history.add(reading.position.lsn, reading.at)
      if (found !== this.#current) this.#move(found, isFirst)
      else if (!wasPresent && !isFirst) {
        this.#context.log.info(
          { engine: this.#context.engine, server: found.label },
          'the primary accepts writes again',
        )
      }
    }
    for (const callback of this.#onChange) callback()
  }

  /** Of several that accept writes, the latest timeline is right: the others have missed a promotion. */
  #find(): Candidate | undefined {
    let best: Candidate | undefined
    for (const candidate of this.#candidates) {
      const { reading } = candidate.monitor
      if (reading === undefined || reading.standby || reading.readOnly) continue
      if (this.#system !== undefined && reading.position.system !== this.#system) continue
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
    for (const callback of this.#onMove) {
      callback().catch(error =>
        log.error({ err: error, engine, to: to.label }, 'the engine could not follow the primary'),
      )
    }
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

/** Not asked yet, or being asked again because its connection ended: no reason to leave it. */
function isUnknown({ reading, failure }: Monitor): boolean {
  return reading === undefined && failure === undefined
}

function describe({ reading, failure }: Monitor): string {
  if (reading === undefined)
    return failure === undefined ? 'has not answered yet' : `cannot be reached: ${messageOf(failure)}`
  return reading.standby ? 'is a standby' : 'is read-only'
}
