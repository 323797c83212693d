import type { Aggregator, Counter, Gauge, Histogram, Metric, Registry } from 'prom-client'
import { errors } from './errors.ts'
import type { PromClient } from './peers.ts'

interface About {
  readonly help: string
  readonly labelNames?: readonly string[]
}

/** Told when somebody asks for the figures. */
type Collect<M> = (metric: M) => void | Promise<void>

/** The metrics that one application has in a register: they come together and go together. */
export class MetricSet {
  readonly #client: PromClient
  readonly #register: Registry
  readonly #prefix: string
  readonly #metrics = new Map<string, Metric>()

  constructor(client: PromClient, register: Registry, prefix: string) {
    this.#client = client
    this.#register = register
    this.#prefix = prefix
  }

  /** @throws SQLA_ERR_METRIC_EXISTS */
  counter(name: string, about: About, collect?: Collect<Counter>): Counter {
    return this.#keep(name, new this.#client.Counter(this.#configuration(name, about, collect)))
  }

  /**
   * @param aggregator what several processes of a cluster make of it together; default: their sum
   * @throws SQLA_ERR_METRIC_EXISTS
   */
  gauge(name: string, about: About & { readonly aggregator?: Aggregator }, collect: Collect<Gauge>): Gauge {
    return this.#keep(name, new this.#client.Gauge(this.#configuration(name, about, collect)))
  }

  /** @throws SQLA_ERR_METRIC_EXISTS */
  histogram(name: string, about: About & { readonly buckets: readonly number[] }): Histogram {
    const buckets = [...about.buckets]
    return this.#keep(name, new this.#client.Histogram({ ...this.#configuration(name, about), buckets }))
  }

  /** Takes them out of the register, but for those that somebody else has put there since. */
  remove(): void {
    for (const [name, metric] of this.#metrics) {
      if (this.#register.getSingleMetric(name) === metric) this.#register.removeSingleMetric(name)
    }
  }

  #configuration<M>(name: string, about: About, collect?: Collect<M>) {
    const fullName = this.#prefix + name
    // prom-client's own error has no code, and comes after the first metrics have been made.
    if (this.#register.getSingleMetric(fullName) !== undefined) {
      throw new errors.SQLA_ERR_METRIC_EXISTS(fullName)
    }
    return {
      ...about,
      name: fullName,
      registers: [this.#register],
      ...(collect && {
        collect(this: M) {
          return collect(this)
        },
      }),
    }
  }

  #keep<M extends Metric>(name: string, metric: M): M {
    this.#metrics.set(this.#prefix + name, metric)
    return metric
  }
}
