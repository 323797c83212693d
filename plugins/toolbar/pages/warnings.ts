import type { Entry, StatementRecord } from '../records.ts'
import { count, duration } from './format.ts'

/** Milliseconds from which a statement, or a request, is called slow. */
const SLOW_STATEMENT = 100
const SLOW_REQUEST = 1_000

export type WarningKind = 'error' | 'N+1' | 'slow' | 'unflushed' | 'dropped'

/** Something that somebody should look at. */
export interface Warning {
  readonly kind: WarningKind
  readonly text: string
  /** The number of the statement that it is about. */
  readonly statement?: number
}

/** What is wrong with a request, the worst first. */
export function warningsOf(entry: Entry): Warning[] {
  return [...failures(entry), ...repetitions(entry), ...slowness(entry), ...losses(entry)]
}

export function isSlow({ duration }: StatementRecord): boolean {
  return duration !== undefined && duration >= SLOW_STATEMENT
}

function failures(entry: Entry): Warning[] {
  const { status, statements, waits, sessions, steps } = entry
  const warnings: Warning[] = []
  if (status !== undefined && status >= 500) warnings.push({ kind: 'error', text: `Answered with ${status}` })
  for (const { number, engine, error } of statements) {
    if (error !== undefined)
      warnings.push({ kind: 'error', text: `Failed on ${engine}: ${error}`, statement: number })
  }
  for (const { engine, error } of waits) {
    if (error !== undefined) warnings.push({ kind: 'error', text: `No connection to ${engine}: ${error}` })
  }
  for (const { engine, ends } of sessions) {
    for (const { is, error } of ends) {
      if (error !== undefined) warnings.push({ kind: 'error', text: `${is} failed on ${engine}: ${error}` })
    }
  }
  for (const { engine, step, error } of steps) {
    if (error !== undefined)
      warnings.push({ kind: 'error', text: `${step} of two phases failed on ${engine}: ${error}` })
  }
  return warnings
}

function repetitions({ statements }: Entry): Warning[] {
  const repeated = statements.filter(({ repeats }) => repeats > 1)
  const groups = Map.groupBy(repeated, ({ engine, sql, origin }) => `${engine}\0${origin}\0${sql}`)
  return [...groups.values()].flatMap(([first]) => {
    if (first === undefined) return []
    const { number, origin, repeats } = first
    const from = origin === undefined ? '' : ` from ${origin}`
    return [{ kind: 'N+1' as const, text: `Likely N+1: sent ${repeats} times${from}`, statement: number }]
  })
}

function slowness({ duration: took, statements }: Entry): Warning[] {
  const warnings = statements.filter(isSlow).map(statement => ({
    kind: 'slow' as const,
    text: `Slow statement: ${duration(statement.duration)} on ${statement.engine}`,
    statement: statement.number,
  }))
  return took !== undefined && took >= SLOW_REQUEST
    ? [{ kind: 'slow', text: `Slow: ${duration(took)}` }, ...warnings]
    : warnings
}

function losses({ sessions, dropped }: Entry): Warning[] {
  const warnings: Warning[] = sessions
    .filter(({ unflushed }) => unflushed.length > 0)
    .map(({ engine, unflushed }) => ({
      kind: 'unflushed',
      text: `Never flushed on ${engine}: ${unflushed.join(', ')}`,
    }))
  if (dropped > 0)
    warnings.push({ kind: 'dropped', text: `${count(dropped, 'further statement')} not kept: too many` })
  return warnings
}
