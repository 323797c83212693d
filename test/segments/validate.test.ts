import t from 'tap'
import { errors } from '../../plugins/segments/errors.ts'
import type { Condition, Rule, SegmentContext } from '../../plugins/segments/segment.ts'
import { DEEPEST_RULE, MOST_CONDITIONS, validateSegment } from '../../plugins/segments/validate.ts'

/** What is said of a segment; undefined when it is valid. */
function refusal(segment: unknown): string | undefined {
  try {
    validateSegment(segment as SegmentContext)
    return undefined
  } catch (error) {
    if (!(error instanceof errors.SQLA_ERR_SEGMENT_INVALID)) throw error
    return error.message
  }
}

const valid: Condition = { property: 'age', operator: 'IS_SET' }

/** What is said of the second condition of the first rule. */
function refusalOf(condition: unknown): string | undefined {
  return refusal({
    key: '1',
    name: 'adults',
    rules: [{ type: 'ALL', conditions: [valid, condition as Condition] }],
  })
}

t.test('valid segments', async t => {
  t.equal(refusal({ key: '1', name: '' }), undefined, 'without rules: nobody is in it')
  t.equal(refusal({ key: '1', name: 'a', rules: null }), undefined)
  t.equal(
    refusal({ key: '1', name: 'a', rules: [{ type: 'NONE', conditions: null, rules: null }] }),
    undefined,
  )
  const conditions: readonly unknown[] = [
    { property: 'a', operator: 'EQUAL', value: '' },
    { property: 'a', operator: 'EQUAL', value: '1.0.0-rc.1:semver' },
    { property: '$.identity.key', operator: 'NOT_EQUAL', value: 'x' },
    { property: '$. no path', operator: 'CONTAINS', value: 'x' },
    { property: 'a', operator: 'IN', value: 'a,b' },
    { property: 'a', operator: 'IN', value: ['a', 1, null] },
    { property: 'a', operator: 'IN', value: [] },
    { property: 'a', operator: 'IS_SET', value: '' },
    { property: 'a', operator: 'IS_NOT_SET', value: null },
    { property: 'a', operator: 'IS_NOT_SET' },
    { property: 'a', operator: 'MODULO', value: '2.5|-1' },
    { property: 'a', operator: 'PERCENTAGE_SPLIT', value: '0.1' },
    { property: '', operator: 'PERCENTAGE_SPLIT', value: '100' },
    { property: null, operator: 'PERCENTAGE_SPLIT', value: ' 1e1 ' },
    { operator: 'PERCENTAGE_SPLIT', value: '0' },
    { property: 'a', operator: 'REGEX', value: '^a+(?i:b)?$' },
  ]
  for (const condition of conditions) t.equal(refusalOf(condition), undefined, JSON.stringify(condition))
})

t.test('a condition is named by its path, with what is wrong', async t => {
  const refusals: readonly (readonly [condition: unknown, problem: RegExp])[] = [
    [null, /is not an object/],
    ['a', /is not an object/],
    [[], /is not an object/],
    [{ property: 'a', operator: 'LIKE', value: 'x' }, /has the unknown operator 'LIKE'/],
    [{ property: 'a', operator: 'equal', value: 'x' }, /unknown operator 'equal'/],
    [{ property: 'a', operator: 'toString', value: 'x' }, /unknown operator 'toString'/],
    [{ property: 'a', value: 'x' }, /unknown operator undefined/],
    [{ property: 'a', operator: { toString: 1, valueOf: 1 }, value: 'x' }, /unknown operator object/],
    [{ operator: 'EQUAL', value: 'x' }, /needs a property/],
    [{ property: '', operator: 'IS_SET' }, /needs a property/],
    [{ property: 7, operator: 'EQUAL', value: 'x' }, /needs a property/],
    [{ property: {}, operator: 'PERCENTAGE_SPLIT', value: '1' }, /needs a property/],
    [{ property: 'a', operator: 'EQUAL' }, /needs a text as its value/],
    [{ property: 'a', operator: 'EQUAL', value: 5 }, /needs a text as its value/],
    [{ property: 'a', operator: 'EQUAL', value: ['a'] }, /needs a text as its value/],
    [{ property: 'a', operator: 'IN', value: null }, /needs a text or a list/],
    [{ property: 'a', operator: 'IN', value: {} }, /needs a text or a list/],
    [{ property: 'a', operator: 'EQUAL', value: '1.0:semver' }, /needs a version .*'1\.0:semver'/],
    [{ property: 'a', operator: 'LESS_THAN', value: 'v1.0.0:semver' }, /needs a version/],
    [{ property: 'a', operator: 'CONTAINS', value: '1.0.0:semver' }, /cannot look for a version/],
    [{ property: 'a', operator: 'MODULO', value: '2' }, /needs a divisor/],
    [{ property: 'a', operator: 'MODULO', value: '0|1' }, /needs a divisor other than 0/],
    [{ property: 'a', operator: 'MODULO', value: 'a|1' }, /needs a divisor/],
    [{ property: 'a', operator: 'MODULO', value: '2|nan' }, /needs a divisor/],
    [
      { property: 'a', operator: 'PERCENTAGE_SPLIT', value: 'half' },
      /needs a percentage from 0 to 100, not 'half'/,
    ],
    [{ property: 'a', operator: 'PERCENTAGE_SPLIT', value: '100.1' }, /needs a percentage/],
    [{ property: 'a', operator: 'PERCENTAGE_SPLIT', value: '-1' }, /needs a percentage/],
    [{ property: 'a', operator: 'PERCENTAGE_SPLIT', value: 'nan' }, /needs a percentage/],
    [
      { property: 'a', operator: 'REGEX', value: 'ab(' },
      /regular expression that is not valid: .* at position 2$/,
    ],
    [{ property: 'a', operator: 'REGEX', value: '*' }, /regular expression that is not valid/],
  ]
  for (const [condition, problem] of refusals) {
    const message = refusalOf(condition)
    t.match(message, /^Segment 'adults' is not valid: rules\[0\]\.conditions\[1\] /)
    t.match(message, problem)
  }
})

t.test('the path leads into nested rules', async t => {
  const bad = { property: 'a', operator: 'LIKE' } as unknown as Condition
  const rules: readonly Rule[] = [
    { type: 'ALL' },
    { type: 'ANY', rules: [{ type: 'ALL' }, { type: 'NONE', conditions: [bad] }] },
  ]
  t.match(refusal({ key: '1', name: 'a', rules }), /: rules\[1\]\.rules\[1\]\.conditions\[0\] has/)
})

t.test('rules', async t => {
  const refusals: readonly (readonly [rules: unknown, problem: RegExp])[] = [
    ['ALL', /: rules is not a list/],
    [{}, /: rules is not a list/],
    [[null], /: rules\[0\] is not an object/],
    [[{}], /: rules\[0\] has the unknown type undefined/],
    [[{ type: 'SOME' }], /: rules\[0\] has the unknown type 'SOME'/],
    [[{ type: 'ALL', conditions: {} }], /: rules\[0\]\.conditions is not a list/],
    [[{ type: 'ALL', rules: 'x' }], /: rules\[0\]\.rules is not a list/],
  ]
  for (const [rules, problem] of refusals) t.match(refusal({ key: '1', name: 'a', rules }), problem)
})

t.test('what is no segment', async t => {
  for (const segment of [null, undefined, 'a', []]) t.match(refusal(segment), /it is not an object/)
  t.match(refusal({ name: 'a' }), /key must be a text/)
  t.match(refusal({ key: '', name: 'a' }), /key must be a text/)
  t.match(refusal({ key: '1' }), /name must be a text/)
})

t.test(`rules may be nested ${DEEPEST_RULE} deep`, async t => {
  const nested = (depth: number): Rule => {
    let rule: Rule = { type: 'ALL' }
    for (let level = 1; level < depth; level++) rule = { type: 'ALL', rules: [rule] }
    return rule
  }
  t.equal(refusal({ key: '1', name: 'a', rules: [nested(DEEPEST_RULE)] }), undefined)
  t.match(refusal({ key: '1', name: 'a', rules: [nested(DEEPEST_RULE + 1)] }), /is nested deeper than 100/)
  t.match(refusal({ key: '1', name: 'a', rules: [nested(100_000)] }), /is nested deeper than 100/)
})

t.test('there may be 10,000 conditions, and as many rules', async t => {
  const many = (length: number): readonly Condition[] => Array.from({ length }, () => valid)
  const withConditions = (...lists: readonly (readonly Condition[])[]): unknown => ({
    key: '1',
    name: 'a',
    rules: lists.map(conditions => ({ type: 'ALL', conditions })),
  })
  t.equal(refusal(withConditions(many(MOST_CONDITIONS))), undefined)
  t.match(
    refusal(withConditions(many(MOST_CONDITIONS), [valid])),
    /rules\[1\]\.conditions\[0\] is one condition more/,
  )
  const rules: Rule[] = []
  rules.push({ type: 'ALL' }, { type: 'ALL', rules })
  t.match(
    refusal({ key: '1', name: 'a', rules }),
    /nested deeper than|one rule more/,
    'rules that contain themselves',
  )
  const wide: Rule[] = Array.from({ length: MOST_CONDITIONS + 1 }, () => ({ type: 'ALL' }))
  t.match(refusal({ key: '1', name: 'a', rules: wide }), /is one rule more than 10000/)
})

t.test('the error has its code and its status', async t => {
  t.throws(() => validateSegment({} as SegmentContext), { code: 'SQLA_ERR_SEGMENT_INVALID', statusCode: 400 })
})

t.test('a long operand is cut in the message', async t => {
  const message = refusalOf({ property: 'a', operator: 'MODULO', value: 'x'.repeat(100_000) }) as string
  t.ok(message.length < 300)
})
