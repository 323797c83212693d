import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Usage } from '../lib/server-process.ts'

/**
 * Listens, and answers the bench over IPC. Over HTTP the questions would be part of what is measured.
 *
 * @param acquired how many connections have been taken from the server's pools
 * @param reads where connections for reads were taken
 */
export async function serve(
  app: FastifyInstance,
  acquired = () => 0,
  reads?: () => Usage['reads'],
): Promise<void> {
  process.on('message', message => {
    if (message === 'usage') {
      const { user, system } = process.cpuUsage()
      const usage: Usage = { cpu: user + system, acquired: acquired() }
      const placed = reads?.()
      process.send?.(placed === undefined ? usage : { ...usage, reads: placed })
    } else {
      // `exit` rather than a natural end, so that --cpu-prof writes its file whatever is still open.
      app.close().then(() => process.exit())
    }
  })
  process.on('disconnect', () => process.exit())
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send?.({ port: (app.server.address() as AddressInfo).port })
}
