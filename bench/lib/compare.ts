import type { Bench, Comparison, Target } from './bench.ts'
import type { Series } from './slices.ts'
import { type Spread, spreadOf } from './statistics.ts'

/** A row of the result. */
export interface Row {
  readonly bench: string
  readonly name: string
  /** Ours by theirs: the median of the rounds' ratios. */
  readonly throughput: Spread
  readonly cpu: Spread
  /** Connections that our pools gave out under load. */
  readonly connections: number
  /** Messages to PostgreSQL for each request, where they are counted. */
  readonly messages: { readonly ours: number; readonly theirs: number } | undefined
  /** Which part of our reads standbys served, where we read from standbys. */
  readonly share: number | undefined
  readonly target: Target | null
  /** What was missed; empty when nothing was. */
  readonly missed: readonly string[]
}

export function compare(
  bench: Pick<Bench, 'name'>,
  comparison: Comparison,
  measured: ReadonlyMap<string, Series>,
  counted: ReadonlyMap<string, number>,
): Row {
  const { name, target } = comparison
  const [ours, theirs] = [comparison.ours, comparison.theirs].map(names =>
    names.map(one => measured.get(one) as Series),
  ) as [Series[], Series[]]
  const ratiosOf = (key: 'throughput' | 'cpu'): Spread => {
    const [above, below] = [meanOf(ours, key), meanOf(theirs, key)]
    return spreadOf(above.map((value, round) => value / (below[round] as number)))
  }
  const throughput = ratiosOf('throughput')
  const cpu = ratiosOf('cpu')
  const connections = ours.reduce((sum, { acquired }) => sum + acquired, 0)
  const [ourMessages, theirMessages] = [comparison.ours, comparison.theirs].map(([one]) =>
    counted.get(one as string),
  )
  const messages =
    ourMessages === undefined || theirMessages === undefined
      ? undefined
      : { ours: ourMessages, theirs: theirMessages }
  const missed = missedBy(target ?? {}, throughput.median, cpu.median, connections)
  if (target?.messages === 'equal' && messages !== undefined && messages.ours !== messages.theirs) {
    missed.push(`${messages.ours} messages for each request, not ${messages.theirs}`)
  }
  return {
    bench: bench.name,
    name,
    throughput,
    cpu,
    connections,
    messages,
    share: shareOf(ours),
    target,
    missed,
  }
}

function shareOf(twins: readonly Series[]): number | undefined {
  const replica = twins.reduce((sum, { reads }) => sum + reads.replica, 0)
  const all = twins.reduce((sum, { reads }) => sum + reads.primary, replica)
  return all === 0 ? undefined : replica / all
}

/** Round by round. */
function meanOf(twins: readonly Series[], key: 'throughput' | 'cpu'): number[] {
  const [first] = twins as [Series]
  return first[key].map(
    (_, round) => twins.reduce((sum, twin) => sum + (twin[key][round] as number), 0) / twins.length,
  )
}

/** The targets that the medians miss, as a message says them. */
function missedBy(target: Target, ratio: number, cpuRatio: number, connections: number): string[] {
  const missed: string[] = []
  if (target.ratio !== undefined && ratio < target.ratio) {
    missed.push(`throughput ${ratio.toFixed(3)} < ${target.ratio}`)
  }
  if (target.cpuRatio !== undefined && cpuRatio > target.cpuRatio) {
    missed.push(`CPU ${cpuRatio.toFixed(3)} > ${target.cpuRatio}`)
  }
  if (target.within !== undefined) {
    for (const [what, value] of Object.entries({ throughput: ratio, CPU: cpuRatio })) {
      if (Math.abs(value - 1) > target.within)
        missed.push(`${what} ${value.toFixed(3)} is not 1 ± ${target.within}`)
    }
  }
  if (target.connections !== undefined && connections > target.connections) {
    missed.push(`${connections} connections taken`)
  }
  return missed
}
