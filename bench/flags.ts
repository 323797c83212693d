// What asking for a flag costs, in this process: `npm run bench:flags`. Candidates take turns, so that what disturbs the
// machine disturbs all of them.
import { InMemoryProvider, OpenFeature } from '@openfeature/server-sdk'
import { FlagClient, MemoryFlagStorage } from 'fastify-sqlassist/flags'
import { InMemStorageProvider, Unleash } from 'unleash-client'
import { round } from './lib/report.ts'
import { type Spread, spreadOf } from './lib/statistics.ts'

const SHARE = 25
const ACTOR = 'user-1234567'
const ROUNDS = 30

/** Asks `times` times. @returns how often the answer was yes, so that nothing can be left out */
type Ask = (times: number) => number | Promise<number>

interface Candidate {
  readonly name: string
  readonly times: number
  readonly ask: Ask
}

interface Question {
  readonly bench: string
  /** How many answers a second ours must give at least. */
  readonly perSecond: number
  readonly ours: Candidate
  readonly theirs: readonly Candidate[]
}

async function questions(): Promise<Question[]> {
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'boolean', enabled: true })
  const share = { actor_key: 'userId', percentage: SHARE }
  await storage.upsert({ name: 'percentage', enabled: true, enabled_for_percentage_of_actors: share })
  const client = new FlagClient({ storage })
  await client.sync()
  const context = client.context({ userId: ACTOR })
  const ours = (flag: string, times: number): Candidate => ({
    name: 'fastify-sqlassist',
    times,
    ask(n) {
      let yes = 0
      for (let at = 0; at < n; at++) if (context.isEnabled(flag)) yes++
      return yes
    },
  })

  const variants = { on: true, off: false }
  const configuration = { boolean: { variants, defaultVariant: 'on', disabled: false } }
  await OpenFeature.setProviderAndWait(new InMemoryProvider(configuration))
  const openFeature = OpenFeature.getClient()
  const inMemory: Candidate = {
    name: 'OpenFeature, in-memory provider',
    times: 20_000,
    async ask(n) {
      let yes = 0
      for (let at = 0; at < n; at++) if (await openFeature.getBooleanValue('boolean', false)) yes++
      return yes
    },
  }

  const toggle = (name: string, strategy: object) => ({
    name,
    type: 'release',
    enabled: true,
    stale: false,
    impressionData: false,
    strategies: [strategy],
    variants: [],
  })
  const rollout = { rollout: String(SHARE), stickiness: 'userId', groupId: 'percentage' }
  const unleash = new Unleash({
    appName: 'bench',
    url: 'http://127.0.0.1:1/',
    disableMetrics: true,
    refreshInterval: 0,
    skipInstanceCountWarning: true,
    storageProvider: new InMemStorageProvider(),
    bootstrap: {
      data: [
        toggle('boolean', { name: 'default', parameters: {}, constraints: [] }),
        toggle('percentage', { name: 'flexibleRollout', parameters: rollout, constraints: [] }),
      ] as never,
    },
  })
  // There is no server, and none is needed.
  unleash.on('error', () => {})
  unleash.on('warn', () => {})
  await new Promise(resolve => unleash.once('ready', resolve))
  const unleashes = (flag: string): Candidate => ({
    name: 'Unleash',
    times: 50_000,
    ask(n) {
      let yes = 0
      for (let at = 0; at < n; at++) if (unleash.isEnabled(flag, { userId: ACTOR })) yes++
      return yes
    },
  })
  return [
    {
      bench: 'flags-boolean',
      perSecond: 5_000_000,
      ours: ours('boolean', 2_000_000),
      theirs: [inMemory, unleashes('boolean')],
    },
    {
      bench: 'flags-percentage',
      perSecond: 800_000,
      ours: ours('percentage', 500_000),
      theirs: [unleashes('percentage')],
    },
  ]
}

interface Measured {
  /** Answers a second, round by round. */
  readonly rates: number[]
  /** CPU of an answer in µs, round by round. */
  readonly cpu: number[]
}

async function measure(candidates: readonly Candidate[]): Promise<Map<Candidate, Measured>> {
  const measured = new Map(candidates.map(one => [one, { rates: [], cpu: [] } as Measured]))
  // The first rounds are for the compiler.
  for (let round = -5; round < ROUNDS; round++) {
    const inTurn = round % 2 === 0 ? candidates : candidates.toReversed()
    for (const candidate of inTurn) {
      const before = process.cpuUsage()
      const start = performance.now()
      await candidate.ask(candidate.times)
      const seconds = (performance.now() - start) / 1000
      const { user, system } = process.cpuUsage(before)
      if (round < 0) continue
      measured.get(candidate)?.rates.push(candidate.times / seconds)
      measured.get(candidate)?.cpu.push((user + system) / candidate.times)
    }
  }
  return measured
}

function ratios(above: readonly number[], below: readonly number[]): Spread {
  return spreadOf(above.map((value, at) => value / (below[at] as number)))
}

const isJson = process.argv.includes('--json')
let missed = false
for (const { bench, perSecond, ours, theirs } of await questions()) {
  const measured = await measure([ours, ...theirs])
  const own = measured.get(ours) as Measured
  const rate = spreadOf(own.rates).median
  missed ||= rate < perSecond
  process.stderr.write(
    `${bench}: ${(rate / 1e6).toFixed(1)} million answers a second (at least ${perSecond / 1e6}): ${rate < perSecond ? 'missed' : 'met'}\n`,
  )
  for (const other of theirs) {
    const their = measured.get(other) as Measured
    const [throughput, cpu] = [ratios(own.rates, their.rates), ratios(own.cpu, their.cpu)]
    const row = {
      bench,
      name: other.name,
      ratio: round(throughput.median),
      cpuRatio: round(cpu.median),
      target: { perSecond },
      perSecond: Math.round(rate),
      pass: rate >= perSecond,
    }
    const theirRate = (spreadOf(their.rates).median / 1e6).toFixed(2)
    process.stdout.write(
      isJson
        ? `${JSON.stringify(row)}\n`
        : `  against ${other.name} (${theirRate} million): ${row.ratio} times, CPU ${row.cpuRatio}\n`,
    )
  }
}
process.exit(missed ? 1 : 0)
