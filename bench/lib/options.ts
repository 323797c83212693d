import { parseArgs } from 'node:util'

export interface BenchOptions {
  /** The names of the benches to run; empty means all. */
  readonly only: readonly string[]
  readonly slices: number
  readonly duration: number
  readonly warmUp: number
  readonly warmUpRequests: number
  readonly json: boolean
  /** Whether a missed target is an exit code of 1. */
  readonly fail: boolean
  /** Directory for V8 CPU profiles of the servers. */
  readonly profile: string | undefined
}

export const USAGE = `npm run bench -- [options]
  --only insert,read   these benches only
  --slices N           rounds of each bench (default 24)
  --quick              8 short rounds: to see that everything runs, not to quote
  --json               one object a line on stdout instead of the table
  --no-fail            exit code 0 also when a target is missed
  --profile DIR        V8 CPU profiles of the servers`

export function readOptions(names: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      slices: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      'no-fail': { type: 'boolean', default: false },
      profile: { type: 'string' },
    },
  })
  const only = values.only?.split(',') ?? []
  const unknown = only.find(name => !names.includes(name))
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${names.join(', ')}`)
  const slices = Number(values.slices ?? (values.quick ? 8 : 24))
  if (!Number.isInteger(slices) || slices < 1) throw new Error('--slices: a whole number from 1')
  return {
    only,
    slices,
    duration: values.quick ? 200 : 400,
    warmUp: values.quick ? 500 : 1500,
    warmUpRequests: values.quick ? 1000 : 15000,
    json: values.json,
    fail: !values['no-fail'],
    profile: values.profile,
  }
}
