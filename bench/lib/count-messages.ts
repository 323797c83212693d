import type { Bench } from './bench.ts'
import { type CountingProxy, startCountingProxy } from './counting-proxy.ts'
import { Load } from './load.ts'
import { type Databases, ServerProcess } from './server-process.ts'

const REQUESTS = 400

/**
 * How many messages each candidate sends to PostgreSQL for one request: in processes of their own and not under the
 * clock, as the proxies that count them cost time.
 */
export async function countMessages(bench: Bench, databases: Databases): Promise<Map<string, number>> {
  const counted = new Map<string, number>()
  for (const [name, program] of Object.entries(bench.candidates)) {
    const primary = await startCountingProxy(databases.primary)
    const standbys = await Promise.all(databases.standbys.map(startCountingProxy))
    const proxies = [primary, ...standbys]
    try {
      const urls = { primary: primary.url, standbys: standbys.map(({ url }) => url) }
      counted.set(name, await messagesPerRequest(bench, program, urls, proxies))
    } finally {
      await Promise.all(proxies.map(proxy => proxy.close()))
    }
  }
  return counted
}

async function messagesPerRequest(
  bench: Bench,
  program: string,
  databases: Databases,
  proxies: readonly CountingProxy[],
): Promise<number> {
  const sum = (): number => proxies.reduce((total, { messages }) => total + messages, 0)
  const server = await ServerProcess.start(program, databases)
  try {
    const load = await Load.connect(server.port, bench)
    // The first ones open the connections.
    await load.run(bench, REQUESTS)
    const before = sum()
    await load.run(bench, REQUESTS)
    load.close()
    return (sum() - before) / REQUESTS
  } finally {
    await server.stop()
  }
}
