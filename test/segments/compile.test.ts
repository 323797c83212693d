import fc from 'fast-check'
import t from 'tap'
import { compileSegment } from '../../plugins/segments/compile.ts'
import { isContextInSegment, matches } from '../../plugins/segments/evaluate.ts'
import type { Predicate } from '../../plugins/segments/predicate.ts'
import type { Condition, EvaluationContext, Rule, SegmentContext } from '../../plugins/segments/segment.ts'

function compiled(...conditions: readonly Condition[]): Predicate {
  return compileSegment({ key: 'seg', name: 'seg', rules: [{ type: 'ALL', conditions }] })
}

t.test('a condition on a trait is one test, which says where it comes from', async t => {
  t.same(compiled({ property: 'age', operator: 'EQUAL', value: '47' }), {
    kind: 'test',
    subject: { kind: 'trait', path: ['age'] },
    test: {
      kind: 'compare',
      comparison: '=',
      integer: 47n,
      float: 47,
      boolean: true,
      text: '47',
      semver: undefined,
    },
    at: 'rules[0].conditions[0]',
  })
})

t.test('operands are read once: each type has its own', async t => {
  const operand = (value: string): unknown => {
    const predicate = compiled({ property: 'a', operator: 'LESS_THAN', value })
    return predicate.kind === 'test' ? predicate.test : predicate
  }
  const rest = { kind: 'compare', comparison: '<' }
  const none = { integer: undefined, float: undefined, semver: undefined, boolean: true }
  t.match(operand('False'), { ...rest, ...none, text: 'False', boolean: false })
  t.match(operand('1.5'), { ...rest, ...none, float: 1.5, text: '1.5' })
  t.match(operand('x:semver'), { ...rest, ...none, text: undefined, semver: undefined })
  const version = operand('1.0.0-rc.1+7:semver')
  const semver = { core: [1n, 0n, 0n], prerelease: ['rc', '1'] }
  t.same(version, { ...rest, ...none, text: undefined, semver })
})

t.test('a path to the identity is one that SQL knows', async t => {
  const subjects: readonly (readonly [property: string, subject: unknown])[] = [
    ['$.identity.identifier', { kind: 'identifier' }],
    ['$.identity["key"]', { kind: 'key' }],
    ["$.identity.traits['a'].b", { kind: 'trait', path: ['a', 'b'] }],
    ['$.environment.name', { kind: 'path', isConstant: true }],
    ['$..name', { kind: 'path', isConstant: false }],
    ['$.identity.traits[0]', { kind: 'path', isConstant: false }],
  ]
  for (const [property, subject] of subjects) {
    const at = 'rules[0].conditions[0]'
    const literal = { kind: 'trait', path: [property] }
    const test = { kind: 'in', texts: ['x'] }
    t.match(
      compiled({ property, operator: 'IN', value: 'x' }),
      {
        kind: 'or',
        of: [
          {
            kind: 'and',
            of: [
              { kind: 'test', subject: literal, test: { kind: 'set' }, at },
              { kind: 'test', subject: literal, test, at },
            ],
          },
          {
            kind: 'and',
            of: [
              { kind: 'test', subject: literal, test: { kind: 'unset' }, at },
              { kind: 'test', subject, test, at },
            ],
          },
        ],
      },
      property,
    )
  }
})

t.test('what is constant is folded', async t => {
  const never = { kind: 'constant', value: false }
  const always = { kind: 'constant', value: true }
  t.same(compiled(), always)
  t.same(compiled({ property: 'a', operator: 'MODULO', value: '0|0' }), never)
  t.same(
    compiled({ property: 'a', operator: 'IS_SET' }, { property: 'a', operator: 'MODULO', value: '0|0' }),
    never,
    'one never among ALL',
  )
  const conditions: Condition[] = [{ property: 'a', operator: 'PERCENTAGE_SPLIT', value: 'x' }]
  t.same(compileSegment({ key: 's', name: 's', rules: [{ type: 'NONE', conditions }] }), always)
  t.same(compileSegment({ key: 's', name: 's', rules: [{ type: 'ANY', conditions }] }), never)
  t.same(compileSegment({ key: 's', name: 's', rules: [] }), never)
})

t.test('an unknown operator is never true, as in the reference', async t => {
  const condition = { property: 'a', operator: 'LIKE', value: 'x' } as unknown as Condition
  t.same(compiled(condition), { kind: 'constant', value: false })
})

t.test('what cannot be answered says why, and where', async t => {
  const rule = { type: 'SOME', conditions: [{ property: 'a', operator: 'IS_SET' }] } as unknown as Rule
  t.match(compileSegment({ key: 's', name: 's', rules: [rule] }), {
    kind: 'unsupported',
    reason: /type of the rule is unknown: 'SOME'/,
    at: 'rules[0]',
  })
  t.match(compiled({ property: 'a', operator: 'IS_SET' }, { property: 'a', operator: 'REGEX', value: '(' }), {
    kind: 'and',
    of: [
      {},
      { kind: 'unsupported', reason: /regular expression that is not valid/, at: 'rules[0].conditions[1]' },
    ],
  })
})

t.test('rules that are too deep, or contain themselves, end somewhere', async t => {
  const context: EvaluationContext = { environment: { key: 'e', name: 'e' } }
  let rule: Rule = { type: 'ALL', conditions: [] }
  for (let depth = 0; depth < 100_000; depth++) rule = { type: 'ALL', rules: [rule] }
  const deep = { key: 's', name: 's', rules: [rule] }
  t.match(compileSegment(deep), { kind: 'unsupported', reason: /nested deeper than/ })
  t.equal(isContextInSegment(context, deep), false)

  const rules: Rule[] = []
  rules.push({ type: 'ALL', rules }, { type: 'ALL', rules })
  const cyclic = { key: 's', name: 's', rules }
  t.match(compileSegment(cyclic), { kind: 'unsupported', reason: /nested deeper than|rules and conditions/ })
  t.equal(isContextInSegment(context, cyclic), false)

  const wide: Condition[] = Array.from({ length: 100_001 }, () => ({ property: 'a', operator: 'IS_SET' }))
  t.match(compiled(...wide), { kind: 'unsupported', reason: /more than 100000 rules and conditions/ })
})

t.test('it is frozen, to the last operand', async t => {
  const predicate = compileSegment({
    key: 's',
    name: 's',
    rules: [
      {
        type: 'NONE',
        conditions: [
          { property: '$.identity.traits.a', operator: 'EQUAL', value: '1.0.0-rc.1:semver' },
          { property: '$.*', operator: 'IN', value: ['a', 'b'] },
          { property: 'a', operator: 'MODULO', value: '2|1' },
        ],
      },
    ],
  })
  const thawed: unknown[] = []
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Object.isFrozen(value)) thawed.push(value)
    for (const inner of Object.values(value)) visit(inner)
  }
  visit(predicate)
  t.same(thawed, [])
})

const operators = [
  'EQUAL',
  'NOT_EQUAL',
  'GREATER_THAN',
  'GREATER_THAN_INCLUSIVE',
  'LESS_THAN',
  'LESS_THAN_INCLUSIVE',
  'CONTAINS',
  'NOT_CONTAINS',
  'IN',
  'IS_SET',
  'IS_NOT_SET',
  'MODULO',
  'PERCENTAGE_SPLIT',
  'REGEX',
]

t.test('nothing ever throws, whatever the segment and the context hold', async () => {
  const junk = fc.anything({ withBigInt: true, withNullPrototype: true, withObjectString: true })
  const property = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('a', '$.identity.key', '$.*', '$..a', ''),
    junk,
  )
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('1|0', '0|0', '50', '1.0.0:semver', '(', 'a+', '[1', '["a"]', 'nan'),
    junk,
  )
  const operator = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...operators) }, junk)
  const condition = fc.oneof(
    { weight: 9, arbitrary: fc.record({ property, operator, value }, { requiredKeys: [] }) },
    junk,
  )
  const conditions = fc.oneof({ weight: 9, arbitrary: fc.array(condition) }, junk)
  const { rule } = fc.letrec(tie => ({
    rule: fc.record(
      {
        type: fc.oneof({ weight: 9, arbitrary: fc.constantFrom('ALL', 'ANY', 'NONE') }, junk),
        conditions,
        rules: fc.oneof({ depthSize: 'small' }, fc.constant(null), fc.array(fc.oneof(tie('rule'), junk))),
      },
      { requiredKeys: [] },
    ),
  }))
  const segment = fc.oneof(
    {
      weight: 9,
      arbitrary: fc.record({ key: junk, name: junk, rules: fc.array(rule) }, { requiredKeys: [] }),
    },
    junk,
  )
  const traits = fc.oneof(fc.dictionary(fc.oneof(fc.string(), fc.constant('a')), value), junk)
  const identity = fc.oneof(fc.record({ identifier: junk, key: junk, traits }, { requiredKeys: [] }), junk)
  const environment = fc.oneof(fc.record({ key: junk, name: junk }), junk)
  const context = fc.oneof(
    { weight: 9, arbitrary: fc.record({ environment, identity }, { requiredKeys: [] }) },
    junk,
  )
  fc.assert(
    fc.property(segment, context, (segment, context) => {
      const predicate = compileSegment(segment as SegmentContext)
      const isIn = isContextInSegment(context as EvaluationContext, segment as SegmentContext)
      return typeof isIn === 'boolean' && isIn === matches(predicate, context as EvaluationContext)
    }),
    { numRuns: 3000 },
  )
})

t.test('and neither do getters and proxies that do', async t => {
  const hostile = new Proxy(
    {},
    {
      get() {
        throw new Error('no')
      },
      ownKeys() {
        throw new Error('no')
      },
    },
  )
  const context = { environment: { key: 'e', name: 'e' }, identity: { identifier: 'i', traits: hostile } }
  const segment: SegmentContext = {
    key: 's',
    name: 's',
    rules: [{ type: 'ALL', conditions: [{ property: 'a', operator: 'IS_NOT_SET' }] }],
  }
  t.equal(isContextInSegment(context as never, segment), true)
  t.equal(isContextInSegment(hostile as never, segment), true)
  t.equal(isContextInSegment(context as never, hostile as never), false)
})
