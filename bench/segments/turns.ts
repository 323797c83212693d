import type { Target } from '../lib/bench.ts'
import type { ServerCpu } from '../lib/server-cpu.ts'
import { type Spread, spreadOf } from '../lib/statistics.ts'

/** Two ways to do something, which take turns: a row of the result. */
export interface Pair {
  readonly bench: string
  readonly name: string
  readonly ours: Work
  readonly theirs: Work
  readonly target: Target | null
  /** How often a slice does it: what takes less than a millisecond is not timed alone. Default 1. */
  readonly times?: number
}

/** @param turn counts up; what must not do the same thing twice can go by it */
export type Work = (turn: number) => Promise<unknown> | unknown

/** What was measured. */
export interface Measured {
  readonly bench: string
  readonly name: string
  /** How many times as fast as theirs: the median of the rounds' ratios. */
  readonly ratio: Spread
  /** Our CPU by theirs, of the database and of this process; NaN where it cannot be read. */
  readonly cpuRatio: Spread
  /** Medians of doing it once. */
  readonly milliseconds: { readonly ours: number; readonly theirs: number }
  readonly target: Target | null
  /** Whether the target was met. */
  readonly pass: boolean
}

interface Cost {
  readonly milliseconds: number
  /** Microseconds; NaN where it cannot be read. */
  readonly cpu: number
}

/**
 * Measures pairs in rounds: in each round every pair, and of each pair now the one, now the other first. A ratio is made of
 * two neighbours, so what disturbs the machine for longer disturbs both.
 */
export async function inTurns(
  pairs: readonly Pair[],
  rounds: number,
  cpu: ServerCpu,
  say: (text: string) => void,
): Promise<Measured[]> {
  const costs = pairs.map(() => ({ ours: [] as Cost[], theirs: [] as Cost[] }))
  // The first round is for caches and the compiler; a scan takes so long that they do not show.
  for (let round = -1; round < rounds; round++) {
    for (const [index, pair] of pairs.entries()) {
      if (round < 0 && pair.times === undefined) continue
      const sides = ['ours', 'theirs'] as const
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const cost = await costOf(pair[side], pair.times ?? 1, cpu)
        if (round >= 0) costs[index]?.[side].push(cost)
      }
    }
    if (round >= 0) say(`  ${round + 1} of ${rounds} rounds`)
  }
  return pairs.map((pair, index) => measured(pair, costs[index] as (typeof costs)[number]))
}

let turn = 0

async function costOf(work: Work, times: number, serverCpu: ServerCpu): Promise<Cost> {
  const serverBefore = serverCpu()
  const ownBefore = process.cpuUsage()
  const start = performance.now()
  for (let at = 0; at < times; at++) await work(turn++)
  const milliseconds = performance.now() - start
  const { user, system } = process.cpuUsage(ownBefore)
  const server = (serverCpu() ?? Number.NaN) - (serverBefore ?? Number.NaN)
  return { milliseconds: milliseconds / times, cpu: (user + system + server) / times }
}

function measured(
  { bench, name, target }: Pair,
  { ours, theirs }: { readonly ours: readonly Cost[]; readonly theirs: readonly Cost[] },
): Measured {
  const ratioOf = (above: readonly Cost[], below: readonly Cost[], key: keyof Cost): Spread =>
    spreadOf(above.map((cost, round) => cost[key] / (below[round] as Cost)[key]))
  const ratio = ratioOf(theirs, ours, 'milliseconds')
  const cpuRatio = ratioOf(ours, theirs, 'cpu')
  const medianOf = (costs: readonly Cost[]) => spreadOf(costs.map(({ milliseconds }) => milliseconds)).median
  return {
    bench,
    name,
    ratio,
    cpuRatio,
    milliseconds: { ours: medianOf(ours), theirs: medianOf(theirs) },
    target,
    pass:
      !(ratio.median < (target?.ratio ?? 0)) &&
      !(cpuRatio.median > (target?.cpuRatio ?? Number.POSITIVE_INFINITY)),
  }
}
