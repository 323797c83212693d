import t from 'tap'
import { appOn, both, fill, newPlace, onPostgres, where } from './segments-app.ts'

// What is advised is true: created on the real table, it is used, and the count stays what it was.

const RARE = where('country', 'EQUAL', 'c1')
const OLD = where('age', 'GREATER_THAN', '97')
const COMMON = where('age', 'IS_SET')
const SPLIT = where('', 'PERCENTAGE_SPLIT', '1')
/** Has no SQL; what is left of it has. */
const ATOMIC = both(where('n', 'LESS_THAN', '50'), where('country', 'REGEX', 'c(?>1|2|12)'))
const ODD = where(`it's a "trait"?`, 'IN', [`o'clock`, 'a\\b', '?'], `a key's ? "name"`)

await onPostgres(t, async (t, backend) => {
  t.test('each index and statistic that is advised does what was said of it', async t => {
    const place = newPlace()
    const it = await appOn(t, backend, { place })
    const { segments } = it.app
    await fill(it, place, 20_000, 1_000)
    const asked = [RARE, OLD, COMMON, SPLIT, ATOMIC, where('version', 'EQUAL', '1.3.0:semver')]
    const counts = await Promise.all(asked.map(segment => segments.count(segment)))
    const advice = await segments.adviseIndexes(asked)
    t.match(advice, { sampled: 20_000, rows: 20_000 })
    const helped = (kind: string) =>
      advice.indexes
        .filter(one => one.kind === kind)
        .flatMap(one => one.segments.map(({ segment }) => segment))
    t.same(helped('gin'), [RARE.key])
    t.ok(helped('partial').includes(OLD.key))
    t.ok(helped('partial').includes(ATOMIC.key), 'what is left of it is narrow')
    t.notOk(helped('partial').includes(COMMON.key), 'an index of all rows helps nobody')
    t.notOk(helped('partial').includes(SPLIT.key), 'PostgreSQL has no index on a subquery')
    t.ok(advice.statistics.some(({ segment }) => segment === OLD.key))
    const before = new Map(
      await Promise.all(asked.map(async one => [one.key, await segments.explain(one)] as const)),
    )
    for (const { ddl } of [...advice.indexes, ...advice.statistics]) await it.sql(ddl)
    await it.sql(`analyze ${place}_identities`)
    for (const { kind, ddl, bytes, segments: savings } of advice.indexes) {
      const name = /create index "(.+?)"/.exec(ddl)?.[1] ?? ''
      const [size] = await it.sql<{ bytes: string }>('select pg_relation_size(?::regclass) as bytes', [
        `"${name}"`,
      ])
      const ratio = bytes / Number(size?.bytes)
      t.ok(ratio > 0.3 && ratio < 3, `${kind}: about as large as was said (${ratio.toFixed(2)})`)
      for (const { segment, saves, costBefore, costAfter } of savings) {
        const given = asked.find(({ key }) => key === segment)
        const { plan } = await segments.explain(given ?? RARE)
        t.ok(plan.includes(name), `${segment} uses it`)
        const costOf = (text = '') => Number(/\.\.([\d.]+) rows/.exec(text)?.[1])
        const saved = 1 - costOf(plan) / costOf(before.get(segment)?.plan)
        t.ok(saves >= 0.5 && Math.abs(saved - saves) < 0.15, `${segment}: ${saves} was said, ${saved} it is`)
        t.ok(costAfter < costBefore)
      }
    }
    for (const { segment, rows, rowsBefore, rowsAfter } of advice.statistics) {
      const truth = counts[asked.findIndex(({ key }) => key === segment)] ?? 0
      if (segment !== ATOMIC.key) t.equal(rows, truth)
      t.ok(
        Math.abs(rowsAfter - rows) < Math.abs(rowsBefore - rows),
        `${segment}: ${rowsBefore}, ${rowsAfter}, ${rows}`,
      )
    }
    t.same(
      await Promise.all(asked.map(segment => segments.count(segment))),
      counts,
      'the counts are the same',
    )
    const again = await segments.adviseIndexes(asked)
    t.same([again.indexes, again.statistics], [[], []], 'what is there is not advised again')
  })

  t.test('nothing is left of the trial, and a part of a large table is enough', async t => {
    const place = newPlace()
    const it = await appOn(t, backend, { place })
    const { segments } = it.app
    await fill(it, place, 60_000, 1_000)
    const { sampled, rows, indexes } = await segments.adviseIndexes([RARE, OLD], { rows: 20_000 })
    t.ok(sampled > 15_000 && sampled < 25_000, `${sampled} rows were copied`)
    t.ok(rows > 45_000 && rows < 80_000, `${rows} rows, about`)
    t.same(
      indexes.map(({ kind }) => kind),
      ['gin', 'partial'],
    )
    t.same(await it.sql("select relname from pg_class where relname like 'sqlassist%'"), [])
    const left = await it.sql('select indexname from pg_indexes where tablename = ?', [`${place}_identities`])
    t.equal(left.length, 2, 'the keys of the table')
  })

  t.test('odd names and values are written as they must be', async t => {
    const place = newPlace()
    const it = await appOn(t, backend, { place })
    await fill(it, place, 5_000)
    await it.app.segments.upsertIdentity({ identifier: 'odd', traits: { 'it\'s a "trait"?': '?' } })
    const number = where(`it's a "trait"?`, 'GREATER_THAN', "a\\'?", ODD.key)
    for (const segment of [ODD, number]) {
      const { indexes } = await it.app.segments.adviseIndexes([segment])
      t.equal(indexes.length, 1)
      for (const { ddl } of indexes) await it.sql(ddl)
      t.match((await it.app.segments.explain(segment)).plan, /_identities_/)
    }
    t.equal(await it.app.segments.count(ODD), 1)
    await t.rejects(it.app.segments.adviseIndexes(['nope']), { code: 'SQLA_ERR_SEGMENT_UNKNOWN' })
    t.same((await it.app.segments.adviseIndexes([])).indexes, [])
  })

  t.test('an empty table needs nothing', async t => {
    const { segments } = (await appOn(t, backend)).app
    t.match(await segments.adviseIndexes([RARE, OLD]), { indexes: [], statistics: [], sampled: 0, rows: 0 })
  })
})
