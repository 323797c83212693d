// What the buttons need of the embedded cluster. With real servers there is none, and no button.

/** A standby of ours, to be disturbed. */
export interface Standby {
  /** Of its process; undefined while it is down. */
  readonly pid: number | undefined
  kill(): Promise<void>
  start(): Promise<void>
  pauseReplay(): Promise<void>
  resumeReplay(): Promise<void>
}

/** The servers in the order of `Urls.reader`; `EmbeddedCluster` of fastify-sqlassist/embedded is one. */
export interface Cluster {
  readonly replicas: readonly Standby[]
}

export const ACTIONS = ['pause', 'resume', 'kill', 'start'] as const
export type Action = (typeof ACTIONS)[number]

/** A standby under the name that the reader knows it by. */
export class Controlled {
  readonly name: string
  readonly #standby: Standby
  #isPaused = false

  constructor(name: string, standby: Standby) {
    this.name = name
    this.#standby = standby
  }

  get isUp(): boolean {
    return this.#standby.pid !== undefined
  }

  /** Whether it applies nothing of what it receives. */
  get isPaused(): boolean {
    return this.isUp && this.#isPaused
  }

  /** What makes sense now. */
  get actions(): Action[] {
    if (!this.isUp) return ['start']
    return [this.#isPaused ? 'resume' : 'pause', 'kill']
  }

  /** @returns false when it makes no sense now: somebody else was quicker */
  async do(action: Action): Promise<boolean> {
    if (!this.actions.includes(action)) return false
    switch (action) {
      case 'pause':
        await this.#standby.pauseReplay()
        this.#isPaused = true
        break
      case 'resume':
        await this.#standby.resumeReplay()
        this.#isPaused = false
        break
      case 'kill':
        await this.#standby.kill()
        break
      case 'start':
        await this.#standby.start()
        // PostgreSQL has forgotten it with the process, whoever ended that.
        this.#isPaused = false
    }
    return true
  }
}
