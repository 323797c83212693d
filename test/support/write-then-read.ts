import { setTimeout as sleep } from 'node:timers/promises'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import type { TestApp } from './app.ts'
import { Browser } from './routed-app.ts'

// Many clients that write and then read what they have written, while replicas are late in turns.

export interface WriteThenRead {
  readonly pairs: number
  readonly clients: number
  /** Told apart from other runs by it. */
  readonly name: string
  /** In front of the routes' paths. */
  readonly prefix?: string
  /** How often each write is read. Default 1. */
  readonly reads?: number
  onPair?(): void
}

/** @returns the reads that did not find the write, and how many answers had which status */
export async function writeThenRead(
  test: TestApp,
  { pairs, clients, name, prefix = '', reads = 1, onPair }: WriteThenRead,
): Promise<{ stale: string[]; statuses: Record<number, number> }> {
  const stale: string[] = []
  const statuses: Record<number, number> = {}
  const count = (status = 0): void => {
    statuses[status] = (statuses[status] ?? 0) + 1
  }
  let next = 0
  await Promise.all(
    Array.from({ length: clients }, async () => {
      const browser = new Browser(test)
      while (next < pairs) {
        const path = `${prefix}/notes/${name}-${next++}`
        const written = await browser.ask('POST', path, {})
        count(written.status)
        for (let read = 0; read < reads; read++) {
          const answer = await browser.ask('GET', path)
          count(answer.status)
          if (written.status === 201 && answer.status !== 200)
            stale.push(`${path} ${answer.status} ${answer.body}`)
        }
        onPair?.()
      }
    }),
  )
  return { stale, statuses }
}

/**
 * Pauses the replay of the replicas in turns: one is always late, and they change places.
 *
 * @param done how far the clients are; each pause lasts until they have done `every` more
 */
export function keepReplaysPausing(
  cluster: EmbeddedCluster,
  done: () => number,
  every = 25,
): { end(): Promise<number> } {
  let ended = false
  let pauses = 0
  const turns = (async () => {
    let late: EmbeddedCluster['replicas'][number] | undefined
    while (!ended) {
      const next = cluster.replicas[pauses % cluster.replicas.length]
      await next?.pauseReplay()
      pauses++
      await late?.resumeReplay()
      late = next
      const goal = done() + every
      while (!ended && done() < goal) await sleep(2)
    }
    await late?.resumeReplay()
  })()
  return {
    async end() {
      ended = true
      await turns
      return pauses
    },
  }
}
