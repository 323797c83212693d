import fc from 'fast-check'
import type {
  Condition,
  Identity,
  Operator,
  Rule,
  SegmentContext,
  Traits,
} from '../../plugins/segments/segment.ts'
import { parseTraits } from '../../plugins/segments/traits-json.ts'

// Random segments and identities that meet: few names of traits, and values from one pool, so that comparisons are close.

const NAMES = [
  't',
  'u',
  'plan',
  '',
  "o'brien",
  'a"b',
  'back\\slash',
  '%s',
  '?',
  '$1',
  ':name',
  '$.identity.key',
  '😀',
]
const PATHS = [
  '$.identity.identifier',
  '$.identity.key',
  '$.identity.traits.t',
  '$.identity.traits.u.t',
  '$.identity.traits["a\\"b"]',
  '$.environment.key',
  '$.environment.name',
  '$.environment',
  '$.identity.traits',
  '$.identity.traits[?@.t]',
  '$.segments',
]

/** Texts that read as something, or nearly. */
const TEXTS = [
  ...['', ' ', 'a', 'b', 'A', 'ab', 'a,b', 'growth', 'true', 'false', 'True', 'False', 'None', 'null'],
  ...['0', '-0', '1', '01', '42', '-5', '10', '007', '12345678901234567890', '9007199254740993', '1_0', '٣'],
  ...[
    '1.0',
    '1.5',
    '-1.5',
    '0.1',
    '1.10',
    '-0.0',
    '2.5',
    '1e3',
    'inf',
    'nan',
    '1.',
    '.5',
    ' 1',
    '1 ',
    '1\n',
    '+1',
  ],
  ...['123456789012345.6', '1234567890123456.7', '12345678901234567.5', '0.00001', '0.0001', '-0.000012'],
  ...['1.0.0', '1.0.1', '1.2.3', '2.0.0', '1.0.0-rc.2', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0+b', 'v1.0.0'],
  ...[
    "o'brien",
    'back\\slash',
    '$1',
    '?',
    '%',
    '%s',
    ':name',
    '--',
    '/*',
    '$$',
    'new\nline',
    'tamaño',
    '😀',
    '\ue000',
  ],
  ...['{}', '[]', '["a"]', '{"k":1}', '5|0', '2|1', '50%'],
  ...[
    '1'.repeat(300),
    '1'.repeat(301),
    `${'1'.repeat(298)}.5`,
    `${'1'.repeat(299)}.5`,
    `0.${'0'.repeat(297)}1`,
  ],
]
const NUMBERS = [
  '0',
  '1',
  '2',
  '-1',
  '42',
  '1.0',
  '1.5',
  '-2.5',
  '0.1',
  '35.0',
  '1e2',
  '1e-7',
  '123456789012345678901',
]
const OTHERS = [
  'null',
  'true',
  'false',
  '[]',
  '{}',
  '["a"]',
  '{"t":1}',
  '{"t":"a"}',
  '{"t":{"t":true}}',
  '[{"t":1}]',
]

const text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 6 }) },
  { weight: 1, arbitrary: fc.integer({ min: -20, max: 20 }).map(String) },
  {
    weight: 1,
    arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e20, max: 1e20 }).map(String),
  },
)
/** What jsonb can hold. */
const storable = text.filter(value => value.isWellFormed() && !value.includes('\0'))

/** A value of JSON, as text, so that 1.0 is kept apart from 1. */
const json = fc.oneof(
  { weight: 5, arbitrary: storable.map(value => JSON.stringify(value)) },
  { weight: 3, arbitrary: fc.constantFrom(...NUMBERS) },
  { weight: 2, arbitrary: fc.constantFrom(...OTHERS) },
)

const traits: fc.Arbitrary<Traits> = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), json), { selector: ([name]) => name, maxLength: 5 })
  .map(entries =>
    parseTraits(`{${entries.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`),
  )

/** An identity that a table can hold. */
export const identity: fc.Arbitrary<Identity> = fc.record({
  identifier: storable,
  key: fc.option(storable, { nil: null }),
  traits,
})

const unstorable = fc.constantFrom('\0', 'a\0', 'a\ud800', '\udc00b', 'growth\ud83d', '\ud800\udc00\ud800')
const operand = fc.oneof({ weight: 20, arbitrary: text }, { weight: 1, arbitrary: unstorable })
const version = fc
  .constantFrom(...TEXTS.filter(value => /^\d+\.\d+\.\d+/.test(value)), 'x')
  .map(value => `${value}:semver`)
const modulo = fc
  .tuple(
    fc.constantFrom(
      '1',
      '2',
      '3',
      '-3',
      '4',
      '7',
      '0.5',
      '0.1',
      '1e20',
      '-2.5',
      '0',
      'inf',
      '-inf',
      'nan',
      'x',
    ),
    fc.constantFrom('0', '1', '2', '-1', '-2', '0.5', '0.05', 'inf', '-inf', '1.5'),
  )
  .map(parts => parts.join('|'))
const list = fc.oneof(
  fc.array(operand, { maxLength: 4 }),
  fc.array(operand, { maxLength: 4 }).map(texts => texts.join(',')),
  fc.array(operand, { maxLength: 4 }).map(texts => JSON.stringify(texts)),
  fc.constant(
    Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? `a${index}` : `b${index}`)).concat('a'),
  ),
)
const pattern = fc.constantFrom(
  ...[
    'a',
    '^a',
    'a$',
    'a.*b',
    '\\d+',
    '\\d+$',
    '[ab]+',
    '(?i)TRUE',
    '.',
    '',
    '$',
    "o'b",
    'new.line',
    '\\bab\\b',
  ],
  ...[
    '(?=a)',
    '(',
    'True|False',
    '1\\.0',
    'tama\\w+',
    '[^a]',
    'a{,2}',
    '(?P<n>a)',
    '-?\\d+\\.\\d+',
    '\\\\',
    '%',
  ],
)
const split = fc.constantFrom('0', '50', '99.99', '100', '12.5', '-1', '101', 'nan', 'x')

const values: Record<Operator, fc.Arbitrary<unknown>> = {
  EQUAL: fc.oneof({ weight: 4, arbitrary: operand }, { weight: 1, arbitrary: version }),
  NOT_EQUAL: fc.oneof({ weight: 4, arbitrary: operand }, { weight: 1, arbitrary: version }),
  GREATER_THAN: fc.oneof({ weight: 3, arbitrary: operand }, { weight: 1, arbitrary: version }),
  GREATER_THAN_INCLUSIVE: fc.oneof({ weight: 3, arbitrary: operand }, { weight: 1, arbitrary: version }),
  LESS_THAN: fc.oneof({ weight: 3, arbitrary: operand }, { weight: 1, arbitrary: version }),
  LESS_THAN_INCLUSIVE: fc.oneof({ weight: 3, arbitrary: operand }, { weight: 1, arbitrary: version }),
  CONTAINS: operand,
  NOT_CONTAINS: operand,
  IN: list,
  IS_SET: fc.constant(''),
  IS_NOT_SET: fc.constant(null),
  MODULO: modulo,
  PERCENTAGE_SPLIT: split,
  REGEX: pattern,
}

const condition: fc.Arbitrary<Condition> = fc
  .constantFrom(...(Object.keys(values) as Operator[]))
  .chain(operator =>
    fc.record({
      property: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom('t', 'u') },
        { weight: 2, arbitrary: fc.constantFrom(...NAMES, 'nul\0', 'half\ud800') },
        { weight: 3, arbitrary: fc.constantFrom(...PATHS) },
      ),
      operator: fc.constant(operator),
      value: values[operator],
    }),
  ) as fc.Arbitrary<Condition>

const { rule } = fc.letrec<{ rule: Rule }>(tie => ({
  rule: fc.record({
    type: fc.constantFrom('ALL', 'ANY', 'NONE'),
    conditions: fc.array(condition, { maxLength: 3 }),
    rules: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constant([]),
      fc.array(tie('rule'), { maxLength: 2 }),
    ),
  }),
}))

/** Any segment: one condition, or rules in rules. */
export const segment: fc.Arbitrary<SegmentContext> = fc.record({
  key: fc.constantFrom('seg', '1', "o'key", 'half\ud800', 'nul\0'),
  name: fc.constant('a segment'),
  rules: fc.oneof(
    condition.map((one): Rule[] => [{ type: 'ALL', conditions: [one] }]),
    fc.array(rule, { maxLength: 2 }),
  ),
})
