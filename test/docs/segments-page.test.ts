import { readFile } from 'node:fs/promises'
import t from 'tap'
import {
  ClickHouseDialect,
  isContextInSegment,
  type Operator,
  PostgresDialect,
  parseTraits,
} from '../../plugins/segments/index.ts'

// What docs/segments.md says is asked: the table of rules that are easy to get wrong, line by line, and the tables' DDL.

const page = await readFile(new URL('../../docs/segments.md', import.meta.url), 'utf8')
const ROW = /^\| `(\w+)` \| `(.+?)` \| (`.+?`|none) \| (yes|no) \| .+ \|$/gm
const rows = [...page.matchAll(ROW)].map(([line, operator, value = '', trait = '', answer]) => ({
  line,
  operator: operator as Operator,
  value: JSON.parse(value.replaceAll('\\|', '|')) as string | null,
  traits: parseTraits(trait === 'none' ? '{}' : `{"t":${trait.slice(1, -1)}}`),
  isIn: answer === 'yes',
}))

t.test('every line of the table of operators is what the evaluator answers', async t => {
  for (const { line, operator, value, traits, isIn } of rows) {
    const conditions = [{ property: 't', operator, value }]
    const context = { environment: { key: 'e', name: 'E' }, identity: { identifier: 'ada', traits } }
    const segment = { key: 's', name: 'S', rules: [{ type: 'ALL', conditions } as const] }
    t.equal(isContextInSegment(context, segment), isIn, line)
  }
  t.ok(rows.length >= 25, `${rows.length} lines`)
})

t.test('the DDL of both dialects is on the page as it is', async t => {
  for (const { name, schemaDdl } of [new PostgresDialect(), new ClickHouseDialect()]) {
    t.ok(page.includes(`\n${schemaDdl}\n`), name)
  }
})
