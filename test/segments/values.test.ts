import t from 'tap'
import { jsonbNumber } from '../../plugins/segments/json-numbers.ts'
import { rawJson } from '../../plugins/segments/raw-json.ts'
import { classify, LONGEST_NUMBER, pythonText } from '../../plugins/segments/values.ts'

t.test('numbers are printed as jsonb prints them', async t => {
  // select ('[…]'::jsonb) ->> 0 in PostgreSQL
  const printed: readonly (readonly [json: string, text: string])[] = [
    ['0', '0'],
    ['-0', '0'],
    ['-0.0', '0.0'],
    ['-0e-3', '0.000'],
    ['1.0', '1.0'],
    ['-1.50', '-1.50'],
    ['1e20', '100000000000000000000'],
    ['1E+2', '100'],
    ['1.5e1', '15'],
    ['1.50e1', '15.0'],
    ['1.0e1', '10'],
    ['12.345e-2', '0.12345'],
    ['1e-7', '0.0000001'],
    ['-1e-7', '-0.0000001'],
    ['0e5', '0'],
    ['0.0e5', '0'],
    ['0.001e3', '1'],
    ['0.0012e3', '1.2'],
  ]
  for (const [json, text] of printed) t.equal(jsonbNumber(json), text, json)
})

t.test('a number that no jsonb could hold is left as it is, in no time', async t => {
  t.equal(jsonbNumber('1e999999999'), '1e999999999')
  t.equal(jsonbNumber('1e-999999999'), '1e-999999999')
})

t.test('a number of JavaScript is what JSON.stringify writes', async t => {
  t.same(classify(1), { kind: 'integer', integer: 1n })
  t.same(classify(-0), { kind: 'integer', integer: 0n })
  t.same(classify(1e21), { kind: 'integer', integer: 10n ** 21n })
  t.same(classify(1.5), { kind: 'float', float: 1.5 })
  t.same(classify(1e-7), { kind: 'float', float: 1e-7 })
  t.same(classify(Number.NaN), { kind: 'missing' })
  t.same(classify(Number.POSITIVE_INFINITY), { kind: 'missing' })
  t.same(classify(12345678901234567890n), { kind: 'integer', integer: 12345678901234567890n })
})

t.test('JSON.rawJSON keeps what JavaScript would lose', async t => {
  t.same(classify(rawJson('1.0')), { kind: 'float', float: 1 })
  t.same(classify(rawJson('12345678901234567890')), { kind: 'integer', integer: 12345678901234567890n })
  t.same(classify(rawJson('1e20')), { kind: 'integer', integer: 10n ** 20n })
  t.same(classify(rawJson('"a"')), { kind: 'text', text: 'a' })
  t.same(classify(rawJson('"1.0"')), { kind: 'float', float: 1 })
  t.same(classify(rawJson('true')), { kind: 'boolean', boolean: true })
  t.same(classify(rawJson('null')), { kind: 'missing' })
})

t.test('there is no negative zero', async t => {
  for (const zero of [rawJson('-0.0'), '-0.0', '-0.00']) {
    const value = classify(zero)
    t.ok(value.kind === 'float' && Object.is(value.float, 0))
    t.equal(pythonText(value), '0.0')
  }
})

t.test('texts that read like numbers are numbers', async t => {
  t.same(classify('01'), { kind: 'integer', integer: 1n })
  t.same(classify('-0'), { kind: 'integer', integer: 0n })
  t.same(classify('-007.50'), { kind: 'float', float: -7.5 })
  t.same(classify('9007199254740993'), { kind: 'integer', integer: 9007199254740993n })
})

t.test('and nearly so are not', async t => {
  for (const text of [
    '',
    ' 1',
    '1 ',
    '1\n',
    '1.0\n',
    '+1',
    '1.',
    '.5',
    '1e3',
    '1_0',
    '--1',
    '-',
    '٣',
    '1٣',
    '１',
  ]) {
    t.same(classify(text), { kind: 'text', text }, encodeURIComponent(text))
  }
})

t.test(`more than ${LONGEST_NUMBER} characters are a text`, async t => {
  const longest = '1'.repeat(LONGEST_NUMBER)
  t.same(classify(longest), { kind: 'integer', integer: BigInt(longest) })
  t.same(classify(`${longest}1`), { kind: 'text', text: `${longest}1` })
  t.same(classify(`1.${'0'.repeat(LONGEST_NUMBER - 2)}`), { kind: 'float', float: 1 })
  t.equal(classify(`1.${'0'.repeat(LONGEST_NUMBER - 1)}`).kind, 'text')
  t.equal(classify(rawJson('1e299')).kind, 'integer')
  t.equal(classify(rawJson('1e300')).kind, 'text', 'also a number of JSON')
  t.equal(classify(rawJson('1e-299')).kind, 'text')
})

t.test('the rest of JSON', async t => {
  t.same(classify(true), { kind: 'boolean', boolean: true })
  t.same(classify(null), { kind: 'missing' })
  t.same(classify(undefined), { kind: 'missing' })
  t.same(classify([1]), { kind: 'composite' })
  t.same(classify({ rawJSON: '1' }), { kind: 'composite' }, 'an object that only looks like JSON.rawJSON')
  t.same(classify(new Date(0)), { kind: 'text', text: '1970-01-01T00:00:00.000Z' }, 'as it is stored')
  t.same(
    classify(() => 1),
    { kind: 'missing' },
  )
})

t.test('what Python prints', async t => {
  const printed: readonly (readonly [value: unknown, text: string | undefined])[] = [
    ['01', '1'],
    ['-0', '0'],
    ['007.50', '7.5'],
    [true, 'True'],
    [false, 'False'],
    ['a', 'a'],
    [rawJson('1.0'), '1.0'],
    [1e21, '1000000000000000000000'],
    [null, undefined],
    [[], undefined],
  ]
  for (const [value, text] of printed) t.equal(pythonText(classify(value)), text)
})
