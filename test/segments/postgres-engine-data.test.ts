import t from 'tap'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { engineCases } from './engine-cases.ts'
import { onEveryPostgres, store, verdicts } from './identities-table.ts'

const cases = engineCases()

if (cases === undefined) {
  t.comment('SKIPPED: no SEGMENT_ENGINE_DATA, and no ../shared/data/segments')
  t.pass('skipped: no engine-test-data')
} else {
  await onEveryPostgres(t, (t, { client, dialect }) => {
    t.test('every segment of every case', async t => {
      const wrong: string[] = []
      let pairs = 0
      for (const { file, context, result } of cases) {
        // Without an identity nobody is asked for.
        if (!context.identity) continue
        await store(client, [context.identity])
        const segments = Object.values(context.segments ?? {})
        for (const segment of segments) {
          const expected = result.segments.some(({ name }) => name === segment.name)
          const found = translateSegment(segment, { evaluationContext: context, dialect })
          const got = found === null ? 'no SQL' : (await verdicts(client, [found.sql]))[0]
          pairs++
          if (got !== (expected ? 't' : 'f')) wrong.push(`${file}: ${segment.name}: ${got}`)
        }
      }
      t.same(wrong, [])
      t.ok(pairs > 250, `${pairs} pairs`)
    })
  })
}
