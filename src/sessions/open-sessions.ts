import type { LiveList } from '../live-list.ts'
import type { HeldConnection } from './connection.ts'
import type { Container } from './container.ts'

/** A session that is open right now. */
export interface OpenSession {
  readonly engine: string
  /** Who opened it: `POST /notes`, or the name of a `run` scope. */
  readonly owner: string
  /** Whether it holds a connection. */
  readonly holding: boolean
  /** The connections that it holds. */
  readonly connections: readonly HeldConnection[]
}

/** A live view of the containers that have not been closed. */
export function openSessions(containers: LiveList<Container>): {
  readonly scopes: number
  readonly open: number
  readonly holding: number
  list(): OpenSession[]
} {
  function list(): OpenSession[] {
    return [...containers].flatMap(container =>
      container.sessions().map(session => ({
        engine: session.engine.name,
        owner: container.owner.label(),
        holding: session.connection.holding,
        connections: session.connection.connections(),
      })),
    )
  }
  return {
    get scopes() {
      return containers.size
    },
    get open() {
      return list().length
    },
    get holding() {
      return list().filter(session => session.holding).length
    },
    list,
  }
}
