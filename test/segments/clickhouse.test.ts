import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Condition, SegmentContext } from '../../plugins/segments/segment.ts'
import { classify, pythonText } from '../../plugins/segments/values.ts'
import { conditionsOf, onClickHouse } from './clickhouse.ts'
import { segmentOf } from './identities-table.ts'
import { matrixPairs, type Pair } from './matrix.ts'

const TRAITS = 77
const AT_ONCE = 43
/** So many thresholds are asked for. */
const THRESHOLDS = 40

type Bucket = readonly [value: string, percentage: number, key?: string]

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../fixtures/segments/${name}`, import.meta.url), 'utf8'))
}

const MATRIX = fixture('operator-matrix.json') as {
  readonly traits: readonly (string | null)[]
  readonly segments: readonly Pick<Condition, 'operator' | 'value'>[]
}

await onClickHouse(t, async (t, clickHouse) => {
  t.test('the verdicts of the reference engine', async t => {
    const pairs = matrixPairs()
    // As the reference was given them: parsed and printed again, 1e+20 would be an integer.
    const { traits } = MATRIX
    const rows = [...traits.keys()].filter(row => !isRefused(traits[row] ?? ''))
    t.equal(rows.length, TRAITS - 1)
    clickHouse.storeJson(rows.map(row => traits[row] ?? '{}'))
    const segments = Array.from(
      { length: pairs.length / TRAITS },
      (_, index) => (pairs[index * TRAITS] as Pair).segment,
    )
    const conditions = conditionsOf(segments)
    const wrong: string[] = []
    for (let from = 0; from < segments.length; from += AT_ONCE) {
      const found = clickHouse.verdicts(conditions.slice(from, from + AT_ONCE).map(one => one ?? 'null'))
      for (const [index, row] of rows.entries()) {
        for (const [offset, got] of [...(found[index] as string)].entries()) {
          const pair = pairs[(from + offset) * TRAITS + row] as Pair
          if (conditions[from + offset] !== undefined && isWrong(pair, got))
            wrong.push(`${pair.title}: ${got}`)
        }
      }
    }
    t.same(wrong, [])
    const declined = segments.filter((_, index) => conditions[index] === undefined)
    t.ok(
      declined.every(({ rules }) => rules?.[0]?.conditions?.[0]?.operator === 'REGEX'),
      'only regular expressions may be declined',
    )
    t.comment(`${declined.length} of ${segments.length} segments have no SQL`)
  })

  t.test('every condition stands beside another one', async t => {
    clickHouse.storeJson(MATRIX.traits.filter(one => one !== null && !isRefused(one)) as string[])
    const beside = MATRIX.segments.map((asked): SegmentContext => {
      const never = { property: 'never', operator: 'IS_SET', value: '' } as const
      return {
        key: 'seg',
        name: 'seg',
        rules: [
          {
            type: 'ALL',
            conditions: [never, { property: 't', operator: asked.operator, value: asked.value ?? null }],
          },
        ],
      }
    })
    for (let from = 0; from < beside.length; from += AT_ONCE) {
      const conditions = conditionsOf(beside.slice(from, from + AT_ONCE)) as string[]
      const members = clickHouse.verdicts(conditions).filter(found => /[^f]/.test(found))
      t.same(members, [], `from ${from} on`)
    }
  })

  for (const file of ['percentage-buckets.json', 'percentage-rehash.json']) {
    t.test(`${file} exactly`, async t => {
      const { buckets } = fixture(file) as { buckets: Bucket[] }
      // What looks like a number is hashed as Python prints that.
      t.ok(buckets.every(([value]) => pythonText(classify(value)) === value))
      clickHouse.storeJson(buckets.map(([value]) => JSON.stringify({ t: value })))
      const wrong: unknown[] = []
      // Each threshold is asked of all values with its key.
      const step = Math.ceil(buckets.length / THRESHOLDS)
      for (const [, threshold, key] of buckets.filter((_, index) => index % step === 0)) {
        const found = clickHouse.verdicts(conditionsOf(splitAround(threshold, key)) as string[])
        for (const [row, [value, percentage, keyOfValue]] of buckets.entries()) {
          const expected = percentage <= threshold ? (percentage < threshold ? 'tt' : 'tf') : 'ff'
          if (keyOfValue === key && found[row] !== expected) wrong.push([value, threshold, found[row]])
        }
      }
      t.same(wrong, [], 'a threshold of just that percentage includes it, a smaller one does not')
    })
  }
})

/** The column takes no integers beyond 64 bits. */
function isRefused(trait: string): boolean {
  return trait === '{"t": 123456789012345678901}'
}

function isWrong({ title, verdict, exception }: Pair, found: string): boolean {
  const isRight = found === (verdict === '1' ? 't' : 'f')
  // The other way round than in jsonb, 1e20 remains a float, as to the reference.
  if (exception === undefined || title.endsWith('{"t": 1e+20}'))
    return verdict === 'E' ? found !== 'f' : !isRight
  return isRight && verdict !== 'E'
}

function splitAround(percentage: number, key = 'seg'): SegmentContext[] {
  return [percentage, percentage - 0.000001].map(value =>
    segmentOf({ property: 't', operator: 'PERCENTAGE_SPLIT', value: String(value) }, key),
  )
}
