import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { createEventTables } from '../../plugins/events/create-tables.ts'
import { Datastore } from '../../plugins/events/datastore.ts'
import { Log } from '../../plugins/events/log.ts'
import { Mapper } from '../../plugins/events/mapper.ts'
import { ApplicationRecorder } from '../../plugins/events/recorders/application-recorder.ts'
import type { StoredEvent } from '../../plugins/events/stored-event.ts'
import { type SubscribeOptions, Subscription } from '../../plugins/events/subscription.ts'
import { eventTables, type Ordering } from '../../plugins/events/tables.ts'
import { EventTopics } from '../../plugins/events/topics.ts'
import sqlAssist, { type Engine } from '../../src/index.ts'

// Processes that write to a log and follow it, for tests in which much happens at once.

export const mapper = new Mapper(new EventTopics([]))

/** What a process of an application has. */
export interface Process {
  readonly app: FastifyInstance
  readonly engine: Engine
  readonly recorder: ApplicationRecorder
  readonly log: Log
  readonly warnings: string[]
}

export interface ProcessOptions {
  readonly ordering?: Ordering
  readonly notify?: boolean
  /** Default: a minute where it is notified, else 50 ms. */
  readonly pollInterval?: number
  /** Default true; a standby has those of its primary. */
  readonly makesTables?: boolean
  /** Connections of its pool. */
  readonly max?: number
}

/** An application with the engine `writer`. */
export async function processOn(
  t: Test,
  clientUrl: string | string[],
  {
    ordering = 'watermark',
    notify = true,
    max = 20,
    pollInterval = notify ? 60_000 : 50,
    makesTables = true,
  }: ProcessOptions = {},
): Promise<Process> {
  const warnings: string[] = []
  const app = Fastify()
  const orm = defineConfig({
    clientUrl: clientUrl as string,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max },
  })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  await app.ready()
  const engine = app.sqlAssist.engines.get('writer')
  const datastore = new Datastore(engine)
  if (makesTables) await createEventTables(datastore, { ordering })
  const tables = eventTables(datastore.em)
  const logger = { warn: (_fields: object, message: string) => void warnings.push(message) }
  const log = Log.of(engine, tables, { ordering, notify, pollInterval, log: logger })
  const onRecorded = (where: Datastore) => log.announce(where)
  const recorder = new ApplicationRecorder({ datastore, tables, ordering, onRecorded })
  t.teardown(async () => {
    await log.close()
    await app.close()
  })
  return { app, engine, recorder, log, warnings }
}

/** What a follower has seen, in the order in which it came. */
export interface Seen {
  readonly id: number
  readonly stream: string
  readonly version: number
  readonly at: number
}

/**
 * Subscribes.
 *
 * @param more pause: how long what is done with an event takes, in milliseconds; isLeftAlone: the test asks by itself
 * @returns what it has seen so far, and what ends it
 */
export function follow(
  { log, recorder }: Process,
  {
    pause,
    isLeftAlone = false,
    ...options
  }: SubscribeOptions & { pause?: () => number; isLeftAlone?: boolean } = {},
) {
  const seen: Seen[] = []
  const subscription = new Subscription({ log, recorder, mapper }, options)
  const done = (async () => {
    if (isLeftAlone) return
    for await (const { id, originatorId, originatorVersion } of subscription) {
      seen.push({ id, stream: originatorId, version: originatorVersion, at: performance.now() })
      const ms = pause?.() ?? 0
      if (ms > 0) await sleep(ms)
    }
  })()
  return { seen, subscription, end: async () => void (await Promise.all([subscription.return(), done])) }
}

export function assertOrder(t: Test, who: string, seen: readonly Seen[], stored: readonly number[]): void {
  const ids = seen.map(({ id }) => id)
  const known = new Set(ids)
  t.same(
    stored.filter(id => !known.has(id)),
    [],
    `${who} has missed none of ${stored.length}`,
  )
  t.equal(known.size, ids.length, `${who} has seen none twice`)
  t.equal(ids.length, stored.length, `${who} has seen nothing else`)
  const versions = new Map<string, number>()
  const disorder = seen.filter(({ stream, version }) => {
    const before = versions.get(stream) ?? 0
    versions.set(stream, version)
    return version !== before + 1
  })
  t.same(disorder, [], `${who} has seen each stream in the order of its versions`)
}

/** @param part 0.99: 99 of 100 are no greater */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** The next events of a stream. @param first the version of the first one */
export function eventsOf(originatorId: string, first: number, count = 1): StoredEvent[] {
  return Array.from({ length: count }, (_, place) => ({
    originatorId,
    originatorVersion: first + place,
    topic: 'Race.Ran',
    state: STATE,
  }))
}

const STATE = Buffer.from('{"data":{},"timestamp":"2026-01-01T00:00:00.000Z","version":1}')
