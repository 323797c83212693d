import type {
  OutcomeMessage,
  PoolWaitMessage,
  RouteMessage,
  SessionEndMessage,
  SessionMessage,
  StatementMessage,
  TwoPhaseMessage,
} from '../../src/index.ts'
import type {
  Entry,
  EventRecord,
  FlagRecord,
  RouteRecord,
  SessionRecord,
  StatementRecord,
  TwoPhaseRecord,
  WaitRecord,
} from './records.ts'
import { inspectSession } from './session-inspection.ts'
import { shownError } from './shown-error.ts'
import { type KeptStatement, StatementLog } from './statement-log.ts'
import { cut, shownValue } from './texts.ts'

/** Of everything but statements an entry keeps this many; a request that never ends must not fill the memory. */
const MOST_RECORDS = 200
const MOST_NAME = 500

/** What a recording begins with. */
export interface Beginning {
  readonly kind: Entry['kind']
  readonly method: string
  readonly route: string
  readonly url: string
  /** Whether it has ended when its sessions have: there is no response that anybody knows of. */
  readonly endsWithSessions: boolean
}

/** How much a recording keeps. */
export interface Bounds {
  readonly statements: number
  readonly parameters: boolean
}

/** For whoever writes it. */
export type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** An entry while it is being written. What comes after its end (COMMIT, the end of the sessions) is added as well. */
export class Recording implements Entry {
  readonly id: number
  readonly kind: Entry['kind']
  readonly method: string
  readonly route: string
  readonly url: string
  readonly startedAt = Date.now()
  duration: number | undefined
  status: number | undefined
  outcome: Entry['outcome']
  readonly sessions: Writable<SessionRecord>[] = []
  readonly routes: RouteRecord[] = []
  readonly waits: WaitRecord[] = []
  readonly flags: Writable<FlagRecord>[] = []
  segments: readonly string[] | undefined
  readonly events: EventRecord[] = []
  readonly steps: TwoPhaseRecord[] = []
  readonly endsWithSessions: boolean
  readonly #began = performance.now()
  readonly #parameters: boolean
  readonly #log: StatementLog

  constructor(id: number, beginning: Beginning, { statements, parameters }: Bounds) {
    this.id = id
    this.kind = beginning.kind
    this.method = beginning.method
    this.route = cut(beginning.route, MOST_NAME)
    this.url = beginning.url
    this.endsWithSessions = beginning.endsWithSessions
    this.#parameters = parameters
    this.#log = new StatementLog(statements, parameters)
  }

  get statements(): StatementRecord[] {
    return this.#log.records
  }

  get dropped(): number {
    return this.#log.dropped
  }

  /** Milliseconds since it began. */
  get elapsed(): number {
    return performance.now() - this.#began
  }

  end(status: number | undefined): void {
    this.duration ??= this.elapsed
    this.status = status
  }

  /** @returns the session's record; undefined when there are too many */
  startSession({ engine }: SessionMessage): Writable<SessionRecord> | undefined {
    if (this.sessions.length >= MOST_RECORDS) return undefined
    const record: Writable<SessionRecord> = {
      engine,
      status: 'START',
      at: this.elapsed,
      identityMap: undefined,
      unflushed: [],
      ends: [],
    }
    this.sessions.push(record)
    return record
  }

  /** A rollback forgets the entities: what a session held before counts more than that it holds none now. */
  lookAt(record: Writable<SessionRecord>, session: SessionMessage['session']): void {
    const found = inspectSession(session)
    if (found === undefined) return
    if (record.identityMap !== undefined && found.identityMap === 0 && found.unflushed.length === 0) return
    record.identityMap = found.identityMap
    record.unflushed = found.unflushed
  }

  endTransaction(
    record: Writable<SessionRecord>,
    is: 'commit' | 'rollback',
    { duration, error }: SessionEndMessage,
  ): void {
    if (record.ends.length >= MOST_RECORDS) return
    record.ends.push({
      is,
      at: this.elapsed - duration,
      duration,
      error: shownError(error, this.#parameters),
    })
  }

  startStatement(message: StatementMessage, origin: string | undefined): KeptStatement | undefined {
    return this.#log.start(message, message.startedAt - this.#began, origin)
  }

  endStatement(record: KeptStatement, message: StatementMessage): void {
    this.#log.end(record, message)
  }

  decide({ outcome, reason }: OutcomeMessage): void {
    this.outcome = { is: outcome, reason: cut(reason, MOST_NAME) }
  }

  addRoute({ engine, server, reason }: RouteMessage): void {
    keep(this.routes, { engine, server, reason: cut(reason, MOST_NAME), at: this.elapsed })
  }

  addWait({ engine, duration, error }: PoolWaitMessage): void {
    const at = this.elapsed - duration
    keep(this.waits, { engine, at, duration, error: shownError(error, this.#parameters) })
  }

  addStep({ step, engine, id, duration, error }: TwoPhaseMessage): void {
    keep(this.steps, { step, engine, id, duration, error: shownError(error, this.#parameters) })
  }

  addFlag(name: string, value: unknown): void {
    const shown = shownValue(value)
    const known = this.flags.find(flag => flag.name === name && flag.value === shown)
    if (known !== undefined) known.times++
    else keep(this.flags, { name: cut(name, MOST_NAME), value: shown, times: 1 })
  }

  addSegments(keys: readonly string[]): void {
    const all = new Set([...(this.segments ?? []), ...keys.map(key => cut(key, MOST_NAME))])
    this.segments = [...all].slice(0, MOST_RECORDS)
  }

  addEvents(events: readonly EventRecord[]): void {
    for (const { topic, originatorId, originatorVersion } of events) {
      keep(this.events, {
        topic: cut(topic, MOST_NAME),
        originatorId: cut(originatorId, MOST_NAME),
        originatorVersion,
      })
    }
  }
}

function keep<T>(list: T[], record: T): void {
  if (list.length < MOST_RECORDS) list.push(record)
}
