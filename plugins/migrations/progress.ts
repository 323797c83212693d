/** Which way a revision is run. */
export type Direction = 'up' | 'down'

/** What happens while revisions run, as it happens. */
export type MigrationEvent =
  /** An engine is left out, because it is read-only. */
  | { readonly type: 'skipped'; readonly engine: string }
  /** Another process migrates this engine; told once. */
  | { readonly type: 'waiting'; readonly engine: string }
  | {
      readonly type: 'started'
      readonly engine: string
      readonly revision: string
      readonly direction: Direction
    }
  /** Its statements have run; they are final with the `committed` that follows. */
  | {
      readonly type: 'finished'
      readonly engine: string
      readonly revision: string
      readonly direction: Direction
      /** Milliseconds. */
      readonly duration: number
    }
  | { readonly type: 'committed'; readonly engine: string; readonly revisions: readonly string[] }
  /** A table has been written to the dump, or loaded from it. */
  | { readonly type: 'rows'; readonly engine: string; readonly table: string; readonly rows: number }

/** Told of every event; what it throws stops the operation. */
export type OnEvent = (event: MigrationEvent) => void

/** What operations that run on a database have in common. */
export interface RunContext {
  readonly onEvent: OnEvent
  /** How long to wait for another process, in milliseconds; undefined: as long as it takes. */
  readonly lockTimeout: number | undefined
}

/** What waiting for an engine's lock looks like from outside. */
export function waitingOf(engine: string, { onEvent, lockTimeout }: RunContext) {
  return { onWait: () => onEvent({ type: 'waiting', engine }), timeout: lockTimeout }
}
