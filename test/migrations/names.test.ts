import t from 'tap'
import { committedByDdl } from '../../plugins/migrations/failure.ts'
import { nextTimestamp, partsOf, slugOf } from '../../plugins/migrations/revisions.ts'
import { splitStatements } from '../../plugins/migrations/schema.ts'
import { downgradePath, stampPath, upgradePath } from '../../plugins/migrations/target.ts'

t.test('a message becomes a slug', async t => {
  t.equal(slugOf('Add  authors & "notes"!'), 'add_authors_notes')
  t.equal(slugOf('../../etc/passwd'), 'etc_passwd')
  t.equal(slugOf('Größe ändern'), 'große_andern')
  t.equal(slugOf('!!'), '')
  t.equal(slugOf('x'.repeat(100)).length, 60)
})

t.test('a name has a timestamp and a slug, in our way and in MikroORM’s', async t => {
  t.same(partsOf('20250131120000_add_x'), { timestamp: '20250131120000', slug: 'add_x' })
  t.same(partsOf('Migration20250131120000_AddX'), { timestamp: '20250131120000', slug: 'AddX' })
  t.same(partsOf('Migration20250131120000'), { timestamp: '20250131120000', slug: undefined })
  t.same(partsOf('something'), { timestamp: undefined, slug: undefined })
})

t.test('a new revision is behind the newest, whatever the clock says', async t => {
  const now = new Date('2025-01-31T12:00:00.900Z')
  t.equal(nextTimestamp(now, undefined), '20250131120000')
  t.equal(nextTimestamp(now, '20250131115959_x'), '20250131120000')
  t.equal(nextTimestamp(now, '20250131120000_x'), '20250131120001')
  t.equal(nextTimestamp(now, '20991231235959_x'), '21000101000000')
})

const revisions = ['20250101000000_a', '20250201000000_b', '20250202000000_c', '20250301000000_b']
const place = (...applied: string[]) => ({ engine: 'writer', revisions, applied })
const [a, b, c, d] = revisions as [string, string, string, string]

t.test('where an upgrade goes', async t => {
  t.same(upgradePath(place()), revisions)
  t.same(upgradePath(place(a), '+2'), [b, c])
  t.same(upgradePath(place(a), 'c'), [b, c])
  t.same(upgradePath(place(a), '20250202'), [b, c])
  t.same(upgradePath(place(a), c), [b, c])
  t.same(upgradePath(place(a, c), 'c'), [b], 'one that came late is applied too')
  t.same(upgradePath(place(a, b, c), 'a'), [])
  for (const [to, message] of [
    ['b', /could be 20250201000000_b or 20250301000000_b/],
    ['2025', /could be/],
    ['zzz', /there is 20250101000000_a, /],
    ['-1', /is no target/],
    ['+', /is no target/],
    ['', /is no target/],
  ] as const) {
    t.throws(() => upgradePath(place(), to), { code: 'SQLA_ERR_MIGRATION_TARGET', message }, to)
  }
})

t.test('where a downgrade goes', async t => {
  t.same(downgradePath(place(a, b, c)), [c])
  t.same(downgradePath(place(a, c, b)), [b], 'in the order in which they were applied')
  t.same(downgradePath(place(a, b, c), '-2'), [c, b])
  t.same(downgradePath(place(a, b, c), 'a'), [c, b])
  t.same(downgradePath(place(a, b), 'base'), [b, a])
  t.same(downgradePath(place(a, b), '0'), [b, a])
  t.same(downgradePath(place()), [])
  t.throws(() => downgradePath(place(a), 'c'), { message: /20250202000000_c is not applied/ })
  t.throws(() => downgradePath(place(a), '+1'), { code: 'SQLA_ERR_MIGRATION_TARGET' })
})

t.test('what a stamp marks', async t => {
  t.same(stampPath(place(a)), { mark: [b, c, d], unmark: [] })
  t.same(stampPath(place(a, b, c), 'a'), { mark: [], unmark: [b, c] })
  t.same(stampPath(place('gone', a), 'base'), { mark: [], unmark: ['gone', a] })
})

t.test('statements end at the ends of lines, but not inside literals and bodies', async t => {
  t.same(splitStatements("a 'x;\ny' b;\nc;\n\nd;"), ["a 'x;\ny' b;", 'c;', 'd;'])
  t.same(splitStatements('f as $$ x;\ny;\n$$ z;\nnext'), ['f as $$ x;\ny;\n$$ z;', 'next;'])
  t.same(splitStatements("odd ' quote;\nnext;"), ["odd ' quote;\nnext;"], 'nothing is lost')
  t.same(splitStatements(' \n'), [])
})

t.test('what MySQL has committed when a statement fails', async t => {
  t.equal(committedByDdl(['create table a (b int)', 'insert', 'bad']), 1)
  t.equal(committedByDdl(['insert', 'alter table fails']), 1)
  t.equal(committedByDdl(['insert', 'update fails']), 0)
  t.equal(committedByDdl(['drop table fails']), 0)
})
