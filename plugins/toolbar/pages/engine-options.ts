import { type Engine, redact } from '../../../src/index.ts'

/** The options of ours that are shown: none of them can be a secret. */
const OPTIONS = [
  'commitMode',
  'isolationLevel',
  'snapshot',
  'join',
  'createAll',
  'acquireTimeout',
  'drainTimeout',
] as const

/** What is shown of an engine's options: a list of what may be, so that a new option is not shown by itself. */
export function optionsOf(engine: Engine): [name: string, value: string][] {
  const options = engine.options as unknown as Record<string, unknown>
  const given = OPTIONS.flatMap(name =>
    options[name] === undefined ? [] : [[name, String(options[name])] as [string, string]],
  )
  const { replicas } = options
  if (Array.isArray(replicas)) given.push(['replicas', String(replicas.length)])
  return [
    ...placeOf(engine),
    ['instance', engine.owned ? 'opened by the plugin' : "the application's own"],
    ...given,
  ]
}

/** Where it connects to, and as whom. */
function placeOf(engine: Engine): [string, string][] {
  try {
    const { host, port, user, database } = engine.orm.driver
      .getConnection('write')
      .getConnectionOptions() as {
      [name: string]: unknown
    }
    const place = Object.entries({ host, port, database, user })
    return place
      .filter(([, value]) => typeof value === 'string' || typeof value === 'number')
      .filter(([, value]) => value !== '' && value !== 0)
      .map(([name, value]) => [name, redact(String(value))])
  } catch {
    // It has not started, or its configuration is not of the usual kind.
    return []
  }
}
