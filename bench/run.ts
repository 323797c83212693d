import { startCluster } from 'fastify-sqlassist/embedded'
import { benches } from './benches/index.ts'
import type { Row } from './lib/compare.ts'
import { SETTINGS, serverVersion } from './lib/database.ts'
import { describeRun } from './lib/machine.ts'
import { readOptions, USAGE } from './lib/options.ts'
import { jsonOf, tableOf } from './lib/report.ts'
import { runBench } from './lib/run-bench.ts'

const say = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

async function main(): Promise<void> {
  const options = readOptions(benches.map(bench => bench.name))
  const rows: Row[] = []
  const chosen = benches.filter(({ name }) => options.only.length === 0 || options.only.includes(name))
  // Standbys replay what a bench writes, on the same cores: only those that read from them have any.
  for (const [standbys, group] of Map.groupBy(chosen, bench => bench.standbys ?? 0)) {
    await using cluster = await startCluster({ replicas: standbys, settings: SETTINGS })
    if (rows.length === 0) say(describeRun(await serverVersion(cluster.primary.url)))
    const databases = { primary: cluster.primary.url, standbys: cluster.replicas.map(({ url }) => url) }
    for (const bench of group) {
      const measured = await runBench(bench, databases, options, say)
      if (options.json) for (const row of measured) process.stdout.write(`${jsonOf(row)}\n`)
      rows.push(...measured)
    }
  }
  if (!options.json) process.stdout.write(`${tableOf(rows)}\n`)
  for (const { bench, name, missed } of rows) {
    if (missed.length > 0) say(`missed: ${bench}, ${name}: ${missed.join(', ')}`)
  }
  if (options.fail && rows.some(row => row.missed.length > 0)) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  say(`${error instanceof Error ? error.stack : error}\n\n${USAGE}`)
  process.exitCode = 2
}
