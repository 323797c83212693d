import type { FastifyInstance } from 'fastify'
import type { Lag } from 'fastify-sqlassist'
import type { Action, Controlled } from './cluster.ts'

/** How a server is; `paused` and `joining` only the cluster knows. */
export type ServerState = 'online' | 'paused' | 'lagging' | 'joining' | 'down' | 'draining'

/** What the map shows of a server. */
export interface ServerView {
  readonly name: string
  readonly isPrimary: boolean
  readonly state: ServerState
  /** Why it serves no reads. */
  readonly reason: string | undefined
  readonly lag: Lag | undefined
  /** What can be done to it. */
  readonly actions: readonly Action[]
}

/** The primary, and the standbys as the reader sees them. */
export function viewServers(app: FastifyInstance, controlled: readonly Controlled[]): ServerView[] {
  const primary: ServerView = {
    name: 'primary',
    isPrimary: true,
    state: 'online',
    reason: undefined,
    lag: undefined,
    actions: [],
  }
  const standbys = app.sqlAssist.engines.get('reader').replicas.map(({ name, state, reason, lag }) => {
    const handle = controlled.find(one => one.name === name)
    return {
      name,
      isPrimary: false,
      state: stateOf(state, handle),
      reason,
      lag,
      actions: handle?.actions ?? [],
    }
  })
  return [primary, ...standbys]
}

function stateOf(state: ServerState, handle: Controlled | undefined): ServerState {
  if (handle === undefined) return state
  if (!handle.isUp) return 'down'
  if (handle.isPaused) return 'paused'
  return state === 'down' ? 'joining' : state
}
