import { parseArgs } from 'node:util'

/** The parts of the bench, in the order in which they run. */
export const PARTS = ['watermark', 'strict', 'emmett', 'skips', 'load'] as const

export type Part = (typeof PARTS)[number]

export interface EventsBenchOptions {
  readonly only: readonly Part[]
  readonly rounds: number
  /** Of a slice, milliseconds. */
  readonly duration: number
  /** Of each candidate's warm-up, milliseconds. */
  readonly warmUp: number
  /** How long events are written while somebody follows them, milliseconds. */
  readonly race: number
  readonly json: boolean
  /** Whether a missed target is an exit code of 1. */
  readonly fail: boolean
}

export const USAGE = `npm run bench:events -- [options]
  --only watermark,load  some of: ${PARTS.join(', ')}
  --rounds N             rounds of each bench (default 14)
  --quick                4 short rounds: to see that everything runs, not to quote
  --json                 one object a line on stdout instead of the table
  --no-fail              exit code 0 also when a target is missed`

export function readOptions(): EventsBenchOptions {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      'no-fail': { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds ?? (values.quick ? 4 : 14))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds: a whole number from 1')
  return {
    only: partsOf(values.only),
    rounds,
    duration: values.quick ? 150 : 400,
    warmUp: values.quick ? 300 : 1500,
    race: values.quick ? 2000 : 10_000,
    json: values.json,
    fail: !values['no-fail'],
  }
}

function partsOf(text: string | undefined): readonly Part[] {
  if (text === undefined) return PARTS
  const names = text.split(',')
  const unknown = names.find(name => !(PARTS as readonly string[]).includes(name))
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${PARTS.join(', ')}`)
  return PARTS.filter(part => names.includes(part))
}
