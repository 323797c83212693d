import t from 'tap'
import { Binder } from '../../plugins/segments/binder.ts'
import { PostgresDialect } from '../../plugins/segments/postgres-dialect.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { ENVIRONMENT, segmentOf } from './identities-table.ts'

const dialect = new PostgresDialect()
const growth = segmentOf({ property: 'plan', operator: 'EQUAL', value: 'growth' })
const before = segmentOf({ property: 'plan', operator: 'LESS_THAN', value: 'growth' })

function sqlOf(binder?: Binder, segment = growth): string | undefined {
  const options = { evaluationContext: { environment: ENVIRONMENT }, dialect, ...(binder && { binder }) }
  return translateSegment(segment, options)?.sql
}

t.test('each style writes its own placeholders, with the type beside them', async t => {
  const wanted = ['{"plan":"growth"}', '{"plan":true}']
  const sql = (first: string, second: string) =>
    `((i.traits is not null and (i.traits @> ${first}::jsonb or i.traits @> ${second}::jsonb)))`

  const dollar = new Binder('dollar')
  t.equal(sqlOf(dollar), sql('$1', '$2'))
  t.same(dollar.params, wanted)

  const question = new Binder('question')
  t.equal(sqlOf(question), sql('?', '?'))
  t.same(question.params, wanted)

  const pyformat = new Binder('pyformat')
  t.equal(sqlOf(pyformat), sql('%(p0)s', '%(p1)s'))
  t.same(pyformat.params, { p0: wanted[0], p1: wanted[1] })

  t.equal(sqlOf(), sql(`'${wanted[0]}'`, `'${wanted[1]}'`), 'and without a binder the values are in the SQL')
})

t.test('the style of ClickHouse has the type inside of the placeholder', async t => {
  const binder = new Binder('clickhouse')
  t.equal(binder.bind('a', 'String'), '{p0:String}')
  t.equal(binder.bind('a', 'String'), '{p0:String}')
  t.equal(binder.bind('b', 'String'), '{p1:String}')
  t.same(binder.params, { p0: 'a', p1: 'b' })
})

t.test('numbering goes on from segment to segment, and may begin later', async t => {
  const binder = new Binder('dollar', { after: 3 })
  t.match(sqlOf(binder), /\$4::jsonb.*\$5::jsonb/)
  const second = sqlOf(binder, before) ?? ''
  t.match(second, /\$6::text/)
  t.notMatch(second, /\$[45]/)
  t.equal(binder.params.length, 4)
})

t.test('a value stands once in the parameters, unless the style has no names', async t => {
  const dollar = new Binder('dollar')
  const sql = sqlOf(dollar, before) ?? ''
  t.ok(sql.split('$1::text').length > 3, 'the name of the trait is used several times')
  t.same(dollar.params, ['plan', 'growth'])

  const question = new Binder('question')
  const questions = (sqlOf(question, before) ?? '').split('?').length - 1
  t.equal(questions, question.params.length)
})

t.test('one value of two types is two parameters', async t => {
  const binder = new Binder('dollar')
  t.equal(binder.bind('1', 'text'), '$1')
  t.equal(binder.bind('1', 'numeric'), '$2')
})

t.test('pyformat: other percent signs are doubled', async t => {
  const binder = new Binder('pyformat')
  t.equal(binder.escape('a % b'), 'a %% b')
  t.equal(new Binder('dollar').escape('a % b'), 'a % b')
  const found = translateSegment(growth, {
    evaluationContext: { environment: ENVIRONMENT },
    dialect,
    binder,
    identitiesAlias: '50%',
  })
  t.match(found?.sql, '"50%%".traits @> %(p0)s::jsonb')
})

t.test('a part that is left out binds nothing', async t => {
  const binder = new Binder('dollar')
  const never = { property: 't', operator: 'IN', value: '1.5' } as const
  const found = translateSegment(
    {
      key: 's',
      name: 's',
      rules: [{ type: 'ALL', conditions: [{ property: 't', operator: 'EQUAL', value: 'x' }, never] }],
    },
    { evaluationContext: { environment: ENVIRONMENT }, dialect, binder },
  )
  t.same(found, { sql: '(false)', params: [], exact: true })
})

t.test('a segment without SQL leaves nothing in the binder', async t => {
  const binder = new Binder('dollar')
  const path = { property: '$.identity.traits[?@.x]', operator: 'EQUAL', value: 'x' } as const
  const segment = {
    key: 's',
    name: 's',
    rules: [{ type: 'ALL', conditions: [{ property: 't', operator: 'EQUAL', value: 'x' } as const, path] }],
  } as const
  t.equal(sqlOf(binder, segment), undefined)
  t.same(binder.params, [])
})

t.test('what PostgreSQL takes no more parameters for stands in the SQL', async t => {
  for (const style of ['dollar', 'question'] as const) {
    const binder = new Binder(style, { after: 65_534 })
    const hostile = segmentOf({ property: 'plan', operator: 'EQUAL', value: "wh'at?" })
    const sql = sqlOf(binder, hostile) ?? ''
    t.match(sql, `@> ${style === 'dollar' ? '$65535' : '?'}::jsonb or i.traits @> '{"plan":true}'::jsonb`)
    t.equal(binder.params.length, 1)
    const next = sqlOf(binder, hostile) ?? ''
    t.match(next, style === 'dollar' ? '$65535::jsonb' : `E'{"plan":"wh''at\\x3f"}'::jsonb`)
    t.equal(binder.params.length, 1)
  }
})

t.test('no SQL has a question mark that is no parameter', async t => {
  const operators = [
    ...['EQUAL', 'NOT_EQUAL', 'GREATER_THAN', 'CONTAINS', 'NOT_CONTAINS', 'IN', 'IS_SET', 'MODULO', 'REGEX'],
    'PERCENTAGE_SPLIT',
  ]
  for (const operator of operators) {
    for (const value of ['1', 'a', '1,a', '2|1', '1.0.0:semver']) {
      const binder = new Binder('pyformat')
      t.notMatch(sqlOf(binder, segmentOf({ property: 't', operator, value })) ?? '', '?')
    }
  }
})
