import fc from 'fast-check'
import type { Test } from 'tap'
import type { Identity, SegmentContext, Traits } from '../../plugins/segments/segment.ts'
import { stringifyTraits } from '../../plugins/segments/traits-json.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { type ClickHouse, dialect, onClickHouse } from './clickhouse.ts'
import { identity, segment } from './generated.ts'
import { ENVIRONMENT, evaluated } from './identities-table.ts'

/** So many segments are asked at once, of so many identities. */
const AT_ONCE = 20

/**
 * Random segments and random identities: SQL says of each pair what the evaluator says. Of a segment without exact SQL the
 * prefilter finds all members.
 *
 * @param pairs how many pairs of a segment and an identity
 */
export async function samePairs(t: Test, pairs: number): Promise<void> {
  await onClickHouse(t, (t, clickHouse) => {
    t.test(`${pairs} pairs of a segment and an identity`, async t => {
      const seed = Math.floor(Math.random() * 2 ** 31)
      const exact = { pairs: 0, members: 0 }
      const run = fc.property(many(segment), many(identity), (segments, identities) => {
        const problem = firstDifference(clickHouse, segments, identities.map(asStored), exact)
        if (problem !== undefined) throw new Error(problem)
      })
      fc.assert(run, { numRuns: pairs / AT_ONCE ** 2, seed, interruptAfterTimeLimit: 100_000 })
      t.comment(`seed ${seed}: ${exact.pairs} of ${pairs} pairs had exact SQL, ${exact.members} were members`)
      t.ok(exact.pairs > pairs / 2, 'most segments have exact SQL')
      t.ok(exact.members > pairs / 20, 'there are members')
    })
  })
}

function many<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(arbitrary, { minLength: AT_ONCE, maxLength: AT_ONCE })
}

/** What the column refuses or loses is left out: integers beyond 64 bits, and empty objects. */
function asStored(one: Identity): Identity {
  const kept = Object.entries(one.traits ?? {}).filter(([, value]) => {
    const json = stringifyTraits({ value } as Traits)
    return json !== '{"value":{}}' && !/^\{"value":-?[0-9]{20,}\}$/.test(json)
  })
  return { ...one, traits: Object.fromEntries(kept) }
}

function firstDifference(
  clickHouse: ClickHouse,
  segments: readonly SegmentContext[],
  identities: readonly Identity[],
  exact: { pairs: number; members: number },
): string | undefined {
  const translations = segments.map(one =>
    translateSegment(one, { evaluationContext: { environment: ENVIRONMENT }, dialect, prefilter: true }),
  )
  clickHouse.store(identities)
  const found = clickHouse.verdicts(translations.map(({ sql }) => sql))
  for (const [id, one] of identities.entries()) {
    const expected = evaluated(one, segments)
    for (const [index, translation] of translations.entries()) {
      const got = found[id]?.[index]
      const isRight = translation.exact
        ? got === expected[index]
        : got === 't' || (got === 'f' && expected[index] === 'f')
      if (!isRight) {
        const traits = stringifyTraits(one.traits ?? {})
        return JSON.stringify({ segment: segments[index], identity: one, traits, got, sql: translation.sql })
      }
      if (translation.exact) exact.pairs++
      if (translation.exact && got === 't') exact.members++
    }
  }
  return undefined
}
