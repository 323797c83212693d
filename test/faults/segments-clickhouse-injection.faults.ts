import t from 'tap'
import { Binder } from '../../plugins/segments/binder.ts'
import type { SegmentContext } from '../../plugins/segments/segment.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { conditionsOf, dialect, onClickHouse } from '../segments/clickhouse.ts'
import { HOSTILE_IDENTITIES, HOSTILE_SEGMENTS } from '../segments/hostile-texts.ts'
import { ENVIRONMENT, evaluated, segmentOf } from '../segments/identities-table.ts'

const AT_ONCE = 40

await onClickHouse(t, async (t, clickHouse) => {
  const contents = () =>
    clickHouse.query(`select (select count() from canary), (select sum(cityHash64(*)) from IDENTITIES),
      (select arraySort(groupArray(name)) from system.tables where database = 'segments')`)

  clickHouse.query('create table canary (sings Bool) engine = Memory')
  clickHouse.query('insert into canary values (true)')
  clickHouse.store(HOSTILE_IDENTITIES)
  const before = contents()

  for (const mode of ['inlined', 'bound']) {
    t.test(`hostile texts, ${mode}`, async t => {
      const wrong: string[] = []
      let asked = 0
      // Binding is slow in chdb. 3 has no divisor in common with the number of segments for each text.
      const all = HOSTILE_SEGMENTS.filter((_, index) => mode === 'inlined' || index % 3 === 0)
      for (let from = 0; from < all.length; from += AT_ONCE) {
        const binder = mode === 'bound' ? new Binder('clickhouse') : undefined
        const segments: SegmentContext[] = []
        const conditions: string[] = []
        for (const segment of all.slice(from, from + AT_ONCE)) {
          const [condition] = conditionsOf([segment], binder)
          if (condition === undefined) continue
          segments.push(segment)
          conditions.push(condition)
        }
        const found = clickHouse.verdicts(conditions, binder)
        for (const [row, identity] of HOSTILE_IDENTITIES.entries()) {
          const expected = evaluated(identity, segments)
          asked += segments.length
          if (found[row] !== expected) wrong.push(differences(segments, expected, found[row] ?? ''))
        }
      }
      t.same(wrong.slice(0, 5), [])
      t.ok(asked > (all.length * HOSTILE_IDENTITIES.length) / 2, `${asked} pairs`)
      t.equal(contents(), before, 'nothing has changed')
    })
  }

  t.test('the backslash that breaks out of the original', async t => {
    const value = "\\' or true --"
    const everybody = clickHouse.query('select count() from IDENTITIES')
    const count = (condition: string) =>
      clickHouse.query(`select count() from IDENTITIES i where ${condition}`)
    t.equal(count(`i.identifier = '${value.replaceAll("'", "''")}'`), everybody, 'so it is broken out of')
    const segment = segmentOf({ property: '$.identity.identifier', operator: 'EQUAL', value })
    const [condition] = conditionsOf([segment])
    t.equal(count(condition as string), '0\n')
  })

  t.test('names of the table in the query', async t => {
    const segment = segmentOf({ property: 't', operator: 'EQUAL', value: '`' })
    for (const identitiesAlias of [
      'i',
      'I i',
      '`',
      '\\`',
      '"',
      '\\"',
      'a.b',
      '{p0:String}',
      'nul\0',
      'half\ud800',
      "'",
    ]) {
      const where = translateSegment(segment, {
        evaluationContext: { environment: ENVIRONMENT },
        dialect,
        identitiesAlias,
      })
      const name = dialect.identifier(identitiesAlias)
      t.equal(clickHouse.query(`select count() from IDENTITIES as ${name} where ${where?.sql}`), '1\n', name)
    }
  })

  t.test('the name of a type is declined', async t => {
    const segment = segmentOf({ property: 't.:`String`', operator: 'EQUAL', value: "'" })
    t.same(conditionsOf([segment]), [undefined])
  })
})

function differences(segments: readonly SegmentContext[], expected: string, got: string): string {
  const wrong = segments.filter((_, index) => expected[index] !== got[index])
  return JSON.stringify(wrong)
}
