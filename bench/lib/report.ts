import type { Target } from './bench.ts'
import type { Row } from './compare.ts'
import type { Series } from './slices.ts'
import { type Spread, spreadOf } from './statistics.ts'

/** One line for machines. */
export function jsonOf(row: Row): string {
  return JSON.stringify({
    bench: row.bench,
    name: row.name,
    ratio: round(row.throughput.median),
    cpuRatio: round(row.cpu.median),
    target: row.target,
    quartiles: {
      ratio: [round(row.throughput.low), round(row.throughput.high)],
      cpuRatio: [round(row.cpu.low), round(row.cpu.high)],
    },
    ...(row.target?.connections !== undefined && { connections: row.connections }),
    ...(row.messages !== undefined && { messages: row.messages }),
    ...(row.share !== undefined && { share: round(row.share) }),
    pass: row.missed.length === 0,
  })
}

/** The table of the README. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(row =>
    [
      row.bench,
      row.name,
      spread(row.throughput),
      spread(row.cpu),
      targetOf(row.target),
      [verdictOf(row), ...besides(row)].filter(Boolean).join('; '),
    ].join(' | '),
  )
  return [
    '| bench | ours against | throughput (quartiles) | CPU per request (quartiles) | target | |',
    '|---|---|---|---|---|---|',
    ...lines.map(line => `| ${line} |`),
  ].join('\n')
}

/** What the ratios are made of: medians of each candidate. */
export function absolutes(measured: ReadonlyMap<string, Series>): string {
  return [...measured]
    .map(([name, { throughput, cpu }]) => {
      const [rate, cost] = [spreadOf(throughput).median, spreadOf(cpu).median]
      return `  ${name.padEnd(18)} ${rate.toFixed(0).padStart(6)} requests/s ${cost.toFixed(1).padStart(7)} µs CPU`
    })
    .join('\n')
}

/** What was counted rather than timed. */
function besides({ messages, share }: Row): string[] {
  const counted: string[] = []
  if (messages !== undefined) {
    counted.push(`messages to PostgreSQL: ${messages.ours.toFixed(2)} against ${messages.theirs.toFixed(2)}`)
  }
  if (share !== undefined) counted.push(`reads off the primary: ${(share * 100).toFixed(1)} %`)
  return counted
}

function spread({ low, median, high }: Spread): string {
  return `**${median.toFixed(2)}** (${low.toFixed(2)} – ${high.toFixed(2)})`
}

function targetOf(target: Target | null): string {
  if (target === null) return 'none'
  const parts: string[] = []
  if (target.ratio !== undefined) parts.push(`≥ ${target.ratio.toFixed(2)}`)
  if (target.cpuRatio !== undefined) parts.push(`CPU ≤ ${target.cpuRatio.toFixed(2)}`)
  if (target.within !== undefined) parts.push(`1.00 ± ${target.within.toFixed(2)}`)
  if (target.connections !== undefined) parts.push(`connections taken: ${target.connections}`)
  if (target.messages !== undefined) parts.push('equal messages')
  return parts.join(', ')
}

function verdictOf({ target, missed }: Row): string {
  if (target === null) return ''
  return missed.length === 0 ? 'met' : `missed: ${missed.join(', ')}`
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
