import { readFileSync } from 'node:fs'
import type { Condition, EvaluationContext, SegmentContext } from '../../plugins/segments/segment.ts'
import { parseTraits } from '../../plugins/segments/traits-json.ts'

// The verdicts of the reference engine, and where ours is another one on purpose.

interface Matrix {
  readonly traits: readonly (string | null)[]
  readonly segments: readonly (Pick<Condition, 'operator' | 'value'> & { readonly expected: string })[]
}

/** One segment and one trait. */
export interface Pair {
  readonly title: string
  readonly segment: SegmentContext
  readonly context: EvaluationContext
  /** 1, 0, or E when the reference raised. */
  readonly verdict: string
  /** Why ours is the other verdict; undefined where it must be the same. */
  readonly exception: string | undefined
}

/** @returns all of operator-matrix.json: 430 segments × 77 traits */
export function matrixPairs(): readonly Pair[] {
  const file = new URL('../fixtures/segments/operator-matrix.json', import.meta.url)
  const matrix: Matrix = JSON.parse(readFileSync(file, 'utf8'))
  const contexts = matrix.traits.map(contextOf)
  return matrix.segments.flatMap(({ expected, ...asked }) => {
    const conditions: Condition[] = [{ property: 't', ...asked }]
    const segment: SegmentContext = { key: 'seg', name: 'seg', rules: [{ type: 'ALL', conditions }] }
    const title = `${asked.operator} ${JSON.stringify(asked.value)}`
    return matrix.traits.map((trait, index) => {
      const verdict = expected[index] as string
      const context = contexts[index] as EvaluationContext
      return {
        title: `${title} of ${trait}`,
        segment,
        context,
        verdict,
        exception: exceptionOf(trait, title, verdict),
      }
    })
  })
}

function contextOf(trait: string | null): EvaluationContext {
  const traits = trait === null ? null : parseTraits(trait)
  return { environment: { key: 'e', name: 'e' }, identity: { identifier: 'id', key: 'e_id', traits } }
}

function exceptionOf(trait: string | null, asked: string, verdict: string): string | undefined {
  if (verdict === 'E')
    return 'the reference raises, which nobody who evaluates for others can do: nobody is in it'
  if (isComposite(trait) && verdict === '1' && !asked.startsWith('IS_SET')) {
    return 'arrays and objects are set, but nothing else: the reference compares what Python prints of them'
  }
  if (trait === '{"t": 1e+20}' && AS_INTEGER.has(asked)) return 'jsonb prints 1e20 as an integer'
  if (trait === '{"t": -0.0}' && WITHOUT_SIGN.has(asked)) return 'jsonb knows no negative zero'
  return undefined
}

function isComposite(trait: string | null): boolean {
  return trait !== null && /^\{"t": [[{]/.test(trait)
}

/** An integer is not compared with a fraction, `inf` or an exponent, and is hashed and searched as its digits. */
const AS_INTEGER = new Set([
  'GREATER_THAN "1.0"',
  'GREATER_THAN "1.5"',
  'GREATER_THAN "2.1"',
  'GREATER_THAN "1.23"',
  'GREATER_THAN "1e3"',
  'GREATER_THAN_INCLUSIVE "1.23"',
  'GREATER_THAN_INCLUSIVE "0.1"',
  'LESS_THAN "inf"',
  'LESS_THAN_INCLUSIVE "inf"',
  'NOT_EQUAL "2.1"',
  'NOT_EQUAL "1.23"',
  'NOT_EQUAL "0.1"',
  'NOT_EQUAL "inf"',
  'PERCENTAGE_SPLIT "50"',
  'REGEX "10"',
])

/** What Python prints of it begins with the sign. */
const WITHOUT_SIGN = new Set([
  'REGEX "0"',
  'REGEX "5|0"',
  'REGEX "0|0"',
  'REGEX "1.5|0"',
  String.raw`REGEX "\\d+"`,
])
