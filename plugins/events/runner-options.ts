import type { ApplicationLog } from './application.ts'

/** What a runner does. */
export type RunnerState =
  /** Not started, or stopped. */
  | 'stopped'
  /** Somebody else has been elected, or it is about to begin. */
  | 'candidate'
  | 'running'
  /** Something that passes has failed, and is tried again. */
  | 'retrying'
  /** It has stopped by itself; somebody has to look. */
  | 'failed'

/** How a runner is. */
export interface RunnerStatus {
  /** The name under which it is tracked. */
  readonly name: string
  readonly state: RunnerState
  /** How far it has come, as far as this process knows: a notification's id. */
  readonly position: number | undefined
  /** Why it has failed, or is trying again. */
  readonly error: unknown
}

/** What all runners can be told. */
export interface RunnerOptions {
  /**
   * Whether several runners of the same name elect one of them (PostgreSQL): the others stand by. Default true. Without it all
   * work, and all but one of them in vain; the effect is the same.
   */
  readonly elect?: boolean
  /** How many events are read at once. Default 100. */
  readonly batch?: number
  /** How long `stop` waits for what is under way: milliseconds. Default 10,000. */
  readonly stopTimeout?: number
  /** Stops it. */
  readonly signal?: AbortSignal
  readonly log?: ApplicationLog
}
