import type { Engines, InDoubtMessage, LeakMessage } from '../../src/index.ts'
import type { MetricSet } from './metric-set.ts'
import type { Listeners } from './own-messages.ts'

/** Seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const LEAKS: readonly LeakMessage['kind'][] = ['dirty-connection', 'cut-session', 'late-drain']
const IN_DOUBT: readonly InDoubtMessage['outcome'][] = ['committed', 'aborted', 'unknown']

/** The metrics that are counted as things happen. @returns what counts them */
export function messageMetrics(set: MetricSet, engines: Engines): Listeners {
  /** A series that begins with its first event has no increase for it, so all of them begin at 0. */
  const fromZero = (label?: string, values: readonly string[] = []) => {
    const labels = label === undefined ? [{}] : values.map(value => ({ [label]: value }))
    return (counter: { inc(labels: object, value: number): void }): void => {
      for (const { name: engine } of engines) for (const more of labels) counter.inc({ engine, ...more }, 0)
    }
  }
  const engine = ['engine']
  const commits = set.counter(
    'commits_total',
    { help: 'Transactions that were committed.', labelNames: engine },
    fromZero(),
  )
  const rollbacks = set.counter(
    'rollbacks_total',
    { help: 'Transactions that were rolled back.', labelNames: engine },
    fromZero(),
  )
  const inDoubt = set.counter(
    'commits_in_doubt_total',
    {
      help: 'COMMITs whose connection was lost, by what had become of them.',
      labelNames: ['engine', 'outcome'],
    },
    fromZero('outcome', IN_DOUBT),
  )
  const leaks = set.counter(
    'leaks_total',
    { help: 'What was not given back as it should be.', labelNames: ['engine', 'kind'] },
    fromZero('kind', LEAKS),
  )
  const statementSeconds = set.histogram('statement_duration_seconds', {
    help: 'From sending a statement to its answer.',
    labelNames: ['engine', 'server', 'outcome'],
    buckets: BUCKETS,
  })
  const commitSeconds = set.histogram('commit_duration_seconds', {
    help: 'From sending COMMIT to its answer; in two phases, of all its steps.',
    labelNames: ['engine', 'outcome'],
    buckets: BUCKETS,
  })
  const waitSeconds = set.histogram('pool_wait_seconds', {
    help: 'Waiting for a connection.',
    labelNames: ['engine', 'outcome'],
    buckets: BUCKETS,
  })

  return {
    'sqlassist:statement:end': ({ engine, server, duration = 0 }) =>
      statementSeconds.observe({ engine, server: server.name, outcome: 'success' }, duration / 1_000),
    'sqlassist:statement:error': ({ engine, server, duration = 0 }) =>
      statementSeconds.observe({ engine, server: server.name, outcome: 'error' }, duration / 1_000),
    'sqlassist:session:commit': ({ engine, duration, error }) => {
      if (error === undefined) commits.inc({ engine })
      commitSeconds.observe({ engine, outcome: outcomeOf(error) }, duration / 1_000)
    },
    // Where ROLLBACK fails the connection is thrown away, and the server rolls back.
    'sqlassist:session:rollback': ({ engine }) => rollbacks.inc({ engine }),
    'sqlassist:pool:wait': ({ engine, duration, error }) =>
      waitSeconds.observe({ engine, outcome: outcomeOf(error) }, duration / 1_000),
    'sqlassist:in-doubt': ({ engine, outcome }) => inDoubt.inc({ engine, outcome }),
    'sqlassist:leak': ({ engine, kind }) => leaks.inc({ engine, kind }),
  }
}

const outcomeOf = (error: unknown): string => (error === undefined ? 'success' : 'error')
