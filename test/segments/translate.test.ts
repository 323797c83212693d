import t from 'tap'
import type { PythonRegex } from '../../plugins/segments/index.ts'
import {
  Binder,
  type Condition,
  PostgresDialect,
  type Rule,
  type SegmentContext,
  translateSegment,
  translationProblems,
} from '../../plugins/segments/index.ts'
import { evaluated, onEveryPostgres, segmentOf, store, verdicts } from './identities-table.ts'

const dialect = new PostgresDialect()
const evaluationContext = { environment: { key: 'e', name: 'Production' } }

function sqlOf(condition: Condition): string | undefined {
  return translateSegment(segmentOf({ ...condition }), { evaluationContext, dialect })?.sql
}

function ofRules(...rules: Rule[]): SegmentContext {
  return { key: 'seg', name: 'seg', rules }
}

const equal = { property: 't', operator: 'EQUAL', value: 'a' } as const
const filtered = { property: '$.identity.traits[?@.x]', operator: 'EQUAL', value: 'a' } as const

class WithoutRegex extends PostgresDialect {
  override regex(_regex: PythonRegex): { declined: string } {
    return { declined: 'this database has none' }
  }
}

t.test('what is decided before any row is looked at is a constant', async t => {
  t.equal(translateSegment(ofRules(), { evaluationContext, dialect })?.sql, '(false)')
  t.equal(translateSegment(ofRules({ type: 'ALL' }), { evaluationContext, dialect })?.sql, '(true)')
  t.equal(sqlOf({ property: 't', operator: 'MODULO', value: '0|0' }), '(false)')
  t.equal(sqlOf({ property: 't', operator: 'IN', value: '1.5,01' }), '(false)')
  t.equal(sqlOf({ property: 'nul\0', operator: 'EQUAL', value: 'a' }), '(false)')
  t.equal(sqlOf({ property: 'nul\0', operator: 'IS_NOT_SET' }), '(true)')
})

t.test('the path to the environment is looked up once, and not in the rows', async t => {
  const matching = sqlOf({ property: '$.environment.name', operator: 'EQUAL', value: 'Production' })
  t.match(matching, `or (i.traits ->> '$.environment.name'::text) is null))`)
  const other = sqlOf({ property: '$.environment.name', operator: 'EQUAL', value: 'Staging' })
  t.notMatch(other, ' is null', 'then only a trait that is called like the path is left')
})

t.test('equality with a text is written so that an index serves it', async t => {
  t.equal(
    sqlOf({ property: 'plan', operator: 'EQUAL', value: 'growth' }),
    `((i.traits is not null and (i.traits @> '{"plan":"growth"}'::jsonb or i.traits @> '{"plan":true}'::jsonb)))`,
  )
  t.notMatch(sqlOf({ property: 'plan', operator: 'EQUAL', value: '42' }), '@>', 'a text "042" is 42 as well')
  t.match(sqlOf({ property: 'plan', operator: 'IN', value: 'a,b' }), '@>')
  t.notMatch(sqlOf({ property: 'plan', operator: 'IN', value: 'a,42' }), '@>')
})

t.test('the alias of the table is quoted where it must be', async t => {
  const aliased = (identitiesAlias: string) =>
    translateSegment(segmentOf(equal), { evaluationContext, dialect, identitiesAlias })?.sql
  t.match(aliased('people'), 'people.traits @>')
  t.match(aliased('My "table"'), '"My ""table""".traits @>')
  t.match(aliased('nul\0'), 'nul.traits @>')
})

t.test('a part without SQL: null, and the reason beside its place', async t => {
  const segment = ofRules({ type: 'ALL', conditions: [equal, filtered] })
  t.equal(translateSegment(segment, { evaluationContext, dialect }), null)
  t.match(translationProblems(segment, { evaluationContext, dialect }), [
    { at: 'rules[0].conditions[1]', reason: /leads to another place for each identity/ },
  ])
  t.same(translationProblems(segmentOf(equal), { evaluationContext, dialect }), [])
})

t.test('the reasons are those of whoever declined', async t => {
  const reasonOf = (condition: Condition, key = 'seg') =>
    translationProblems(segmentOf({ ...condition }, key), {
      evaluationContext,
      dialect: new WithoutRegex(),
    })[0]?.reason
  t.equal(reasonOf({ property: 't', operator: 'REGEX', value: 'a' }), 'this database has none')
  t.match(reasonOf({ property: 't', operator: 'PERCENTAGE_SPLIT', value: '5' }, 'nul\0'), 'has a NUL')
  const long = `1.0.0-${'a'.repeat(101)}:semver`
  t.match(reasonOf({ property: 't', operator: 'EQUAL', value: long }), 'longer than 100 characters')
})

t.test('a prefilter leaves the part out, in whichever direction finds all members', async t => {
  const declined = { property: 't', operator: 'REGEX', value: 'a' } as const
  const prefilter = (rule: Rule) =>
    translateSegment(ofRules(rule), { evaluationContext, dialect: new WithoutRegex(), prefilter: true })
  const wanted = translateSegment(segmentOf(equal), { evaluationContext, dialect })?.sql
  t.same(prefilter({ type: 'ALL', conditions: [equal, declined] }), { sql: wanted, params: [], exact: false })
  t.same(prefilter({ type: 'ANY', conditions: [equal, declined] }), {
    sql: '(true)',
    params: [],
    exact: false,
  })
  t.same(prefilter({ type: 'NONE', conditions: [declined] }), { sql: '(true)', params: [], exact: false })
  t.match(prefilter({ type: 'NONE', conditions: [equal, declined] }), { exact: false, sql: /^\(not \(/ })
  t.match(
    prefilter({
      type: 'NONE',
      rules: [
        { type: 'NONE', conditions: [declined] },
        { type: 'ALL', conditions: [equal] },
      ],
    }),
    { exact: false, sql: /^\(not \(/ },
  )
  t.match(prefilter({ type: 'ALL', conditions: [equal] }), { exact: true })
})

await onEveryPostgres(t, async (t, { client, dialect }) => {
  const identities = [
    { identifier: 'a', traits: { t: 'c4999' } },
    { identifier: 'b', traits: { t: 'x' } },
    { identifier: 'c', traits: {} },
  ]
  await store(client, identities)

  t.test('5,000 conditions', async t => {
    const conditions = Array.from({ length: 5_000 }, (_, index): Condition => {
      const operator = index % 2 === 0 ? 'CONTAINS' : 'EQUAL'
      return { property: 't', operator, value: `c${index}` }
    })
    for (const type of ['ANY', 'ALL', 'NONE'] as const) {
      const segment = ofRules({ type, conditions })
      for (const binder of [undefined, new Binder('dollar')]) {
        const begin = performance.now()
        const found = translateSegment(segment, { evaluationContext, dialect, ...(binder && { binder }) })
        const took = performance.now() - begin
        t.ok(took < 1_000, `translated in ${Math.round(took)} ms`)
        const rows = await verdicts(client, [found?.sql ?? ''], (binder?.params as string[]) ?? [])
        t.same(
          rows,
          identities.map(identity => evaluated(identity, [segment])),
        )
      }
    }
  })

  t.test('rules as deep as they are read', async t => {
    for (const type of ['ALL', 'ANY', 'NONE'] as const) {
      let rule: Rule = { type, conditions: [equal] }
      for (let depth = 1; depth < 500; depth++) rule = { type, conditions: [equal], rules: [rule] }
      const found = translateSegment(ofRules(rule), { evaluationContext, dialect })
      t.same(
        await verdicts(client, [found?.sql ?? '']),
        identities.map(identity => evaluated(identity, [ofRules(rule)])),
      )
    }
    let deeper: Rule = { type: 'ALL', conditions: [equal] }
    for (let depth = 0; depth < 100_000; depth++) deeper = { type: 'ALL', rules: [deeper] }
    t.equal(translateSegment(ofRules(deeper), { evaluationContext, dialect }), null)
    t.match(translationProblems(ofRules(deeper), { evaluationContext, dialect }), [{ reason: /deeper/ }])
    t.match(translateSegment(ofRules(deeper), { evaluationContext, dialect, prefilter: true }), {
      exact: false,
    })
  })

  t.test('traits that are NULL, or no object, are no traits', async t => {
    await client.query('alter table identities alter column traits drop not null')
    await client.query('truncate identities')
    const rows = ['null', `'null'`, `'[]'`, `'["t", {"t":"a"}]'`, `'{"t":["a"]}'`, `'"t"'`, `'5'`]
    for (const [id, traits] of rows.entries()) {
      await client.query(`insert into identities values ('e', ${id}, 'i${id}', '', ${traits})`)
    }
    const conditions = [
      { operator: 'EQUAL', value: 'a' },
      { operator: 'NOT_EQUAL', value: 'b' },
      { operator: 'LESS_THAN', value: '5' },
      { operator: 'CONTAINS', value: 'a' },
      { operator: 'NOT_CONTAINS', value: 'b' },
      { operator: 'IN', value: 'a,1' },
      { operator: 'IN', value: 'a,t' },
      { operator: 'MODULO', value: '2|0' },
      { operator: 'PERCENTAGE_SPLIT', value: '100' },
      { operator: 'PERCENTAGE_SPLIT', value: '99' },
      { operator: 'EQUAL', value: '1.0.0:semver' },
    ]
    const plain = conditions.map(condition => segmentOf({ property: 't', ...condition }))
    const negated = plain.map(({ rules }) => ofRules({ type: 'NONE', rules: [...(rules ?? [])] }))
    const sqls = [...plain, ...negated].map(
      segment => translateSegment(segment, { evaluationContext, dialect })?.sql,
    )
    const expected = 'f'.repeat(plain.length) + 't'.repeat(plain.length)
    t.same(
      await verdicts(client, sqls as string[]),
      rows.map(() => expected),
    )
  })
})
