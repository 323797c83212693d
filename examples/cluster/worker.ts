import cluster from 'node:cluster'
import { buildApp } from './app.ts'

// One worker: an app of its own, with a pool of its own, behind the port that all workers share.

const app = await buildApp(process.env.WRITER_URL ?? '')

/**
 * The post-fork hook. Connections must never be shared by two processes. Node starts its workers as new
 * processes, which inherit none; where a process is copied or restored with its app already built (a snapshot,
 * a server that preloads), this one call gives it a pool of its own. Requests under way are not disturbed.
 */
await app.sqlAssist.reinit()

process.once('SIGTERM', async () => {
  await app.close()
  cluster.worker?.disconnect()
})

// Port 0 is drawn once: every worker gets the same.
await app.listen({ host: '127.0.0.1', port: 0 })
