import { IsolationLevel } from '@mikro-orm/core'
import type { FastifyRequest } from 'fastify'
import { type Engine, runOn, type SqlEm } from '../../src/index.ts'
import { turnOffJit } from './jit.ts'
import type { SegmentsSource } from './resolve.ts'
import type { Identity } from './segment.ts'
import type { SegmentRegistry } from './segment-registry.ts'

// In whose transaction the tables are asked: one for each call, a session's, or the request's.

/** What the transactions are called where those of the application are listed. */
const NAME = 'segments'

/** What the plugin has made of its options. */
export interface SegmentsParts {
  readonly source: SegmentsSource
  readonly registry: SegmentRegistry
  readonly engine: Engine
  readonly readEngine: Engine
}

/** How the database is asked. */
export interface SegmentsAccess {
  read<R>(work: (em: SqlEm) => Promise<R>): Promise<R>
  /** All or nothing. */
  write<R>(work: (em: SqlEm) => Promise<R>): Promise<R>
  /** The saved segments have changed. */
  changed(): Promise<void>
}

/** Who sends a request, and the request's own sessions. */
export interface RequestParts extends SegmentsParts {
  readonly request: FastifyRequest
  readonly requestProperty: string
  readonly identity: ((request: FastifyRequest) => Identity | undefined) | undefined
}

/** Every call is a transaction of its own. */
export function engineAccess({ engine, readEngine, registry }: SegmentsParts): SegmentsAccess {
  return {
    // What several statements read is of one moment, and of the engine's own server, where what was saved is.
    read: work =>
      runOn(
        readEngine,
        async em => {
          await turnOffJit(em)
          return work(em)
        },
        {
          isolationLevel: IsolationLevel.REPEATABLE_READ,
          readOnly: true,
          consistency: 'primary',
          name: NAME,
        },
      ),
    write: work => runOn(engine, work, { isolationLevel: IsolationLevel.READ_COMMITTED, name: NAME }),
    changed: () => registry.sync().catch(() => {}),
  }
}

/** Every call is a part of a session's transaction; one that fails is undone alone. */
export function sessionAccess(reader: SqlEm, writer: SqlEm, changed: () => Promise<void>): SegmentsAccess {
  return {
    read: work => work(reader),
    write: work => writer.transactional(em => work(em as SqlEm)),
    changed,
  }
}

/** Of the sessions of a request, which come into being when they are first needed. */
export function requestAccess({
  request,
  requestProperty,
  engine,
  readEngine,
  registry,
}: RequestParts): SegmentsAccess {
  const db = () =>
    (request as unknown as Record<string, FastifyRequest['db']>)[requestProperty] as FastifyRequest['db']
  return {
    read: work => work(db().get(readEngine.name)),
    write: work =>
      db()
        .get(engine.name)
        .transactional(em => work(em as SqlEm)),
    changed: async () => db().onCommit(() => registry.sync()),
  }
}
