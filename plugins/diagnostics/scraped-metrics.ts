import type { Gauge } from 'prom-client'
import { type Engine, type Prepared, patiently, type ReplicaState, type SqlAssist } from '../../src/index.ts'
import type { MetricSet } from './metric-set.ts'

/** Milliseconds. A scraper gives up after ten seconds, and would then have no figure at all. */
const PATIENCE = 1_000

const STATES: readonly ReplicaState[] = ['online', 'lagging', 'down', 'draining']

/** The metrics that are looked up whenever somebody asks for them. */
export function scrapedMetrics(set: MetricSet, sqlAssist: SqlAssist): void {
  sessionMetrics(set, sqlAssist)
  poolMetrics(set, sqlAssist)
  replicaMetrics(set, sqlAssist)
  routingMetrics(set, sqlAssist)
  if (sqlAssist.prepared !== undefined) preparedMetrics(set, sqlAssist, sqlAssist.prepared)
}

function sessionMetrics(set: MetricSet, { engines, sessions }: SqlAssist): void {
  set.gauge('scopes_open', { help: 'Requests and scopes that use a database.' }, gauge =>
    gauge.set(sessions.scopes),
  )
  set.gauge('sessions_open', { help: 'Sessions that are open.', labelNames: ['engine'] }, gauge => {
    for (const { name } of engines) gauge.set({ engine: name }, 0)
    for (const { engine } of sessions.list()) gauge.inc({ engine })
  })
}

function poolMetrics(set: MetricSet, { engines }: SqlAssist): void {
  const gauge = (name: string, figure: keyof Engine['figures'], help: string): void => {
    set.gauge(name, { help, labelNames: ['engine'] }, metric => {
      for (const { name, figures } of engines) {
        const value = figures[figure]
        // Not every driver tells.
        if (value !== undefined) metric.set({ engine: name }, value)
      }
    })
  }
  gauge('pool_connections_used', 'used', 'Connections that sessions hold, those to replicas included.')
  gauge('pool_connections_idle', 'idle', 'Open connections that nobody holds.')
  gauge('pool_connections_max', 'max', 'Connections that may be open.')
  gauge('pool_waiting', 'waiting', 'Sessions that wait for a connection.')
}

function replicaMetrics(set: MetricSet, { engines }: SqlAssist): void {
  const labelNames = ['engine', 'replica']
  /** One that does not answer has no lag, rather than the last one. */
  const lag = (metric: Gauge, value: (lag: { ms: number; bytes: number }) => number): void => {
    metric.reset()
    for (const { name: engine, replicas } of engines) {
      for (const { name: replica, lag } of replicas) if (lag) metric.set({ engine, replica }, value(lag))
    }
  }
  set.gauge(
    'replica_lag_seconds',
    { help: 'How far a replica is behind the primary.', labelNames, aggregator: 'max' },
    metric => lag(metric, ({ ms }) => ms / 1_000),
  )
  set.gauge(
    'replica_lag_bytes',
    { help: 'How far a replica is behind the primary.', labelNames, aggregator: 'max' },
    metric => lag(metric, ({ bytes }) => bytes),
  )
  set.gauge(
    'replica_state',
    {
      help: 'Whether a replica is in a state: 1, or 0.',
      labelNames: [...labelNames, 'state'],
      aggregator: 'max',
    },
    metric => {
      for (const { name: engine, replicas } of engines) {
        for (const { name: replica, state } of replicas) {
          for (const one of STATES) metric.set({ engine, replica, state: one }, one === state ? 1 : 0)
        }
      }
    },
  )
}

function routingMetrics(set: MetricSet, { routing }: SqlAssist): void {
  const count = (name: string, help: string, figures: () => Record<string, number>, label?: string): void => {
    set.counter(name, { help, labelNames: label === undefined ? [] : [label] }, counter => {
      // The core counts; this only shows it.
      counter.reset()
      for (const [value, figure] of Object.entries(figures())) {
        counter.inc(label === undefined ? {} : { [label]: value }, figure)
      }
    })
  }
  count('reads_total', 'Connections taken for reads, by where they led.', () => routing.reads, 'server')
  count('reads_waited_total', 'Reads that waited for a replica to catch up.', () => ({ all: routing.waited }))
  count('reads_repeated_total', 'Statements that were run again on another server.', () => ({
    all: routing.repeated,
  }))
  count('causal_tokens_total', 'Causal tokens that clients sent.', () => ({ ...routing.tokens }), 'outcome')
}

function preparedMetrics(set: MetricSet, { engines }: SqlAssist, prepared: Prepared): void {
  let looking: ReturnType<Prepared['list']> | undefined
  /** Two metrics and several scrapers ask once. */
  const look = (): ReturnType<Prepared['list']> => {
    looking ??= prepared.list().finally(() => {
      looking = undefined
    })
    return looking
  }
  const gauge = (name: string, help: string, value: (ages: readonly number[]) => number): void => {
    set.gauge(name, { help, labelNames: ['engine'], aggregator: 'max' }, async metric => {
      let found: Awaited<ReturnType<Prepared['list']>> | undefined
      const looked = look().then(list => {
        found = list
      })
      await patiently(looked, PATIENCE)
      metric.reset()
      if (found === undefined) return
      const unreachable = new Set(found.unreachable.map(({ engine }) => engine))
      for (const { name: engine, joins } of engines) {
        if (!joins || unreachable.has(engine)) continue
        const ages = found.prepared.filter(one => one.engine === engine).map(({ age }) => age)
        metric.set({ engine }, value(ages))
      }
    })
  }
  gauge('prepared_transactions', 'Transactions that are prepared in the database.', ages => ages.length)
  gauge(
    'prepared_transaction_age_seconds',
    'How long the oldest of them has been prepared.',
    ages => Math.max(0, ...ages) / 1_000,
  )
}
