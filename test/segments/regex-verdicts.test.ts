import { readFileSync } from 'node:fs'
import t from 'tap'
import { PythonRegex, PythonRegexError } from '../../plugins/segments/python-regex/regex.ts'
import { onEveryBackend } from '../support/backends.ts'

// 2,000 patterns, and what Python 3.11 says of them: `test/fixtures/segments/make-regex-verdicts.py` asked it.

type Case =
  | readonly [pattern: string]
  | readonly [pattern: string, texts: readonly string[], verdicts: string]

const CASES = JSON.parse(
  readFileSync(new URL('../fixtures/segments/regex-verdicts.json', import.meta.url), 'utf8'),
) as readonly Case[]

/** What Python takes, and we do not. */
const NOT_SUPPORTED = ['(?t)a', '\\N{DIGIT ONE}']
/** The shares that are declined of the patterns that Python takes. */
const MOST_DECLINED = { javascript: 0.06, postgresql: 0.14, re2: 0.3 }

/** A pattern that Python takes, its texts, and whether Python finds it at their start. */
interface Asked {
  readonly regex: PythonRegex
  readonly texts: readonly string[]
  readonly isMatch: readonly boolean[]
}

const refused = CASES.filter(([, texts]) => texts === undefined)
const asked: readonly Asked[] = CASES.flatMap(([pattern, texts, verdicts]) => {
  if (texts === undefined || verdicts === undefined || NOT_SUPPORTED.includes(pattern)) return []
  return [
    { regex: PythonRegex.parse(pattern), texts, isMatch: Array.from(verdicts, verdict => verdict === '1') },
  ]
})

t.test('what Python refuses is refused, and nothing else', async t => {
  t.ok(refused.length > 100 && asked.length > 1_500, `${refused.length} refused, ${asked.length} taken`)
  const taken = refused.filter(([pattern]) => !isRefused(pattern)).map(([pattern]) => pattern)
  t.strictSame(taken, [])
  for (const pattern of NOT_SUPPORTED) t.ok(isRefused(pattern), pattern)
})

t.test('here: the verdicts of Python', async t => {
  let declined = 0
  const wrong: unknown[] = []
  for (const { regex, texts, isMatch } of asked) {
    const verdicts = texts.map(text => regex.test(text))
    if (verdicts.includes(undefined)) declined++
    texts.forEach((text, i) => {
      const verdict = verdicts[i]
      if (verdict !== undefined && verdict !== isMatch[i]) wrong.push([regex.pattern, text, isMatch[i]])
    })
  }
  t.strictSame(wrong, [])
  const share = declined / asked.length
  t.ok(share <= MOST_DECLINED.javascript, `${declined} of ${asked.length} declined`)
})

t.test('in PostgreSQL: the verdicts of Python', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const connection = (
        await backend.orm(t, { entities: [], discovery: { warnWhenNoEntities: false } })
      ).em.getConnection()
      const emitted = asked.flatMap(one => {
        const made = one.regex.toPostgres()
        return 'regex' in made ? [{ ...one, made: made.regex }] : []
      })
      const declined = asked.length - emitted.length
      t.ok(declined / asked.length <= MOST_DECLINED.postgresql, `${declined} of ${asked.length} declined`)
      // What no text of PostgreSQL can hold is not asked
      const rows = emitted.flatMap(({ regex, made, texts, isMatch }) =>
        texts.flatMap((text, i) =>
          text.includes('\0') || !text.isWellFormed() ? [] : [{ regex, made, text, isMatch: isMatch[i] }],
        ),
      )
      const wrong: unknown[] = []
      const BATCH = 5_000
      for (let from = 0; from < rows.length; from += BATCH) {
        const batch = rows.slice(from, from + BATCH)
        // Each regular expression is sent once
        const regexes = [...new Set(batch.map(row => row.made))]
        const numbers = new Map(regexes.map((regex, i) => [regex, i]))
        const question = {
          regexes,
          rows: batch.map(row => [numbers.get(row.made), row.text]),
        }
        const [answer] = await connection.execute<{ verdicts: boolean[] }[]>(
          `with asked as (select ?::jsonb as asked), regexes as materialized
             (select r, (n - 1)::text as n from asked, jsonb_array_elements_text(asked->'regexes') with ordinality r(r, n))
           select json_agg(row->>1 ~ r order by i) as verdicts
           from asked, jsonb_array_elements(asked->'rows') with ordinality rows(row, i) join regexes on n = row->>0`,
          [JSON.stringify(question)],
        )
        t.equal(answer?.verdicts.length, batch.length)
        batch.forEach(({ regex, text, isMatch }, i) => {
          if (answer?.verdicts[i] !== isMatch) wrong.push([regex.pattern, text, isMatch])
        })
      }
      t.strictSame(wrong, [])
      t.comment(`${rows.length} verdicts, ${declined} of ${asked.length} patterns declined`)
    },
    ['PostgreSQL', 'PostgreSQL 15'],
  )
})

t.test('RE2 is declined no more than it has to be', async t => {
  const declined = asked.filter(({ regex }) => 'declined' in regex.toRe2()).length
  t.ok(declined / asked.length <= MOST_DECLINED.re2, `${declined} of ${asked.length} declined`)
})

function isRefused(pattern: string): boolean {
  try {
    PythonRegex.parse(pattern)
    return false
  } catch (error) {
    if (error instanceof PythonRegexError) return true
    throw error
  }
}
