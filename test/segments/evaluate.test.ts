import t from 'tap'
import { isContextInSegment } from '../../plugins/segments/evaluate.ts'
import { rawJson } from '../../plugins/segments/raw-json.ts'
import type { Condition, EvaluationContext, Rule, Traits } from '../../plugins/segments/segment.ts'

const environment = { key: 'env', name: 'Test' }

function contextOf(traits: Traits | null, identity: object = {}): EvaluationContext {
  return { environment, identity: { identifier: 'ada', traits, ...identity } }
}

function isIn(context: EvaluationContext, ...rules: readonly Rule[]): boolean {
  return isContextInSegment(context, { key: 'seg', name: 'seg', rules })
}

/** Whether one condition holds. */
function holds(condition: Condition, context: EvaluationContext): boolean {
  return isIn(context, { type: 'ALL', conditions: [condition] })
}

const yes: Condition = { property: 'a', operator: 'EQUAL', value: '1' }
const no: Condition = { property: 'a', operator: 'EQUAL', value: '2' }
const one = contextOf({ a: 1 })

t.test('a segment without rules holds nobody', async t => {
  t.equal(isContextInSegment(one, { key: 's', name: 's', rules: [] }), false)
  t.equal(isContextInSegment(one, { key: 's', name: 's', rules: null }), false)
  t.equal(isContextInSegment(one, { key: 's', name: 's' }), false)
})

t.test('rules: all of them must hold', async t => {
  t.equal(isIn(one, { type: 'ALL', conditions: [yes] }, { type: 'ALL', conditions: [yes] }), true)
  t.equal(isIn(one, { type: 'ALL', conditions: [yes] }, { type: 'ALL', conditions: [no] }), false)
})

t.test('ALL, ANY and NONE of the conditions', async t => {
  const verdicts: readonly (readonly [Rule['type'], readonly Condition[], boolean])[] = [
    ['ALL', [], true],
    ['ANY', [], true],
    ['NONE', [], true],
    ['ALL', [yes, yes], true],
    ['ALL', [yes, no], false],
    ['ANY', [no, yes], true],
    ['ANY', [no, no], false],
    ['NONE', [no, no], true],
    ['NONE', [no, yes], false],
  ]
  for (const [type, conditions, verdict] of verdicts) {
    t.equal(isIn(one, { type, conditions }), verdict, `${type} of ${conditions.length} conditions`)
    const rules = conditions.map(condition => ({ type: 'ALL', conditions: [condition] }) as const)
    t.equal(isIn(one, { type, rules }), verdict, `${type} of ${conditions.length} nested rules`)
  }
})

t.test('conditions and nested rules are two groups, and both must hold', async t => {
  const nested = (condition: Condition): readonly Rule[] => [{ type: 'ALL', conditions: [condition] }]
  t.equal(isIn(one, { type: 'ANY', conditions: [yes], rules: nested(no) }), false)
  t.equal(isIn(one, { type: 'ANY', conditions: [no], rules: nested(yes) }), false)
  t.equal(isIn(one, { type: 'ANY', conditions: [yes], rules: nested(yes) }), true)
  t.equal(isIn(one, { type: 'NONE', conditions: [no], rules: nested(no) }), true)
  t.equal(isIn(one, { type: 'NONE', conditions: [no], rules: nested(yes) }), false)
  t.equal(isIn(one, { type: 'ANY', conditions: [yes], rules: [] }), true, 'an empty group holds')
})

t.test('nobody at all: no identity', async t => {
  for (const context of [{ environment }, { environment, identity: null }]) {
    t.equal(holds({ property: 'a', operator: 'IS_NOT_SET', value: '' }, context), true)
    t.equal(holds({ property: '$.identity.key', operator: 'IS_SET', value: '' }, context), false)
    t.equal(holds({ property: '', operator: 'PERCENTAGE_SPLIT', value: '100' }, context), false)
    t.equal(holds({ property: '$.environment.key', operator: 'EQUAL', value: 'env' }, context), true)
  }
})

t.test('a missing trait is false also for NOT_EQUAL, NOT_CONTAINS and an empty IN', async t => {
  for (const traits of [null, {}, { a: null }, { a: undefined }, { toString: undefined }]) {
    for (const operator of ['NOT_EQUAL', 'NOT_CONTAINS', 'REGEX', 'CONTAINS'] as const) {
      t.equal(holds({ property: 'a', operator, value: '' }, contextOf(traits)), false, operator)
    }
    t.equal(holds({ property: 'a', operator: 'IN', value: ['None', 'null', ''] }, contextOf(traits)), false)
  }
  t.equal(holds({ property: 'toString', operator: 'IS_SET', value: '' }, contextOf({})), false, 'inherited')
})

t.test('traits of every name', async t => {
  for (const name of ['__proto__', 'constructor', '$', 'a.b', "it's", '', '😀', '$where', ' a ']) {
    const traits = JSON.parse(`{${JSON.stringify(name)}:"x"}`)
    t.equal(
      holds({ property: name, operator: 'EQUAL', value: 'x' }, contextOf(traits)),
      true,
      encodeURIComponent(name),
    )
    t.equal(holds({ property: name, operator: 'IS_SET', value: '' }, contextOf({})), false)
  }
})

t.test('the operand is cast to the type of the trait', async t => {
  const verdicts: readonly (readonly [
    trait: Traits[string],
    operator: Condition['operator'],
    string,
    boolean,
  ])[] = [
    [2, 'EQUAL', '1.5', false],
    [2, 'NOT_EQUAL', '1.5', false],
    [2, 'NOT_EQUAL', '3', true],
    [rawJson('2.0'), 'EQUAL', '2', true],
    [rawJson('2.0'), 'NOT_EQUAL', '1.5', true],
    [2, 'EQUAL', '２', true],
    [2, 'EQUAL', ' 0_2 ', true],
    ['2', 'EQUAL', '02', true],
    ['two', 'EQUAL', 'two ', false],
    [rawJson('9007199254740993'), 'EQUAL', '9007199254740992', false],
    [rawJson('9007199254740993'), 'GREATER_THAN', '9007199254740992', true],
    [1.5, 'NOT_EQUAL', 'nan', true],
    [1.5, 'EQUAL', 'nan', false],
    [1.5, 'LESS_THAN', 'inf', true],
    [true, 'EQUAL', 'false', false],
    [true, 'EQUAL', 'FALSE', true],
    [true, 'EQUAL', '', true],
    [false, 'EQUAL', 'False', true],
    [true, 'GREATER_THAN', 'false', true],
    [false, 'LESS_THAN', 'x', true],
    [false, 'LESS_THAN_INCLUSIVE', 'false', true],
    ['b', 'GREATER_THAN', 'a', true],
    ['B', 'GREATER_THAN', 'a', false],
    ['', 'LESS_THAN', 'a', true],
    ['ab', 'GREATER_THAN', 'a', true],
    ['😀', 'GREATER_THAN', '\uffff', true],
    ['\uffff', 'LESS_THAN', '😀', true],
    ['😀', 'LESS_THAN', '😁', true],
  ]
  for (const [trait, operator, value, verdict] of verdicts) {
    const title = encodeURIComponent(`${typeof trait} ${operator} ${value}`)
    t.equal(holds({ property: 'a', operator, value }, contextOf({ a: trait })), verdict, title)
  }
})

t.test('CONTAINS is of texts that do not look like numbers, and of whole characters', async t => {
  const contains = (
    trait: Traits[string],
    value: string,
    operator: Condition['operator'] = 'CONTAINS',
  ): boolean => holds({ property: 'a', operator, value }, contextOf({ a: trait }))
  t.equal(contains('abc', 'b'), true)
  t.equal(contains('abc', ''), true)
  t.equal(contains('123', '2'), false)
  t.equal(contains('123', '9', 'NOT_CONTAINS'), false)
  t.equal(contains('1.2.3', '2'), true)
  t.equal(contains(true, 'T'), false)
  t.equal(contains('😀', '\ud83d'), false, 'half a character')
  t.equal(contains('😀', '\ud83d', 'NOT_CONTAINS'), true)
  t.equal(contains('😀', '\ude00'), false)
  t.equal(contains('a\ud83d', '\ud83d'), true, 'a lone surrogate is a character of Python')
  t.equal(contains('😀\ud83d', '\ud83d'), true)
  t.equal(contains('1.0.0', '1.0.0:semver'), false, 'a version is in no version')
  t.equal(contains('1.0.0', '1.0.0:semver', 'NOT_CONTAINS'), true, 'but it is no text of it either')
})

t.test('IN: a list, an array as JSON, or commas; without trimming', async t => {
  const isInList = (trait: Traits[string], value: Condition['value']): boolean =>
    holds({ property: 'a', operator: 'IN', value: value ?? null }, contextOf({ a: trait }))
  const verdicts: readonly (readonly [trait: Traits[string], value: Condition['value'], boolean])[] = [
    ['b', 'a,b', true],
    ['b', 'a, b', false],
    [' b', 'a, b', true],
    ['a,b', 'a,b', false],
    ['', '', true],
    ['', 'a,', true],
    ['a', '["a", "b"]', true],
    ['a', ' [ "a" ]\n', true],
    ['a', '{"a": 1}', false],
    ['"a"', '"a"', true],
    ['["a"', '["a",b]', true],
    ['"a"', '"a",b', true],
    [42, '1,42', true],
    [42, '[1, 42]', true],
    [42, '[1, "42"]', true],
    ['042', '42', true],
    ['042', ['042'], false],
    [42, ['042'], false],
    [42, '[042]', false],
    [1.5, '1.5', false],
    [1.5, [1.5], false],
    [true, 'True,true', false],
    ['True', [true], true],
    ['True', '[true]', true],
    ['true', '[true]', false],
    ['None', [null], true],
    ['1e+20', '[1E20]', true],
    [rawJson('12345678901234567890'), '[12345678901234567890]', true],
    ['inf', '[1e400]', true],
    ["['a', None]", '[["a", null]]', true],
    [`["it's", 'q"', 'both\\'"']`, [["it's", 'q"', 'both\'"']], true],
    [`['\\n\\x00\\u200b é😀', {'k': [1000.0]}]`, '[["\\n\\u0000\\u200b é😀", {"k": [1e3]}]]', true],
    [{}, '{}', false],
    [['a'], ['a'], false],
  ]
  for (const [trait, value, verdict] of verdicts) {
    const title = encodeURIComponent(`${JSON.stringify(trait)} IN ${JSON.stringify(value)}`)
    t.equal(isInList(trait, value), verdict, title)
  }
})

t.test('MODULO: fractions, signs and large numbers', async t => {
  const modulo = (trait: Traits[string], value: string): boolean =>
    holds({ property: 'a', operator: 'MODULO', value }, contextOf({ a: trait }))
  t.equal(modulo(5, '3|2'), true)
  t.equal(modulo(-5, '3|1'), true)
  t.equal(modulo(5, '-3|-1'), true)
  t.equal(modulo(5.5, '2|1.5'), true)
  t.equal(modulo('5.50', ' 2 | 1.5 '), true)
  t.equal(modulo(true, '2|1'), true)
  t.equal(modulo(rawJson('123456789012345678901'), '1000|968'), true, 'the remainder of the nearest double')
  t.equal(modulo(rawJson('123456789012345678901'), '1000|901'), false)
  t.equal(modulo(-5, 'inf|inf'), true)
  t.equal(modulo(4, '0|0'), false)
  t.equal(modulo(4, '2'), false)
  t.equal(modulo(4, '2|0|0'), false)
  t.equal(modulo('four', '2|0'), false)
})

t.test('PERCENTAGE_SPLIT: a blank property is the key, a missing trait is out', async t => {
  // Python: 'seg,env_ada' is at 12.6225 percent, 'seg,k' at 76.0252, 'seg,acme' at 29.9260.
  const split = (property: string | undefined | null, value: string, context = contextOf(null)): boolean =>
    holds({ operator: 'PERCENTAGE_SPLIT', value, ...(property === undefined ? {} : { property }) }, context)
  for (const property of ['', undefined, null, '$.identity.key']) {
    t.equal(split(property, '12.618'), false)
    t.equal(split(property, '12.628'), true)
    t.equal(split(property, '76.020', contextOf(null, { key: 'k' })), false)
    t.equal(split(property, '76.030', contextOf(null, { key: 'k' })), true)
    t.equal(split(property, '12.628', contextOf(null, { key: '' })), true, 'a blank key is none')
    t.equal(split(property, '12.618', contextOf(null, { key: '' })), false)
  }
  t.equal(split('company', '100'), false)
  t.equal(split('company', '100', contextOf({ company: null })), false)
  t.equal(split('company', '29.921', contextOf({ company: 'acme' })), false)
  t.equal(split('company', '29.931', contextOf({ company: 'acme' })), true)
  t.equal(split('company', '0 percent', contextOf({ company: 'acme' })), false)
})

t.test('PERCENTAGE_SPLIT: half a character has no hash, so it is out', async t => {
  const split = (key: string, a: string): boolean => {
    const conditions: Condition[] = [{ property: 'a', operator: 'PERCENTAGE_SPLIT', value: '100' }]
    return isContextInSegment(contextOf({ a }), { key, name: 's', rules: [{ type: 'ALL', conditions }] })
  }
  t.equal(split('seg', 'x'), true)
  t.equal(split('seg', '\ud83d'), false)
  t.equal(split('\ud83d', 'x'), false)
})

t.test('a property that is no text is that of nobody', async t => {
  for (const operator of ['IS_NOT_SET', 'PERCENTAGE_SPLIT'] as const) {
    t.equal(holds({ property: 7, operator, value: '100' } as unknown as Condition, one), false)
  }
})

t.test('a condition that is none does not spoil the others', async t => {
  for (const odd of [
    null,
    7,
    'x',
    {},
    { property: 7, operator: 'IS_SET' },
    { property: 'a', operator: 'LIKE' },
  ]) {
    const conditions = [odd as unknown as Condition, yes]
    t.equal(isIn(one, { type: 'ANY', conditions }), true)
    t.equal(isIn(one, { type: 'ALL', conditions }), false)
  }
  t.equal(
    isIn(one, { type: 'ANY', rules: [null as unknown as Rule, { type: 'ALL', conditions: [yes] }] }),
    true,
  )
})

t.test('paths: identifier, key, traits, environment', async t => {
  const context = {
    ...contextOf({ age: 47, address: { city: 'Oslo' }, list: ['a'] }, { key: 'k' }),
    plan: { tier: 'gold' },
  }
  const equals = (property: string, value: string): boolean =>
    holds({ property, operator: 'EQUAL', value }, context)
  t.equal(equals('$.identity.identifier', 'ada'), true)
  t.equal(equals("$['identity'].identifier", 'ada'), false, 'not with this spelling: it must begin with $.')
  t.equal(equals("$.identity['identifier']", 'ada'), true)
  t.equal(equals('$.identity.key', 'k'), true)
  t.equal(equals('$.identity.traits.age', '47'), true)
  t.equal(equals('$.identity.traits["age"]', '047'), true)
  t.equal(equals('$.identity.traits.address.city', 'Oslo'), true)
  t.equal(equals('$.identity.traits.list[0]', 'a'), true)
  t.equal(equals('$.environment.name', 'Test'), true)
  t.equal(equals('$.plan.tier', 'gold'), true)
  t.equal(equals('$..tier', 'gold'), true)
  t.equal(equals('$.identity.key', 'env_ada'), false)
})

t.test('paths see the key that an identity has by default', async t => {
  for (const property of [
    '$.identity.key',
    "$.identity['key']",
    "$.identity['key','x']",
    '$.identity..key',
  ]) {
    t.equal(holds({ property, operator: 'EQUAL', value: 'env_ada' }, contextOf({})), true, property)
  }
})

t.test('an identifier that reads like a number is one', async t => {
  const context = contextOf(null, { identifier: '0150' })
  t.equal(holds({ property: '$.identity.identifier', operator: 'EQUAL', value: '150' }, context), true)
  t.equal(holds({ property: '$.identity.identifier', operator: 'IN', value: '150' }, context), true)
  t.equal(holds({ property: '$.identity.identifier', operator: 'IN', value: '0150' }, context), false)
  t.equal(holds({ property: '$.identity.identifier', operator: 'CONTAINS', value: '15' }, context), false)
})

t.test('a path that ends in an object is not set, a trait that is one is', async t => {
  const context = contextOf({ address: { city: 'Oslo' }, list: [] })
  const isSet = (property: string): boolean => holds({ property, operator: 'IS_SET', value: '' }, context)
  const isNotSet = (property: string): boolean =>
    holds({ property, operator: 'IS_NOT_SET', value: '' }, context)
  for (const property of [
    '$.identity',
    '$.identity.traits',
    '$.identity.traits.address',
    '$.environment',
    '$.*',
  ]) {
    t.equal(isSet(property), false, property)
    t.equal(isNotSet(property), true, property)
  }
  for (const property of ['address', 'list', '$.identity.traits.address.city', '$.identity.key']) {
    t.equal(isSet(property), true, property)
    t.equal(isNotSet(property), false, property)
  }
})

t.test('a trait that is called like the path wins, when it is set', async t => {
  const property = '$.identity.identifier'
  const equals = (traits: Traits, value: string): boolean =>
    holds({ property, operator: 'EQUAL', value }, contextOf(traits))
  t.equal(equals({}, 'ada'), true)
  t.equal(equals({ [property]: 'other' }, 'ada'), false)
  t.equal(equals({ [property]: 'other' }, 'other'), true)
  t.equal(equals({ [property]: null }, 'ada'), true)
  t.equal(equals({ [property]: [] }, 'ada'), false, 'also when it is a list')
  const isSet = { property: '$.identity', operator: 'IS_SET', value: '' } as const
  t.equal(holds(isSet, contextOf({ '$.identity': {} })), true)
  t.equal(holds(isSet, contextOf({ '$.identity': null })), false)
  t.equal(holds({ ...isSet, operator: 'IS_NOT_SET' }, contextOf({ '$.identity': 0 })), false)
})

t.test('a path that cannot be parsed is the name of a trait', async t => {
  const property = '$.  i am not" a valid jsonpath'
  t.equal(holds({ property, operator: 'EQUAL', value: 'x' }, contextOf({ [property]: 'x' })), true)
  t.equal(holds({ property, operator: 'IS_NOT_SET', value: '' }, contextOf({})), true)
})

t.test('a segment that is changed is read again', async t => {
  const condition = { property: 'a', operator: 'EQUAL', value: '1' }
  const segment = { key: 's', name: 's', rules: [{ type: 'ALL', conditions: [condition] }] }
  const ask = (): boolean => isContextInSegment(one, segment as Parameters<typeof isContextInSegment>[1])
  t.equal(ask(), true)
  condition.value = '2'
  t.equal(ask(), false)
  condition.value = '1'
  t.equal(ask(), true)
  segment.rules = []
  t.equal(ask(), false)
})

t.test('operands that are no texts are read as Python prints them', async t => {
  const equals = (a: Traits[string], value: unknown): boolean =>
    holds({ property: 'a', operator: 'EQUAL', value } as Condition, contextOf({ a }))
  t.equal(equals(5, 5), true)
  t.equal(equals('x', 5), false)
  t.equal(equals(false, false), true)
  t.equal(equals(true, null), false)
  t.equal(equals(true, ['a']), false)
  t.equal(equals(true, {}), false)
})
