import type { Bench } from './bench.ts'
import { compare, type Row } from './compare.ts'
import { countMessages } from './count-messages.ts'
import { resetNotes, roundTrip } from './database.ts'
import { startDelayProxy } from './delay-proxy.ts'
import type { BenchOptions } from './options.ts'
import { absolutes } from './report.ts'
import { type Databases, ServerProcess } from './server-process.ts'
import { runSlices } from './slices.ts'

/** Runs one bench: all its servers are there from its first slice to its last. */
export async function runBench(
  bench: Bench,
  databases: Databases,
  options: BenchOptions,
  say: (text: string) => void,
): Promise<Row[]> {
  say(`${bench.name}: ${bench.question}`)
  await (bench.prepare ?? resetNotes)(databases)
  const proxy = bench.delay === undefined ? undefined : await startDelayProxy(databases.primary, bench.delay)
  const url = proxy?.url ?? databases.primary
  if (proxy !== undefined) {
    const times = [await roundTrip(databases.primary), await roundTrip(url)].map(
      time => `${time.toFixed(2)} ms`,
    )
    say(`  a round trip takes ${times.join(' directly, ')} through the proxy`)
  }
  const servers = new Map<string, ServerProcess>()
  try {
    for (const [name, program] of Object.entries(bench.candidates)) {
      servers.set(name, await ServerProcess.start(program, { ...databases, primary: url }, options.profile))
    }
    const measured = await runSlices(bench, servers, databases, options, done => {
      if (done % 8 === 0) say(`  ${done} of ${options.slices} rounds`)
    })
    say(absolutes(measured))
    const counted = bench.countsMessages ? await countMessages(bench, databases) : new Map<string, number>()
    return bench.comparisons.map(comparison => compare(bench, comparison, measured, counted))
  } finally {
    await Promise.all([...servers.values()].map(server => server.stop()))
    await proxy?.close()
  }
}
