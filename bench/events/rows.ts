import type { Comparison } from '../lib/bench.ts'
import { type Row as ComparedRow, compare } from '../lib/compare.ts'
import { jsonOf as comparedJson, tableOf as comparedTable, round } from '../lib/report.ts'
import type { Series as ServerSeries } from '../lib/slices.ts'
import { type Spread, spreadOf } from '../lib/statistics.ts'
import type { Series } from './turns.ts'

/** A comparison of throughput and CPU. */
export interface Row extends ComparedRow {
  /** CPU of the database for each event, ours by theirs. */
  readonly serverCpu: Spread
}

/** How many of the events that were written somebody who follows them has not seen. */
export interface MissedRow {
  readonly bench: string
  readonly name: string
  readonly written: number
  readonly missing: number
  readonly twice: number
  /** At most so many may be missing. */
  readonly target: { readonly missing: number } | null
}

export function rowsOf(
  bench: string,
  comparisons: readonly Comparison[],
  measured: ReadonlyMap<string, Series>,
): Row[] {
  const by = (cpu: 'cpu' | 'serverCpu') =>
    new Map(
      [...measured].map(([name, series]): [string, ServerSeries] => [
        name,
        { throughput: series.throughput, cpu: series[cpu], acquired: 0, reads: { replica: 0, primary: 0 } },
      ]),
    )
  const [own, server] = [by('cpu'), by('serverCpu')]
  return comparisons.map(comparison => ({
    ...compare({ name: bench }, comparison, own, new Map()),
    serverCpu: compare({ name: bench }, comparison, server, new Map()).cpu,
  }))
}

/** What the ratios are made of: medians of each candidate. */
export function absolutes(measured: ReadonlyMap<string, Series>): string {
  return [...measured]
    .map(([name, series]) => {
      const [rate, own, server] = [series.throughput, series.cpu, series.serverCpu].map(
        values => spreadOf(values).median,
      ) as [number, number, number]
      const rates = rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3)
      return `  ${name.padEnd(34)} ${rates.padStart(6)} a second, ${own.toFixed(0).padStart(5)} µs of CPU here, ${server.toFixed(0).padStart(5)} µs in the database`
    })
    .join('\n')
}

/** One line for machines; `serverCpuRatio` is null where the CPU of the database cannot be read. */
export function jsonOf(row: Row | MissedRow): string {
  if ('missing' in row) {
    return JSON.stringify({ ...row, ratio: null, cpuRatio: null, pass: isMet(row) })
  }
  return JSON.stringify({ ...JSON.parse(comparedJson(row)), serverCpuRatio: round(row.serverCpu.median) })
}

/** The tables of the README. */
export function tableOf(rows: readonly (Row | MissedRow)[]): string {
  const compared = rows.filter(row => 'serverCpu' in row)
  const missed = rows.filter(row => 'missing' in row)
  return [
    ...(compared.length === 0 ? [] : [withServerCpu(compared)]),
    ...(missed.length === 0 ? [] : [missedTable(missed)]),
  ].join('\n\n')
}

function withServerCpu(rows: readonly Row[]): string {
  const [head, rule, ...lines] = comparedTable(rows).split('\n') as [string, string, ...string[]]
  const column = (line: string, cell: string) => {
    const cells = line.split(' | ')
    return [...cells.slice(0, 4), cell, ...cells.slice(4)].join(' | ')
  }
  return [
    column(head.replace('CPU per request', 'CPU here'), 'CPU of the database'),
    `${rule}---|`,
    ...lines.map((line, place) => column(line, plain((rows[place] as Row).serverCpu.median))),
  ].join('\n')
}

function plain(value: number): string {
  return Number.isNaN(value) ? 'unknown' : value.toFixed(2)
}

function missedTable(rows: readonly MissedRow[]): string {
  return [
    '| bench | who follows | written | missed | twice | target |',
    '|---|---|---|---|---|---|',
    ...rows.map(row => {
      const share = `${row.missing.toLocaleString('en')} (${((100 * row.missing) / row.written).toFixed(1)} %)`
      const target = row.target === null ? 'none' : `${row.target.missing}: ${isMet(row) ? 'met' : 'missed'}`
      return `| ${row.bench} | ${row.name} | ${row.written.toLocaleString('en')} | ${share} | ${row.twice} | ${target} |`
    }),
  ].join('\n')
}

export function isMet(row: Row | MissedRow): boolean {
  if ('serverCpu' in row) return row.missed.length === 0
  return row.target === null || (row.missing <= row.target.missing && row.twice === 0)
}
