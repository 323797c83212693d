import type { ServerCpu } from '../lib/server-cpu.ts'

/** One way to do something, all of which take turns. */
export interface Candidate {
  readonly name: string
  /** Does it once. */
  work(): Promise<unknown>
}

/** What one candidate did in each round. */
export interface Series {
  /** How often in a second. */
  readonly throughput: number[]
  /** Microseconds of CPU for each: of this process, and of all of the database's. NaN where it cannot be read. */
  readonly cpu: number[]
  readonly serverCpu: number[]
}

export interface TurnOptions {
  /** How many are under way at a time. */
  readonly clients: number
  readonly rounds: number
  /** Of a slice, milliseconds. */
  readonly duration: number
  /** Of each candidate, milliseconds. */
  readonly warmUp: number
}

/**
 * Puts every candidate under load in turns, one at a time, for a slice: a number of times that is the same for all of them. A
 * ratio is made of slices of one round, so what disturbs the machine for longer disturbs all candidates.
 */
export async function inTurns(
  candidates: readonly Candidate[],
  { clients, rounds, duration, warmUp }: TurnOptions,
  serverCpu: ServerCpu,
): Promise<Map<string, Series>> {
  const rates: number[] = []
  for (const { work } of candidates) rates.push(await rateOf(work, clients, warmUp))
  const rate = rates.reduce((sum, one) => sum + one, 0) / rates.length
  const times = Math.max(clients, Math.ceil((rate * duration) / 1000))
  const measured = new Map(
    candidates.map(({ name }) => [name, { throughput: [], cpu: [], serverCpu: [] } as Series]),
  )
  for (let round = 0; round < rounds; round++) {
    for (const { name, work } of inTurn(candidates, round)) {
      const series = measured.get(name) as Series
      const serverBefore = serverCpu()
      const before = process.cpuUsage()
      const milliseconds = await load(work, clients, times)
      const { user, system } = process.cpuUsage(before)
      const server = (serverCpu() ?? Number.NaN) - (serverBefore ?? Number.NaN)
      series.throughput.push((times / milliseconds) * 1000)
      series.cpu.push((user + system) / times)
      series.serverCpu.push(server / times)
    }
  }
  return measured
}

/** A B C, C B A, B C A, A C B …: nobody always follows the same neighbour, or is always the first. */
function inTurn(candidates: readonly Candidate[], round: number): readonly Candidate[] {
  const first = (round >> 1) % candidates.length
  const rotated = [...candidates.slice(first), ...candidates.slice(0, first)]
  return round % 2 === 0 ? rotated : rotated.reverse()
}

/** @returns milliseconds */
async function load(work: () => Promise<unknown>, clients: number, times: number): Promise<number> {
  let left = times
  const start = performance.now()
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (left-- > 0) await work()
    }),
  )
  return performance.now() - start
}

/** Warms up. @returns how often in a second, at the end */
async function rateOf(work: () => Promise<unknown>, clients: number, warmUp: number): Promise<number> {
  const end = performance.now() + warmUp
  const step = clients * 10
  let rate = 0
  do rate = (step / (await load(work, clients, step))) * 1000
  while (performance.now() < end)
  return rate
}
