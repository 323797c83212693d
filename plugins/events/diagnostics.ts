import { type Channel, channel } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import { type Engine, redact, requestOf } from '../../src/index.ts'
import type { Datastore } from './datastore.ts'
import type { RunnerState, RunnerStatus } from './runner-options.ts'
import type { StoredEvent } from './stored-event.ts'

/** The channel `sqlassist:events`: events were inserted. They may still be rolled back with all else of their transaction. */
export interface EventsMessage {
  /** The `app.sqlAssist` of the application. */
  readonly source: object
  /** In whose transaction; undefined outside of requests. */
  readonly request: FastifyRequest | undefined
  /** The engine's name. */
  readonly engine: string
  /** Which ones, but not what is in them. */
  readonly events: readonly Pick<StoredEvent, 'topic' | 'originatorId' | 'originatorVersion'>[]
}

/**
 * The channel `sqlassist:subscription`: whoever follows a log (a projection, a process application, an outbox) has started, come
 * to another position, or ended.
 */
export interface SubscriptionMessage {
  /** The `app.sqlAssist` of the application whose engine has the tracking. */
  readonly source: object
  /** Under which it is tracked. */
  readonly name: string
  /** The notification's id; undefined as long as it is not known. */
  readonly position: string | undefined
  /**
   * `waiting`: to be elected; with an `error` also for the next attempt after one that passes. `failed`: it has stopped by itself.
   */
  readonly state: 'running' | 'waiting' | 'stopped' | 'failed'
  /** A message, without passwords. */
  readonly error: string | undefined
}

type TypedChannel<M> = Pick<Channel, 'hasSubscribers'> & { publish(message: M): void }

const recorded: TypedChannel<EventsMessage> = channel('sqlassist:events')
const followed: TypedChannel<SubscriptionMessage> = channel('sqlassist:subscription')

const STATES: Record<RunnerState, SubscriptionMessage['state']> = {
  stopped: 'stopped',
  candidate: 'waiting',
  running: 'running',
  retrying: 'waiting',
  failed: 'failed',
}

/** Tells whoever listens that events were inserted. Those of a session of which nothing is known are nobody's. */
export function tellRecorded(datastore: Datastore, events: readonly StoredEvent[]): void {
  if (!recorded.hasSubscribers) return
  const request = datastore.isJoined ? requestOf(datastore.em) : undefined
  const engine = datastore.engine ?? engineOf(datastore, request)
  if (engine === undefined) return
  recorded.publish({
    source: engine.source,
    request,
    engine: engine.name,
    events: events.map(({ topic, originatorId, originatorVersion }) => ({
      topic,
      originatorId,
      originatorVersion,
    })),
  })
}

/** Of a session that is all that is known: the one of the request's application that it is a session of. */
function engineOf({ em }: Datastore, request: FastifyRequest | undefined): Engine | undefined {
  // Whoever runs a scope on behalf of a request may give any object for it.
  const engines = (request as Partial<FastifyRequest> | undefined)?.server?.sqlAssist?.engines ?? []
  return [...engines].find(({ orm }) => orm.em.getDriver() === em.getDriver())
}

/** Tells whoever listens how a runner is. */
export function tellFollowed(engine: Engine, { name, state, position, error }: RunnerStatus): void {
  if (!followed.hasSubscribers) return
  followed.publish({
    source: engine.source,
    name,
    position: position === undefined ? undefined : String(position),
    state: STATES[state],
    error: error === undefined ? undefined : redact(messageOf(error)),
  })
}

function messageOf(error: unknown): string {
  // Of an error of several addresses the message is empty.
  return (error instanceof Error && error.message) || String(error)
}
