import type { Bench } from './bench.ts'
import { Load } from './load.ts'
import type { Databases, ServerProcess } from './server-process.ts'

/** What one candidate did in each round. */
export interface Series {
  /** Requests a second. */
  readonly throughput: number[]
  /** Microseconds of CPU for each request. */
  readonly cpu: number[]
  /** Connections taken from pools, in all rounds. */
  acquired: number
  /** Of them, those for reads, where the server tells them apart. */
  reads: { replica: number; primary: number }
}

export interface SliceOptions {
  readonly slices: number
  /** Milliseconds that a slice should take. */
  readonly duration: number
  /** Milliseconds of warm-up for each candidate, at least. */
  readonly warmUp: number
  /** Requests of warm-up for each candidate, at least: V8 optimises by how often, not by how long. */
  readonly warmUpRequests: number
}

interface Candidate {
  readonly server: ServerProcess
  readonly load: Load
  readonly series: Series
}

/**
 * Puts every candidate under load in turns, one at a time. What disturbs the machine for longer than a slice then
 * disturbs all candidates alike, and drops out of the ratio of two neighbours.
 */
export async function runSlices(
  bench: Bench,
  servers: ReadonlyMap<string, ServerProcess>,
  databases: Databases,
  options: SliceOptions,
  progress: (done: number) => void,
): Promise<Map<string, Series>> {
  const candidates = new Map<string, Candidate>()
  try {
    for (const [name, server] of servers) {
      const load = await Load.connect(server.port, bench)
      const series = { throughput: [], cpu: [], acquired: 0, reads: { replica: 0, primary: 0 } }
      candidates.set(name, { server, load, series })
    }
    const count = await warmUp(bench, [...candidates.values()], databases, options)
    for (let round = 0; round < options.slices; round++) {
      for (const candidate of inTurn([...candidates.values()], round)) {
        await bench.beforeSlice?.(databases)
        await slice(bench, candidate, count)
      }
      progress(round + 1)
    }
    return new Map([...candidates].map(([name, { series }]) => [name, series]))
  } finally {
    for (const { load } of candidates.values()) load.close()
  }
}

/** A B C, C B A, B C A, A C B …: nobody always follows the same neighbour, or is always the first. */
function inTurn<T>(candidates: readonly T[], round: number): T[] {
  const first = (round >> 1) % candidates.length
  const rotated = [...candidates.slice(first), ...candidates.slice(0, first)]
  return round % 2 === 0 ? rotated : rotated.reverse()
}

const WARM_UP_STEP = 250
/** The rate of fewer says nothing. */
const LEAST_STEP = 5

/**
 * @returns the number of requests of a slice. The same for all, so that CPU is divided by the same number and
 *   every candidate allocates, collects and inserts in the same rhythm
 */
async function warmUp(
  bench: Bench,
  candidates: Candidate[],
  databases: Databases,
  options: SliceOptions,
): Promise<number> {
  const weight = bench.weight ?? 1
  const step = Math.max(LEAST_STEP, Math.round(WARM_UP_STEP / weight))
  const rates: number[] = []
  // Where the network is what takes the time, what is not compiled yet does not show.
  const requests = options.warmUpRequests / weight / (bench.delay === undefined ? 1 : 5)
  for (const { load } of candidates) {
    await bench.beforeSlice?.(databases)
    const end = performance.now() + options.warmUp
    let rate = 0
    for (let sent = 0; sent < requests || performance.now() < end; sent += step) {
      rate = (step / (await load.run(bench, step))) * 1000
    }
    rates.push(rate)
  }
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  return Math.ceil((mean * options.duration) / 1000)
}

async function slice(bench: Bench, { server, load, series }: Candidate, count: number): Promise<void> {
  const before = await server.usage()
  const time = await load.run(bench, count)
  const after = await server.usage()
  series.throughput.push((count / time) * 1000)
  series.cpu.push((after.cpu - before.cpu) / count)
  series.acquired += after.acquired - before.acquired
  for (const where of ['replica', 'primary'] as const) {
    series.reads[where] += (after.reads?.[where] ?? 0) - (before.reads?.[where] ?? 0)
  }
}
