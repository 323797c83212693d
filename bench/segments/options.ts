import { parseArgs } from 'node:util'

/** The parts of the bench, in the order in which they run. */
export const PARTS = ['scan', 'count-many', 'page', 'upsert', 'index', 'clickhouse'] as const

export type Part = (typeof PARTS)[number]

export interface SegmentsBenchOptions {
  readonly identities: number
  readonly rounds: number
  readonly only: readonly Part[]
  readonly json: boolean
  /** Whether a missed target is an exit code of 1. */
  readonly fail: boolean
}

export const USAGE = `npm run bench:segments -- [options]
  --identities N       rows of the table (default 1000000)
  --rounds N           how often everything is measured (default 3)
  --only scan,page     some of: ${PARTS.join(', ')}
  --json               one object a line on stdout instead of the table
  --no-fail            exit code 0 also when a target is missed`

export function readOptions(): SegmentsBenchOptions {
  const { values } = parseArgs({
    options: {
      identities: { type: 'string', default: '1000000' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      'no-fail': { type: 'boolean', default: false },
    },
  })
  return {
    identities: wholeNumber('--identities', values.identities, 10_000),
    rounds: wholeNumber('--rounds', values.rounds, 1),
    only: partsOf(values.only),
    json: values.json,
    fail: !values['no-fail'],
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least) throw new Error(`${name}: a whole number from ${least}`)
  return value
}

function partsOf(text: string | undefined): readonly Part[] {
  if (text === undefined) return PARTS
  const names = text.split(',')
  const unknown = names.find(name => !(PARTS as readonly string[]).includes(name))
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${PARTS.join(', ')}`)
  return PARTS.filter(part => names.includes(part))
}
