import { round } from '../lib/report.ts'
import type { Spread } from '../lib/statistics.ts'
import type { Measured } from './turns.ts'

/** One line for machines; `cpuRatio` is null where the CPU of the database cannot be read. */
export function jsonOf({ bench, name, ratio, cpuRatio, target, milliseconds, pass }: Measured): string {
  const { ours, theirs } = milliseconds
  return JSON.stringify({
    bench,
    name,
    ratio: round(ratio.median),
    cpuRatio: round(cpuRatio.median),
    target,
    quartiles: {
      ratio: [round(ratio.low), round(ratio.high)],
      cpuRatio: [round(cpuRatio.low), round(cpuRatio.high)],
    },
    milliseconds: { ours: round(ours), theirs: round(theirs) },
    pass,
  })
}

/** The table of the README. */
export function tableOf(rows: readonly Measured[]): string {
  const lines = rows.map(row =>
    [
      row.bench,
      row.name,
      `${milliseconds(row.milliseconds.ours)} against ${milliseconds(row.milliseconds.theirs)}`,
      spread(row.ratio),
      spread(row.cpuRatio),
      targetOf(row),
    ].join(' | '),
  )
  return [
    '| bench | ours against | ms | times as fast (quartiles) | CPU (quartiles) | target |',
    '|---|---|---|---|---|---|',
    ...lines.map(line => `| ${line} |`),
  ].join('\n')
}

function spread({ low, median, high }: Spread): string {
  if (Number.isNaN(median)) return 'unknown'
  return `**${plain(median)}** (${plain(low)} – ${plain(high)})`
}

/** Three digits are as much as can be believed. */
function plain(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

function milliseconds(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2)
}

function targetOf({ target, pass }: Measured): string {
  if (target === null) return 'none'
  const parts: string[] = []
  if (target.ratio !== undefined) parts.push(`≥ ${target.ratio.toFixed(2)}`)
  if (target.cpuRatio !== undefined) parts.push(`CPU ≤ ${target.cpuRatio.toFixed(2)}`)
  return `${parts.join(', ')}: ${pass ? 'met' : 'missed'}`
}
