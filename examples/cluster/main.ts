import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { get } from 'node:http'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { startCluster } from 'fastify-sqlassist/embedded'
import type { Served } from './app.ts'

// Two workers of Node's cluster module in front of one PostgreSQL server. The demo ends by itself:
// `npm run example:cluster`.

const WORKERS = 2
const REQUESTS = 12

/** Starts a worker; answers with the port that it listens on. */
async function startWorker(url: string): Promise<number> {
  const worker = cluster.fork({ WRITER_URL: url })
  const { promise: listening, resolve, reject } = Promise.withResolvers<number>()
  worker.once('listening', ({ port }) => resolve(port))
  worker.once('exit', code => reject(new Error(`worker ${worker.process.pid} ended early with ${code}`)))
  return listening
}

/** Each over a connection of its own: the cluster module deals out connections, not requests. */
async function ask(port: number): Promise<Served> {
  const [response] = await once(get({ host: '127.0.0.1', port, agent: false }), 'response')
  return (await json(response)) as Served
}

async function stopWorker(worker?: Worker): Promise<void> {
  if (!worker || worker.isDead()) return
  const exit = once(worker, 'exit')
  worker.process.kill('SIGTERM')
  await exit
}

function report(served: readonly Served[]): void {
  for (const [index, { worker, backend }] of served.entries()) {
    console.log(`request ${String(index + 1).padStart(2)}: worker ${worker}, PostgreSQL backend ${backend}`)
  }
  const pools = new Map<number, Set<number>>()
  for (const { worker, backend } of served) pools.set(worker, (pools.get(worker) ?? new Set()).add(backend))
  for (const [worker, backends] of pools) {
    console.log(`worker ${worker} has a pool of its own: backends ${[...backends].join(', ')}`)
  }
  const all = [...pools.values()].flatMap(backends => [...backends])
  if (new Set(all).size !== all.length) throw new Error('two workers used the same connection')
  console.log(`${pools.size} workers, ${all.length} connections, none of them shared`)
}

cluster.setupPrimary({ exec: fileURLToPath(new URL('./worker.ts', import.meta.url)) })
const database = await startCluster()
try {
  const url = database.url('writer')
  const ports = await Promise.all(Array.from({ length: WORKERS }, () => startWorker(url)))
  const port = ports[0] ?? 0
  console.log(`${WORKERS} workers share http://127.0.0.1:${port}`)
  report(await Promise.all(Array.from({ length: REQUESTS }, () => ask(port))))
} finally {
  await Promise.all(Object.values(cluster.workers ?? {}).map(stopWorker))
  await database.stop()
}
