import type { Engine } from '../../src/index.ts'
import type { Application } from './application.ts'
import { errors } from './errors.ts'
import type { Log } from './log.ts'
import type { Mapper } from './mapper.ts'
import type { ApplicationRecorder } from './recorders/application-recorder.ts'

/** An application of whatever aggregates. */
// biome-ignore lint/suspicious/noExplicitAny: what is followed are events, whoever they are of
export type AnyApplication = Application<any>

/** What somebody needs who follows an application. */
export interface Source {
  readonly log: Log
  readonly recorder: ApplicationRecorder
  readonly mapper: Mapper
}

/**
 * What followers see of an application; its users do not.
 *
 * @throws SQLA_ERR_EVENTS_STORAGE when it was made on a session
 */
export function sourceOf(application: AnyApplication): Source {
  // Even where the engine of a session is known: what it reads belongs to its transaction, which ends.
  engineOf(application)
  const { log, recorder, shared } = application as unknown as {
    readonly log: Log
    readonly recorder: ApplicationRecorder
    readonly shared: { readonly mapper: Mapper }
  }
  return { log, recorder, mapper: shared.mapper }
}

/**
 * Where an application is.
 *
 * @throws SQLA_ERR_EVENTS_STORAGE when it was made on a session
 */
export function engineOf({ options: { on } }: AnyApplication): Engine {
  if (!('getConnection' in on)) return on
  throw new errors.SQLA_ERR_EVENTS_STORAGE('an application that was made of a session cannot follow a log')
}
