import type { ReplicaInfo } from '../../src/index.ts'
import type { LagSample, ReplicaHistory } from './records.ts'

/** Milliseconds between two samples. */
const INTERVAL = 1_000
/** Milliseconds that a sample is kept. */
const KEPT = 600_000
/** However often the replicas change their state. */
const MOST = 2_000

/** What is asked of an engine. */
export interface ReplicatedEngine {
  readonly name: string
  readonly replicas: readonly Pick<ReplicaInfo, 'name' | 'state' | 'lag'>[]
}

/** How the replicas of the last ten minutes were, second by second. */
export class LagSampler {
  readonly #engines: Iterable<ReplicatedEngine>
  readonly #onSample: () => void
  readonly #timer: NodeJS.Timeout
  readonly #histories = new Map<string, ReplicaHistory & { readonly samples: LagSample[] }>()

  constructor(engines: Iterable<ReplicatedEngine>, onSample: () => void, interval = INTERVAL) {
    this.#engines = engines
    this.#onSample = onSample
    this.#timer = setInterval(() => this.sample(), interval)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  list(): readonly ReplicaHistory[] {
    return [...this.#histories.values()]
  }

  /** Looks at all of them now. What they are is known already: no server is asked. */
  sample(): void {
    const at = Date.now()
    let hasReplicas = false
    for (const { name: engine, replicas } of this.#engines) {
      for (const { name: replica, state, lag } of replicas) {
        hasReplicas = true
        const { samples } = this.#historyOf(engine, replica)
        samples.push({ at, state, lag: lag && { ms: lag.ms, bytes: lag.bytes } })
        const first = samples.findIndex(sample => sample.at > at - KEPT)
        samples.splice(0, Math.max(first, samples.length - MOST))
      }
    }
    if (hasReplicas) this.#onSample()
  }

  #historyOf(engine: string, replica: string): { readonly samples: LagSample[] } {
    const key = `${engine} ${replica}`
    const known = this.#histories.get(key)
    if (known !== undefined) return known
    const history = { engine, replica, samples: [] }
    this.#histories.set(key, history)
    return history
  }
}
