import { readFileSync } from 'node:fs'
import t from 'tap'
import { clickHouseText } from '../../plugins/segments/literals.ts'
import { PythonRegex } from '../../plugins/segments/python-regex/regex.ts'
import { onClickHouse } from '../segments/clickhouse.ts'

// 2,000 patterns, and what Python 3.11 says of them: `test/fixtures/segments/make-regex-verdicts.py` asked it.

const CASES = JSON.parse(
  readFileSync(new URL('../fixtures/segments/regex-verdicts.json', import.meta.url), 'utf8'),
) as readonly [pattern: string, texts?: readonly string[], verdicts?: string][]
/** What Python takes, and we do not. */
const NOT_SUPPORTED = ['(?t)a', '\\N{DIGIT ONE}']
/** A query has at most 256 KiB. */
const AT_ONCE = 10

await onClickHouse(t, (t, { query }) => {
  t.test('in ClickHouse: the verdicts of Python', async t => {
    const asked = CASES.flatMap(([pattern, texts, verdicts = '']) => {
      if (texts === undefined || NOT_SUPPORTED.includes(pattern)) return []
      const emitted = PythonRegex.parse(pattern).toRe2()
      if ('declined' in emitted) return []
      const isStored = texts.map(text => text.isWellFormed())
      return [
        {
          pattern,
          regex: emitted.regex,
          texts: texts.filter((_, index) => isStored[index]),
          verdicts: [...verdicts].filter((_, index) => isStored[index]).join(''),
        },
      ]
    })
    const wrong: unknown[] = []
    for (let from = 0; from < asked.length; from += AT_ONCE) {
      const some = asked.slice(from, from + AT_ONCE)
      const columns = some.map(({ regex, texts }) => {
        const list = texts.map(clickHouseText).join(', ')
        return `arrayStringConcat(arrayMap(s -> toString(match(s, ${clickHouseText(regex)})), materialize([${list}]::Array(String))))`
      })
      const found = query(`select ${columns.join(', ')}`)
        .replace(/\n$/, '')
        .split('\t')
      for (const [index, { pattern, texts, verdicts }] of some.entries()) {
        if (found[index] !== verdicts) wrong.push([pattern, texts, verdicts, found[index]])
      }
    }
    t.same(wrong.slice(0, 5), [])
    t.ok(asked.length > 1_000, `${asked.length} patterns`)
  })
})
