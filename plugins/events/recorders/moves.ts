import type { Engine } from '../../../src/index.ts'
import type { EventTable } from '../tables.ts'

/** Somebody's next move. */
export interface Move {
  /** Resolves when it has been made, and never when it has not. */
  readonly made: Promise<void>
  /** To be called when nobody waits for it any more. */
  forget(): void
}

/** The moves of a tracking table that this process has made itself, so that who waits in it need not wait for a look. */
export class Moves {
  static readonly #known = new WeakMap<Engine, Map<string, Moves>>()
  readonly #waiting = new Map<string, Set<() => void>>()

  /** Without an engine, which is what recorders have in common, nobody is told. */
  static of(engine: Engine | undefined, table: EventTable): Moves {
    if (engine === undefined) return new Moves()
    let tables = Moves.#known.get(engine)
    if (tables === undefined) {
      tables = new Map()
      Moves.#known.set(engine, tables)
    }
    let moves = tables.get(table.sql)
    if (moves === undefined) {
      moves = new Moves()
      tables.set(table.sql, moves)
    }
    return moves
  }

  next(name: string): Move {
    const { promise, resolve } = Promise.withResolvers<void>()
    let waiting = this.#waiting.get(name)
    if (waiting === undefined) {
      waiting = new Set()
      this.#waiting.set(name, waiting)
    }
    const those = waiting
    those.add(resolve)
    return {
      made: promise,
      forget: () => {
        those.delete(resolve)
        if (those.size === 0 && this.#waiting.get(name) === those) this.#waiting.delete(name)
      },
    }
  }

  tell(name: string): void {
    for (const resolve of this.#waiting.get(name) ?? []) resolve()
  }
}
