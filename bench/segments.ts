// What asking for segments of many identities costs, on an embedded PostgreSQL: `npm run bench:segments`.
import { startCluster } from 'fastify-sqlassist/embedded'
import { query, SETTINGS, serverVersion } from './lib/database.ts'
import { describeRun } from './lib/machine.ts'
import { serverCpu } from './lib/server-cpu.ts'
import { type Apps, startApps } from './segments/apps.ts'
import { withClickHouse } from './segments/clickhouse.ts'
import { fillIdentities } from './segments/identities.ts'
import { indexes } from './segments/indexes.ts'
import { type Part, readOptions, type SegmentsBenchOptions, USAGE } from './segments/options.ts'
import { pages } from './segments/pages.ts'
import { jsonOf, tableOf } from './segments/report.ts'
import { countsOfMany, scans } from './segments/scans.ts'
import { inTurns, type Measured, type Pair } from './segments/turns.ts'
import { upserts } from './segments/upserts.ts'

const say = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

/** A scan is one process, so that it is measured and not how many cores there are. */
const SERVER_SETTINGS = { ...SETTINGS, max_parallel_workers_per_gather: 0 }

type Measure = (pairs: readonly Pair[]) => Promise<Measured[]>

async function main(): Promise<void> {
  const options = readOptions()
  await using cluster = await startCluster({ settings: SERVER_SETTINGS })
  const { url } = cluster.primary
  say(describeRun(await serverVersion(url)))
  await using apps = await startApps(url)
  await fillIdentities(url, options.identities, say)
  const [size] = await query(url, ["select pg_size_pretty(pg_relation_size('identities')) as table"])
  say(`  a table of ${size?.table}`)
  const cpu = await serverCpu(url)
  if (cpu() === undefined) say('  the CPU of the database cannot be read here: cpuRatio is null')
  const rows: Measured[] = []
  const measure: Measure = async pairs => {
    const measured = await inTurns(pairs, options.rounds, cpu, say)
    if (options.json) for (const row of measured) process.stdout.write(`${jsonOf(row)}\n`)
    rows.push(...measured)
    return measured
  }
  for (const part of options.only) {
    say(`${part}:`)
    await runPart(part, apps, url, options, measure)
  }
  if (!options.json) process.stdout.write(`${tableOf(rows)}\n`)
  const missed = rows.filter(({ pass }) => !pass)
  for (const { bench, name } of missed) say(`missed: ${bench}, ${name}`)
  if (options.fail && missed.length > 0) process.exitCode = 1
}

async function runPart(
  part: Part,
  apps: Apps,
  url: string,
  { identities }: SegmentsBenchOptions,
  measure: Measure,
): Promise<void> {
  switch (part) {
    case 'scan':
      await measure(scans(apps))
      return
    case 'count-many':
      await measure(countsOfMany(apps))
      return
    case 'page':
      await measure(await pages(apps))
      return
    case 'upsert':
      await measure(await upserts(apps, url, identities, say))
      // Their old versions are not to be scanned.
      await query(url, ['vacuum analyze identities', 'checkpoint'])
      return
    case 'index':
      await measure(await indexes(apps, url, say))
      return
    case 'clickhouse':
      await withClickHouse(apps, url, say, measure)
  }
}

try {
  await main()
} catch (error) {
  say(`${error instanceof Error ? error.stack : error}\n\n${USAGE}`)
  process.exitCode = 2
}
