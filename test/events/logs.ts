import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { EventStorageOptions } from '../../plugins/events/create-tables.ts'
import { Log, type LogOptions } from '../../plugins/events/log.ts'
import type { StoredEvent } from '../../plugins/events/stored-event.ts'
import { eventTables } from '../../plugins/events/tables.ts'
import type { Engine, SqlEm } from '../../src/index.ts'
import type { TestBackend } from '../support/backends.ts'
import { engineOn, events, storeOn, type TestStore } from './recorders/stores.ts'

// Logs that are written to and followed, by one process or by two.

/** A transaction that is open. */
export interface OpenTransaction {
  readonly em: SqlEm
  insert(events: readonly StoredEvent[]): Promise<readonly number[] | undefined>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** A log, and somebody who writes to it. */
export interface TestLog extends TestStore {
  readonly engine: Engine
  readonly log: Log
  readonly warnings: string[]
  /** The same log once more, for another application in this process. */
  again(options?: Partial<LogOptions>): Log
  /** Records one event in a transaction of its own. */
  insert(): Promise<void>
  open(): Promise<OpenTransaction>
}

let made = 0

/** A new log on an engine of its own. Nothing announces what is recorded, unless a test does. */
export async function logOn(
  t: Test,
  backend: TestBackend,
  options: Partial<LogOptions> & EventStorageOptions = {},
): Promise<TestLog> {
  const { engine } = await engineOn(t, backend)
  made++
  const ordering = options.ordering ?? (backend.dialect === 'postgresql' ? 'watermark' : 'strict')
  const store = await storeOn(engine, { name: `log ${made}`, ...options, ordering })
  return followed(t, engine, store, { ...options, ordering })
}

/** The same log, as another process follows it: over an engine of its own. */
export async function elsewhere(
  t: Test,
  backend: TestBackend,
  { options, application }: TestLog,
  more: Partial<LogOptions> = {},
): Promise<TestLog> {
  const { engine } = await engineOn(t, backend)
  const { ordering } = application
  return followed(t, engine, await storeOn(engine, options), { ordering, ...more })
}

function followed(t: Test, engine: Engine, store: TestStore, options: LogOptions): TestLog {
  const warnings: string[] = []
  const log = { warn: (_fields: object, message: string) => void warnings.push(message) }
  const again = (more: Partial<LogOptions> = {}): Log => {
    const tables = eventTables(engine.orm.em as SqlEm, store.options)
    const another = Log.of(engine, tables, { log, ...options, ...more })
    // Before the engine.
    t.teardown(() => another.close())
    return another
  }
  return {
    ...store,
    engine,
    warnings,
    again,
    log: again(),
    insert: async () => void (await store.application.insertEvents(events(1))),
    async open() {
      const em = engine.orm.em.fork() as SqlEm
      await em.begin()
      // Where a test has failed.
      t.teardown(() => (em.isInTransaction() ? em.rollback() : undefined))
      return {
        em,
        insert: some => store.application.at(em).insertEvents(some),
        commit: () => em.commit(),
        rollback: () => em.rollback(),
      }
    },
  }
}

/** What a promise resolves to, or `'nothing yet'` after some time. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | 'nothing yet'> {
  const over = new AbortController()
  const late = sleep(ms, 'nothing yet' as const, { signal: over.signal })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}
