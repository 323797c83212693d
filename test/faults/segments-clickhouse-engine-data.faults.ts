import t from 'tap'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { dialect, onClickHouse } from '../segments/clickhouse.ts'
import { engineCases } from '../segments/engine-cases.ts'

const cases = engineCases()

if (cases === undefined) {
  t.pass('SKIPPED: no SEGMENT_ENGINE_DATA, and no ../shared/data/segments')
} else {
  await onClickHouse(t, (t, clickHouse) => {
    t.test('every segment of every case', async t => {
      const wrong: string[] = []
      let pairs = 0
      for (const { file, context, result } of cases) {
        // Without an identity nobody is asked for.
        if (!context.identity) continue
        clickHouse.store([context.identity])
        const segments = Object.values(context.segments ?? {})
        const conditions = segments.map(
          segment => translateSegment(segment, { evaluationContext: context, dialect })?.sql ?? 'null',
        )
        if (conditions.length === 0) continue
        const [found = ''] = clickHouse.verdicts(conditions)
        for (const [index, segment] of segments.entries()) {
          const expected = result.segments.some(({ name }) => name === segment.name)
          pairs++
          if (found[index] !== (expected ? 't' : 'f')) wrong.push(`${file}: ${segment.name}: ${found[index]}`)
        }
      }
      t.same(wrong, [])
      t.ok(pairs > 250, `${pairs} pairs`)
    })
  })
}
