import fc from 'fast-check'
import type { Test } from 'tap'
import type { Identity, SegmentContext } from '../../plugins/segments/segment.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { identity, segment } from './generated.ts'
import {
  ENVIRONMENT,
  evaluated,
  onEveryPostgres,
  type Postgres,
  store,
  verdicts,
} from './identities-table.ts'

/** So many segments are asked at once, of so many identities. */
const AT_ONCE = 20

/**
 * Random segments and random identities: SQL says of each pair what the evaluator says. Of a segment without exact SQL the
 * prefilter finds all members.
 *
 * @param pairs how many pairs of a segment and an identity on each PostgreSQL
 */
export async function samePairs(t: Test, pairs: number): Promise<void> {
  await onEveryPostgres(t, (t, postgres) => {
    t.test(`${pairs} pairs of a segment and an identity`, async t => {
      const seed = Math.floor(Math.random() * 2 ** 31)
      const exact = { pairs: 0, members: 0 }
      const run = fc.asyncProperty(many(segment), many(identity), async (segments, identities) => {
        const problem = await firstDifference(postgres, segments, identities, exact)
        if (problem !== undefined) throw new Error(problem)
      })
      await fc.assert(run, { numRuns: pairs / AT_ONCE ** 2, seed, interruptAfterTimeLimit: 60_000 })
      t.comment(`seed ${seed}: ${exact.pairs} of ${pairs} pairs had exact SQL, ${exact.members} were members`)
      t.ok(exact.pairs > pairs / 2, 'most segments have exact SQL')
      t.ok(exact.members > pairs / 20, 'there are members')
    })
  })
}

function many<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(arbitrary, { minLength: AT_ONCE, maxLength: AT_ONCE })
}

async function firstDifference(
  { client, dialect }: Postgres,
  segments: readonly SegmentContext[],
  identities: readonly Identity[],
  exact: { pairs: number; members: number },
): Promise<string | undefined> {
  const distinct = identities.map((one, id) => ({
    ...one,
    identifier: uniqueIdentifier(one.identifier, id, identities),
  }))
  const translations = segments.map(one =>
    translateSegment(one, { evaluationContext: { environment: ENVIRONMENT }, dialect, prefilter: true }),
  )
  await store(client, distinct)
  const found = await verdicts(
    client,
    translations.map(({ sql }) => sql),
  )
  for (const [id, one] of distinct.entries()) {
    const expected = evaluated(one, segments)
    for (const [index, translation] of translations.entries()) {
      const got = found[id]?.[index]
      const isRight = translation.exact
        ? got === expected[index]
        : got === 't' || (got === 'f' && expected[index] === 'f')
      if (!isRight)
        return JSON.stringify({ segment: segments[index], identity: one, got, sql: translation.sql })
      if (translation.exact) exact.pairs++
      if (translation.exact && got === 't') exact.members++
    }
  }
  return undefined
}

/** The table holds each identifier once. */
function uniqueIdentifier(identifier: string, id: number, identities: readonly Identity[]): string {
  return identities.findIndex(other => other.identifier === identifier) === id
    ? identifier
    : `${identifier} ${id}`
}
