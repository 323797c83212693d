// What compiles, and what does not, of segments. `npm run typecheck` is the test: an unused @ts-expect-error is an error.
import { expectTypeOf } from 'expect-type'
import {
  Binder,
  ClickHouseDialect,
  type Condition,
  type Dialect,
  isContextInSegment,
  type Params,
  PostgresDialect,
  type Rule,
  type SegmentContext,
  type Translation,
  translateSegment,
  translationProblems,
} from '../../plugins/segments/index.ts'

const evaluationContext = { environment: { key: 'e', name: 'Production' } }
const dialect = new PostgresDialect({ version: 16 })
const segment: SegmentContext = {
  key: '1',
  name: 'growth',
  rules: [{ type: 'ALL', conditions: [{ property: 'plan', operator: 'EQUAL', value: 'growth' }] }],
}

expectTypeOf(
  translateSegment(segment, { evaluationContext, dialect }),
).toEqualTypeOf<Translation<true> | null>()
expectTypeOf(
  translateSegment(segment, { evaluationContext, dialect, prefilter: true }),
).toEqualTypeOf<Translation>()
expectTypeOf(translateSegment(segment, { evaluationContext, dialect })?.params).toEqualTypeOf<
  Params | undefined
>()
expectTypeOf(translationProblems(segment, { evaluationContext, dialect })[0]?.reason).toEqualTypeOf<
  string | undefined
>()
expectTypeOf(isContextInSegment(evaluationContext, segment)).toBeBoolean()
expectTypeOf(new ClickHouseDialect()).toExtend<Dialect>()
expectTypeOf(dialect).toExtend<Dialect>()
expectTypeOf(new Binder('dollar').bind('a', 'text')).toEqualTypeOf<string | undefined>()

// @ts-expect-error: there is no such style
void new Binder('colon')
// @ts-expect-error: a typo
void new PostgresDialect({ verson: 16 })
// @ts-expect-error: a dialect is needed
void translateSegment(segment, { evaluationContext })
// @ts-expect-error: there is no such operator
const unknownOperator: Condition = { property: 'a', operator: 'LIKE', value: 'b' }
// @ts-expect-error: there is no such type of rule
const unknownRule: Rule = { type: 'SOME', conditions: [unknownOperator] }
void isContextInSegment(evaluationContext, { ...segment, rules: [unknownRule] })
