import t from 'tap'
import { isContextInSegment } from '../../plugins/segments/evaluate.ts'
import { matrixPairs } from './matrix.ts'

t.test('the verdicts of the reference engine, and the written exceptions are exceptions', async t => {
  const pairs = matrixPairs()
  t.equal(pairs.length, 430 * 77)
  const wrong: string[] = []
  let exceptions = 0
  for (const { title, segment, context, verdict, exception } of pairs) {
    const isIn = isContextInSegment(context, segment)
    const isSame = String(Number(isIn)) === verdict
    if (exception !== undefined) exceptions++
    if (isSame && exception !== undefined) wrong.push(`${title} is no exception (${exception})`)
    if (!isSame && exception === undefined) wrong.push(`${title}: ${isIn}, but ${verdict} in the reference`)
    // Where the reference raises, nobody is in the segment.
    if (verdict === 'E' && isIn) wrong.push(`${title}: true where the reference raises`)
  }
  t.same(wrong, [])
  t.comment(`${pairs.length} pairs, ${exceptions} of them exceptions`)
})
