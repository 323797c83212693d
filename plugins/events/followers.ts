import type { FastifyInstance } from 'fastify'
import type { Runner } from './runner.ts'

/**
 * Runs projections, processes and outboxes as long as a Fastify application does: they are started when it is ready, and
 * stopped before it closes.
 *
 * @param app where the plugin `events` is registered, before this is called
 *
 * @example
 * ```ts
 * await app.register(events, { aggregates: [Dog] })
 * followers(app, new ProjectionRunner({ application: app.events, projection: tricks }))
 * ```
 */
export function followers(app: FastifyInstance, ...runners: readonly Runner[]): void {
  app.addHook('onReady', async () => {
    await Promise.all(runners.map(runner => runner.start()))
  })
  app.addHook('preClose', async () => {
    await Promise.all(runners.map(runner => runner.stop()))
  })
}
