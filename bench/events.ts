// What recording and following events costs, on an embedded PostgreSQL: `npm run bench:events`.
import { startCluster } from 'fastify-sqlassist/embedded'
import { appendCandidates, appendComparisons, STRICT, WATERMARK } from './events/appends.ts'
import { EMMETT_COMPARISONS, emmettCandidates, openEmmett } from './events/emmett.ts'
import { LOAD_COMPARISONS, loadCandidates } from './events/loading.ts'
import { type EventsBenchOptions, type Part, readOptions, USAGE } from './events/options.ts'
import { absolutes, isMet, jsonOf, type MissedRow, type Row, rowsOf, tableOf } from './events/rows.ts'
import { ourSkips, theirSkips } from './events/skips.ts'
import { openStore, type Store } from './events/store.ts'
import { type Candidate, inTurns } from './events/turns.ts'
import type { Comparison } from './lib/bench.ts'
import { query, SETTINGS, serverVersion } from './lib/database.ts'
import { describeRun } from './lib/machine.ts'
import { serverCpu } from './lib/server-cpu.ts'

const say = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

/** Of the benches of appends. */
const CLIENTS = 16

type Measure = (
  bench: string,
  clients: number,
  candidates: readonly Candidate[],
  comparisons: readonly Comparison[],
) => Promise<Row[]>

async function main(): Promise<void> {
  const options = readOptions()
  await using cluster = await startCluster({ settings: SETTINGS })
  const { url } = cluster.primary
  say(describeRun(await serverVersion(url)))
  await using store = await openStore(url)
  const cpu = await serverCpu(url)
  if (cpu() === undefined) say('  the CPU of the database cannot be read here: serverCpuRatio is null')
  const measure: Measure = async (bench, clients, candidates, comparisons) => {
    say(`${bench}:`)
    const measured = await inTurns(candidates, { ...options, clients }, cpu)
    say(absolutes(measured))
    return rowsOf(bench, comparisons, measured)
  }
  const rows: (Row | MissedRow)[] = []
  for (const part of options.only) {
    for await (const some of runPart(part, store, url, options, measure)) {
      if (options.json) for (const row of some) process.stdout.write(`${jsonOf(row)}\n`)
      rows.push(...some)
    }
    await query(url, ['checkpoint'])
  }
  if (!options.json) process.stdout.write(`${tableOf(rows)}\n`)
  const missed = rows.filter(row => !isMet(row))
  for (const { bench, name } of missed) say(`missed: ${bench}, ${name}`)
  if (options.fail && missed.length > 0) process.exitCode = 1
}

async function* runPart(
  part: Part,
  store: Store,
  url: string,
  { race }: EventsBenchOptions,
  measure: Measure,
): AsyncGenerator<(Row | MissedRow)[]> {
  switch (part) {
    case 'watermark':
    case 'strict':
      for (const bench of part === 'strict' ? STRICT : WATERMARK) {
        const candidates = await appendCandidates(store, url, bench)
        yield measure(bench.name, bench.clients, candidates, appendComparisons(bench))
      }
      return
    case 'emmett': {
      await using emmett = await openEmmett(url)
      yield measure('emmett', CLIENTS, await emmettCandidates(store, emmett), EMMETT_COMPARISONS)
      return
    }
    case 'skips':
      say('skips:')
      yield [await ourSkips(store, race), await theirSkips(url, race)]
      return
    case 'load':
      yield measure('load-10000', 1, await loadCandidates(store), LOAD_COMPARISONS)
  }
}

try {
  await main()
} catch (error) {
  say(`${error instanceof Error ? error.stack : error}\n\n${USAGE}`)
  process.exitCode = 2
}
