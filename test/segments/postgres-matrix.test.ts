import t from 'tap'
import { Binder } from '../../plugins/segments/binder.ts'
import type { Identity, SegmentContext } from '../../plugins/segments/segment.ts'
import { conditionsOf, onEveryPostgres, store, verdicts } from './identities-table.ts'
import { matrixPairs, type Pair } from './matrix.ts'

const pairs = matrixPairs()
const TRAITS = 77
const identities = pairs
  .slice(0, TRAITS)
  .map((pair, index): Identity => ({ ...(pair.context.identity as Identity), identifier: `id${index}` }))
const segments = Array.from(
  { length: pairs.length / TRAITS },
  (_, index) => (pairs[index * TRAITS] as Pair).segment,
)

await onEveryPostgres(t, (t, postgres) => {
  const { client } = postgres

  for (const mode of ['inlined', 'bound'] as const) {
    t.test(`the verdicts of the reference engine, ${mode}`, async t => {
      await store(client, identities)
      const asked =
        mode === 'bound' ? { postgres, segments, binder: new Binder('dollar') } : { postgres, segments }
      const conditions = conditionsOf(asked)
      const found = await verdicts(
        client,
        conditions.map(condition => condition ?? 'null'),
        mode === 'bound' ? (asked.binder?.params as string[]) : [],
      )
      const wrong: string[] = []
      let declined = 0
      for (const [index, pair] of pairs.entries()) {
        const segment = Math.floor(index / TRAITS)
        if (conditions[segment] === undefined) declined++
        else if (isWrong(pair, found[index % TRAITS]?.[segment])) wrong.push(pair.title)
      }
      t.same(wrong, [])
      const operators = segments.filter((_, index) => conditions[index] === undefined).map(operatorAndValue)
      t.comment(`${declined / TRAITS} of ${segments.length} segments have no SQL: ${operators.join(' ')}`)
      t.ok(
        operators.every(name => name.startsWith('REGEX')),
        'only regular expressions may be declined',
      )
    })
  }
})

function isWrong({ verdict, exception }: Pair, found: string | undefined): boolean {
  const isRight = found === (verdict === '1' ? 't' : 'f')
  return exception === undefined ? !isRight : isRight && verdict !== 'E'
}

function operatorAndValue(segment: SegmentContext): string {
  const condition = segment.rules?.[0]?.conditions?.[0]
  return `${condition?.operator} ${JSON.stringify(condition?.value)}`
}
