import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Registry } from 'prom-client'
import { messageMetrics } from './message-metrics.ts'
import { MetricSet } from './metric-set.ts'
import { assertOptions, type Check, described } from './options.ts'
import { observeOwn } from './own-messages.ts'
import { promClient } from './peers.ts'
import { scrapedMetrics } from './scraped-metrics.ts'

/** A `Registry` of `prom-client`. */
export interface MetricsRegister {
  registerMetric(metric: never): void
  getSingleMetric(name: string): unknown
  removeSingleMetric(name: string): void
}

/** Options of the plugin. */
export interface MetricsOptions {
  /** Where the metrics are put. Default: `register` of `prom-client`, which the whole process shares. */
  readonly register?: MetricsRegister
  /** What their names begin with. Default `'sqlassist_'`. */
  readonly prefix?: string
}

const METHODS = ['registerMetric', 'getSingleMetric', 'removeSingleMetric'] as const

const isRegister: Check = value =>
  METHODS.every(method => typeof (value as Partial<MetricsRegister> | null)?.[method] === 'function')
    ? undefined
    : `must be a Registry of prom-client, not ${described(value)}`
const isPrefix: Check = value =>
  typeof value === 'string' && /^[A-Za-z_:][\w:]*$/.test(value)
    ? undefined
    : `must be letters, digits, _ and :, with no digit first, not ${described(value)}`

async function register(app: FastifyInstance, options: MetricsOptions): Promise<void> {
  assertOptions(options, { register: isRegister, prefix: isPrefix }, 'metrics')
  const { sqlAssist } = app
  const client = promClient('metrics')
  const { prefix = 'sqlassist_' } = options
  const set = new MetricSet(client, (options.register as Registry | undefined) ?? client.register, prefix)
  try {
    scrapedMetrics(set, sqlAssist)
    observeOwn(app, 'metrics', messageMetrics(set, sqlAssist.engines))
  } catch (error) {
    set.remove()
    throw error
  }
  app.addHook('onClose', async () => set.remove())
}

/**
 * Figures for Prometheus, through `prom-client`. They are in the register until the application is closed. Two applications
 * of one process need two registers, or two prefixes: their figures could not be told apart.
 *
 * Throws SQLA_ERR_DIAGNOSTICS_PACKAGE when `prom-client` is not installed, SQLA_ERR_METRIC_EXISTS, SQLA_ERR_INVALID_OPTION.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines })
 * await app.register(metrics)
 * app.get('/metrics', (_request, reply) => reply.type(register.contentType).send(register.metrics()))
 * ```
 */
export const metrics = fastifyPlugin(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-metrics',
  dependencies: ['fastify-sqlassist'],
})
