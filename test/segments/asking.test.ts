import t from 'tap'
import { extrapolated } from '../../plugins/segments/estimate.ts'
import { isContextInSegment } from '../../plugins/segments/evaluate.ts'
import type { SegmentContext, Traits } from '../../plugins/segments/segment.ts'
import type { Segments } from '../../plugins/segments/segments.ts'
import { appOn, both, ENVIRONMENT, fill, newPlace, onPostgres, where } from './segments-app.ts'

// How many are in a segment, and who.

/** Has no SQL: PostgreSQL knows no atomic groups. */
const ATOMIC = where('country', 'REGEX', 'c(?>1|2|12)$')
const RARE = where('country', 'EQUAL', 'c1')
const OLD = where('age', 'GREATER_THAN', '97')
const NOBODY = where('age', 'GREATER_THAN', '1000')
const ALL: readonly SegmentContext[] = [
  RARE,
  OLD,
  NOBODY,
  ATOMIC,
  both(ATOMIC, OLD),
  where('', 'PERCENTAGE_SPLIT', '30'),
  where('version', 'GREATER_THAN', '1.4.0:semver'),
  { key: 'empty', name: 'empty', rules: [] },
]

async function everybody(segments: Segments, segment: SegmentContext, limit: number): Promise<string[]> {
  const found: string[] = []
  let after: string | undefined
  do {
    const page = await segments.members(segment, { limit, after })
    found.push(...page.identities.map(({ identifier }) => identifier))
    after = page.next ?? undefined
  } while (after !== undefined)
  return found
}

await onPostgres(t, async (t, backend) => {
  const place = newPlace()
  const it = await appOn(t, backend, { place, segments: [{ ...OLD, key: 'defined' }] })
  const { segments } = it.app
  await fill(it, place, 3_000)
  const people: { identifier: string; traits: Traits }[] = await it.sql(
    `select identifier, traits from ${place}_identities order by id`,
  )
  const expected = (segment: SegmentContext): string[] =>
    people
      .filter(({ identifier, traits }) =>
        isContextInSegment({ environment: ENVIRONMENT, identity: { identifier, traits } }, segment),
      )
      .map(({ identifier }) => identifier)

  t.test('one at a time and all at once, the counts are those of the evaluator', async t => {
    const counts = ALL.map(segment => expected(segment).length)
    t.ok((counts[3] ?? 0) > 500, 'also where there is no SQL')
    t.equal((await segments.explain(ATOMIC)).exact, false)
    for (const [index, segment] of ALL.entries())
      t.equal(await segments.count(segment), counts[index], segment.key)
    t.same(
      (await segments.countMany(ALL)).map(({ count }) => count),
      counts,
    )
    t.same(await segments.countMany([]), [])
    t.equal((await segments.countMany(Array.from({ length: 450 }, () => OLD))).at(-1)?.count, counts[1])
  })

  t.test('many counts are one scan, and one more for all that need the evaluator', async t => {
    const sent: string[] = []
    const { orm } = it.app.sqlAssist.engines.get('writer')
    const connection = orm.em.getConnection()
    const { execute } = connection
    connection.execute = function (this: typeof connection, query: never, ...rest: never[]) {
      sent.push(String(query))
      return execute.call(this, query, ...rest)
    } as never
    t.teardown(() => {
      connection.execute = execute
    })
    await segments.countMany([RARE, OLD, NOBODY])
    t.equal(sent.filter(query => query.includes('_identities')).length, 1)
    sent.length = 0
    await segments.countMany([RARE, ATOMIC, both(ATOMIC, OLD), OLD])
    t.equal(sent.filter(query => query.includes('filter (where')).length, 1)
    t.equal(
      sent.filter(query => query.includes('order by i.id limit')).length,
      2,
      'one pass, in batches of 2,000',
    )
  })

  t.test('what is wrong with one segment is said of that one', async t => {
    await segments.saveSegment({ ...RARE, key: 'saved' })
    const bad = where('age', 'LIKE' as never, '1')
    const counts = await segments.countMany([bad, 'saved', 'nope', RARE, 'defined', ATOMIC])
    t.match(counts, [
      { segment: bad, error: { code: 'SQLA_ERR_SEGMENT_INVALID', message: /rules\[0\]\.conditions\[0\]/ } },
      { segment: 'saved', count: expected(RARE).length },
      { segment: 'nope', error: { code: 'SQLA_ERR_SEGMENT_UNKNOWN', statusCode: 404 } },
      { segment: RARE, count: expected(RARE).length },
      { segment: 'defined', count: expected(OLD).length },
      { segment: ATOMIC, count: expected(ATOMIC).length },
    ])
    for (const ask of ['count', 'members', 'estimate', 'explain'] as const) {
      await t.rejects(async () => segments[ask](bad), { code: 'SQLA_ERR_SEGMENT_INVALID' })
      await t.rejects(async () => segments[ask]('nope'), { code: 'SQLA_ERR_SEGMENT_UNKNOWN' })
    }
  })

  t.test('pages have everybody once, in the order of the ids', async t => {
    for (const segment of ALL) {
      for (const limit of [7, 100, 3_000]) {
        if (limit === 7 && expected(segment).length > 300) continue
        t.same(await everybody(segments, segment, limit), expected(segment), `${segment.key}, ${limit}`)
      }
    }
    t.equal((await segments.members(RARE)).identities.length, 100)
    t.match(await segments.members(NOBODY), { identities: [], next: null })
    const exactly = expected(RARE).length
    t.equal((await segments.members(RARE, { limit: exactly })).next, null, 'a last page that is full')
  })

  t.test('the last page reads no more of the table than the first', async t => {
    const last = people.length - 200
    const { sql, params } = await segments.explain(where('n', 'IS_SET'))
    const page = sql.replace('count(*) as count', 'i.id').concat(' and i.id > ? order by i.id limit 100')
    const [row] = await it.sql<{ id: string }>(
      `select id from ${place}_identities order by id offset ? limit 1`,
      [last],
    )
    const buffers = async (after: string): Promise<number> => {
      const plan = await it.sql<{ 'QUERY PLAN': string }>(`explain (analyze, buffers, costs off) ${page}`, [
        ...params,
        after,
      ])
      const said = plan.map(one => one['QUERY PLAN']).join('\n')
      t.match(said, /Index Scan using \S+_identities_pkey/)
      return Number(/shared hit=(\d+)/.exec(said)?.[1])
    }
    const first = await buffers('0')
    const atEnd = await buffers(String(row?.id))
    t.ok(atEnd <= first + 3, `${first} blocks for the first page, ${atEnd} for the last`)
  })

  t.test('options that cannot be are refused', async t => {
    const refused = { code: 'SQLA_ERR_INVALID_OPTION' }
    for (const limit of [0, -1, 1.5, 10_001, '5', null]) {
      await t.rejects(segments.members(RARE, { limit: limit as never }), refused)
      await t.rejects(segments.membersOf('saved', { limit: limit as never }), refused)
    }
    for (const after of ['x', '', '1; drop table x', '-1', '9'.repeat(30)]) {
      await t.rejects(segments.members(RARE, { after }), refused)
    }
    for (const size of [0, 1.5, 10_001]) await t.rejects(segments.sample(RARE, size), refused)
    for (const blocks of [0, 9, 1.5]) await t.rejects(segments.estimate(RARE, { blocks }), refused)
    for (const rows of [0, 999, 1.5, 2e6]) await t.rejects(segments.adviseIndexes([RARE], { rows }), refused)
  })

  t.test('a sample has members only, and every member has the same chance', async t => {
    for (const segment of [OLD, both(ATOMIC, where('n', 'LESS_THAN', '150'))]) {
      const members = expected(segment)
      const times = new Map<string, number>()
      const rounds = 60
      for (let round = 0; round < rounds; round += 1) {
        const chosen = (await segments.sample(segment, Math.ceil(members.length / 2))).map(
          one => one.identifier,
        )
        t.equal(new Set(chosen).size, Math.ceil(members.length / 2))
        for (const one of chosen) times.set(one, (times.get(one) ?? 0) + 1)
      }
      t.same(
        [...times.keys()].filter(one => !members.includes(one)),
        [],
      )
      // Of 60 rounds each member is in 30; the standard deviation is 3.9.
      const counts = members.map(one => times.get(one) ?? 0)
      t.ok(
        Math.min(...counts) >= 8 && Math.max(...counts) <= 52,
        `${Math.min(...counts)} to ${Math.max(...counts)}`,
      )
      t.equal((await segments.sample(segment, 5_000)).length, members.length)
    }
    t.same(await segments.sample(NOBODY, 3), [])
  })

  t.test('a small table is counted rather than estimated', async t => {
    for (const segment of [OLD, ATOMIC]) {
      t.same(await segments.estimate(segment), {
        count: expected(segment).length,
        error: 0,
        sampled: 3_000,
        exact: true,
      })
    }
  })

  t.test('an estimate is within its error in 19 of 20 cases', async t => {
    const large = newPlace()
    const that = await appOn(t, backend, { place: large })
    await fill(that, large, 20_000)
    // In the order of the rows: whole blocks are alike.
    const cases = [
      OLD,
      RARE,
      where('n', 'LESS_THAN', '5000'),
      where('n', 'EQUAL', '17'),
      where('n', 'IS_SET'),
      NOBODY,
    ]
    for (const segment of cases) {
      const truth = await that.app.segments.count(segment)
      let within = 0
      for (let round = 0; round < 30; round += 1) {
        const { count, error, exact, sampled } = await that.app.segments.estimate(segment, { blocks: 60 })
        if (exact || sampled > 10_000) t.fail('it looked at too much')
        if (Math.abs(count - truth) <= error) within += 1
      }
      // 28.5 are expected; fewer than 22 have a chance of one in ten thousand.
      t.ok(within >= 22, `${segment.key}: ${within} of 30`)
    }
    const some = await that.app.segments.estimate(where('country', 'REGEX', 'c(?>1|2|12)$'), { blocks: 100 })
    t.ok(
      Math.abs(some.count - 8_000) <= 2 * some.error && some.error < 2_000,
      `${some.count} ± ${some.error}`,
    )
    await that.sql(
      `delete from ${large}_identities where traits @> '{"country":"c1"}' or id between 2000 and 15000`,
    )
    await that.sql(`analyze ${large}_identities`)
    const left = await that.app.segments.count(RARE)
    t.equal(left, 0)
    const sparse = where('n', 'IS_SET')
    const truth = await that.app.segments.count(sparse)
    const { count, error } = await that.app.segments.estimate(sparse, { blocks: 100 })
    t.ok(Math.abs(count - truth) <= 2 * error, `a table full of holes: ${count} ± ${error} of ${truth}`)
  })

  t.test('the plan is shown, and nothing is run', async t => {
    const { sql, params, plan, exact } = await segments.explain(RARE)
    t.match(plan, /Aggregate/)
    t.notMatch(plan, /actual/)
    t.equal(exact, true)
    t.match(await it.sql(sql, params), [{ count: String(expected(RARE).length) }])
  })

  t.test('nothing is compiled before it is run', async t => {
    const [server] = await it.sql<{ jit: boolean }>('select pg_jit_available() as jit')
    if (!server?.jit) return t.comment('skipped: this PostgreSQL has no JIT')
    const alter = (what: string) =>
      it.sql(`do $$ begin execute format('alter database %I ${what}', current_database()); end $$`)
    await alter('set jit_above_cost = 0')
    t.teardown(() => alter('reset jit_above_cost'))
    const eager = await appOn(t, backend, { place })
    const { sql, params, plan } = await eager.app.segments.explain(RARE)
    const plain = await eager.sql<{ 'QUERY PLAN': string }>(`explain ${sql}`, params)
    t.match(plain.map(row => row['QUERY PLAN']).join('\n'), /JIT:/, 'it would be')
    t.notMatch(plan, /JIT:/)
  })
})

t.test('what an estimate makes of a sample', async t => {
  const alike = { blocks: 100, rows: 4_000, hits: 2_000, squares: 100 * 20 * 20 }
  t.match(extrapolated(alike, 1_000, 0.1), { count: 20_000, error: 20, sampled: 4_000, exact: false })
  const none = extrapolated({ blocks: 100, rows: 4_000, hits: 0, squares: 0 }, 1_000, 0.1)
  t.match(none, { count: 0 })
  t.ok(none.error >= 30, 'three in the sample would have been no wonder')
  const holes = extrapolated(
    { ...alike, blocks: 20, rows: 800, hits: 400, squares: 20 * 20 * 20 },
    1_000,
    0.1,
  )
  t.equal(holes.count, 4_000)
  t.ok(holes.error > 1_000)
})
