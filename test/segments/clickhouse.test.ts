import fc from 'fast-check'
import t from 'tap'
import { ClickHouseDialect } from '../../plugins/segments/clickhouse-dialect.ts'
import { clickHouseText, isStorable } from '../../plugins/segments/literals.ts'
import type { Identity, SegmentContext, Traits } from '../../plugins/segments/segment.ts'
import { stringifyTraits } from '../../plugins/segments/traits-json.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { openClickHouse } from './chdb-session.ts'
import { identity, segment } from './generated.ts'
import { HOSTILE_IDENTITIES, HOSTILE_SEGMENTS } from './hostile-texts.ts'
import { ENVIRONMENT, evaluated } from './identities-table.ts'
import { matrixPairs, type Pair } from './matrix.ts'

const clickHouse = openClickHouse()
const dialect = new ClickHouseDialect()

if (clickHouse === undefined) {
  t.comment('SKIPPED: chdb is not installed and CHDB_PATH is not set, so nothing of this ran on ClickHouse')
  t.pass('skipped: no chdb')
} else {
  const query = (sql: string) => clickHouse.query(sql, 'TabSeparated')
  query(
    'set allow_experimental_json_type = 1, input_format_try_infer_dates = 0, input_format_try_infer_datetimes = 0',
  )
  query('create database if not exists segments')
  query('use segments')
  query(dialect.schemaDdl)

  const store = (identities: readonly Identity[]) => {
    query('truncate table IDENTITIES')
    const rows = identities.map(({ identifier, key, traits }, id) =>
      [
        `'e'`,
        id,
        clickHouseText(identifier),
        clickHouseText(key ?? ''),
        clickHouseText(stringifyTraits(traits ?? {})),
      ].join(', '),
    )
    query(`insert into IDENTITIES values ${rows.map(row => `(${row})`).join(', ')}`)
  }
  const translated = (segment: SegmentContext) =>
    translateSegment(segment, { evaluationContext: { environment: ENVIRONMENT }, dialect })?.sql
  /** For each segment the verdicts of the rows; undefined where there is no SQL. */
  const verdicts = (segments: readonly SegmentContext[]) => {
    const conditions = segments.map(translated)
    const columns = conditions
      .filter(sql => sql !== undefined)
      .map(sql => `multiIf((${sql}) is null, 'N', ${sql}, 't', 'f')`)
    const rows = query(`select concat('', ${columns.join(', ')}) from IDENTITIES i order by id`)
      .trimEnd()
      .split('\n')
    let column = 0
    return conditions.map(sql => {
      if (sql === undefined) return undefined
      const index = column++
      return rows.map(row => row[index]).join('')
    })
  }
  const AT_ONCE = 20

  t.test('the verdicts of the reference engine', async t => {
    const TRAITS = 77
    const pairs = matrixPairs()
    // The column takes no integers beyond 64 bits.
    const rows = [...Array(TRAITS).keys()].filter(
      row => !/123456789012345678901|1e\+20/.test((pairs[row] as Pair).title),
    )
    store(rows.map(row => pairs[row]?.context.identity as Identity))
    const wrong: string[] = []
    let declined = 0
    for (let from = 0; from < pairs.length; from += TRAITS * AT_ONCE) {
      const firsts = [...Array(AT_ONCE).keys()]
        .map(index => from + index * TRAITS)
        .filter(at => at < pairs.length)
      const found = verdicts(firsts.map(at => (pairs[at] as Pair).segment))
      declined += found.filter(of => of === undefined).length
      for (const [column, at] of firsts.entries()) {
        for (const [index, row] of rows.entries()) {
          const { title, verdict, exception } = pairs[at + row] as Pair
          const got = found[column]?.[index]
          if (got === undefined || exception !== undefined) continue
          if (got !== (verdict === '1' ? 't' : 'f')) wrong.push(`${title}: ${got}`)
        }
      }
    }
    t.same(wrong.slice(0, 40), [])
    t.comment(`${declined} of ${pairs.length / TRAITS} segments have no SQL`)
    t.ok(declined < 45)
  })

  t.test('hostile texts, inlined', async t => {
    query('create table canary (sings Bool) engine = Memory')
    const identities = HOSTILE_IDENTITIES.filter(({ traits }) => isKept(traits ?? {}))
    store(identities)
    const before = query('select count(), sum(cityHash64(*)) from IDENTITIES')
    const wrong: string[] = []
    let asked = 0
    for (let from = 0; from < HOSTILE_SEGMENTS.length; from += AT_ONCE) {
      const segments = HOSTILE_SEGMENTS.slice(from, from + AT_ONCE)
      const found = verdicts(segments)
      for (const [row, identity] of identities.entries()) {
        const expected = evaluated(identity, segments)
        for (const [index, of] of segments.entries()) {
          const got = found[index]?.[row]
          if (got === undefined) continue
          asked++
          if (got !== expected[index]) wrong.push(JSON.stringify({ segment: of, identity, got }))
        }
      }
    }
    t.same(wrong.slice(0, 5), [])
    t.ok(asked > 10_000, `${asked} pairs`)
    t.equal(query('select count(), sum(cityHash64(*)) from IDENTITIES'), before)
    t.equal(
      query(`select name from system.tables where database = 'segments' order by name`),
      'IDENTITIES\ncanary\n',
    )
    t.ok(identities.every(({ identifier }) => isStorable(identifier)))
  })

  t.test('random segments and identities', async t => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    let asked = 0
    let members = 0
    const some = fc.asyncProperty(
      fc.array(segment, { minLength: AT_ONCE, maxLength: AT_ONCE }),
      fc.array(identity, { minLength: AT_ONCE, maxLength: AT_ONCE }),
      async (segments, identities) => {
        const kept = identities.filter(({ traits }) => isKept(traits ?? {}))
        if (kept.length === 0) return
        store(kept)
        const found = verdicts(segments)
        for (const [row, one] of kept.entries()) {
          const expected = evaluated(one, segments)
          for (const [index, of] of segments.entries()) {
            const got = found[index]?.[row]
            if (got === undefined) continue
            asked++
            if (got === 't') members++
            if (got !== expected[index]) {
              throw new Error(JSON.stringify({ segment: of, identity: one, got, sql: translated(of) }))
            }
          }
        }
      },
    )
    await fc.assert(some, { numRuns: 40, seed, interruptAfterTimeLimit: 30_000 })
    t.comment(`seed ${seed}: ${asked} pairs, ${members} members`)
    t.ok(asked > 4_000)
  })
}

/** What the column keeps as it is: no numbers with exponents or beyond 64 bits, no names with dots, no empty objects. */
function isKept(traits: Traits): boolean {
  const isName = (name: string) => name !== '' && !/[.:^]/.test(name)
  const json = stringifyTraits(traits)
  return Object.keys(traits).every(isName) && !/:-?[0-9]{19}|:-?[0-9.]+e|:\{|:\[\{|:\{\}/.test(json)
}
