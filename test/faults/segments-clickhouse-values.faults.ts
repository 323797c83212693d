import t from 'tap'
import { clickHouseText } from '../../plugins/segments/literals.ts'
import type { Comparison } from '../../plugins/segments/predicate.ts'
import { pythonFloatText, pythonModulo } from '../../plugins/segments/python-numbers.ts'
import type { Identity } from '../../plugins/segments/segment.ts'
import { conditionsOf, dialect, onClickHouse } from '../segments/clickhouse.ts'
import { evaluated, segmentOf } from '../segments/identities-table.ts'

const DOUBLES = [
  ...[0, 1, 0.1, 0.5, 1.5, 2.5, 100, 1e15, 1e16, 1.5e16, 1e20, 1e21, 1e22, 1.5e22],
  ...[
    1e100, 1e299, 1.797e308, 1e-4, 1e-5, 1.5e-5, 1e-6, 1e-7, 1e-10, 1e-99, 1e-100, 1e-300, 5e-324, 2.2e-308,
  ],
  ...[2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64, 2 ** 100, 1 / 3, 123456.789, 9_999_999_999_999_998],
].flatMap(value => [value, -value])
/** Without a point or an exponent they would be integers, also in JSON. */
const PRINTED = DOUBLES.map(value => (/[.e]/.test(String(value)) ? String(value) : `${value}.0`))
const INTEGERS = ['0', '-0', '00', '1', '-1', '007', '-007', '9', '10', '-10', '999999999999999999']
  .concat(['1000000000000000000', '-9223372036854775808', '9223372036854775807', '18446744073709551616'])
  .concat([`1${'0'.repeat(76)}`, `-${'9'.repeat(200)}`, '9'.repeat(300), `000${'1'.repeat(20)}`])
const DIVISORS = [3, -3, 7, 0.5, 0.1, -2.5, 1e20, 1e-300, 5e-324, 1.797e308, 0.3, 2 ** 70, -(2 ** -1060)]
const COMPARISONS: readonly Comparison[] = ['=', '<>', '<', '<=', '>', '>=']

/** Names that lead elsewhere in ClickHouse, or nearly. */
const NAMES = [
  '',
  'a:b',
  ':a',
  '^a',
  'a^b',
  'a[]',
  'a%2Eb',
  'null',
  'size0',
  'select',
  'A',
  ':String',
  '@a',
  '`',
  '\\`',
].concat([
  'nul\0',
  '$.identity.key',
  'x.',
  '.x',
  'y..y',
  '.',
  'z.:String',
  'z.^z',
  "'",
  '"',
  '\\',
  '{p0:String}',
  '?',
])

const scope = { alias: 'i', literal: clickHouseText }

await onClickHouse(t, async (t, clickHouse) => {
  const { query, storeJson, verdicts } = clickHouse
  /** One value for each expression. */
  const select = (expressions: readonly string[]) =>
    query(`select [${expressions.map(one => `toString(${one})`).join(', ')}]`)
      .trim()
      .slice(1, -1)
      .split(',')
      .map(text => text.replaceAll("'", ''))
  const text = (value: string) => `materialize(${clickHouseText(value)}::Nullable(String))`

  t.test('floats as Python prints them, from texts and from numbers of JSON', async t => {
    const expected = DOUBLES.map(value => pythonFloatText(value + 0))
    t.same(select(PRINTED.map(value => dialect.floatText(text(value)))), expected)
    t.same(select(['007.50', '-00.10', '-0.0'].map(value => dialect.floatText(text(value)))), [
      '7.5',
      '-0.1',
      '0.0',
    ])
    storeJson(PRINTED.map(value => `{"t":${value}}`))
    const printed = dialect.floatText(dialect.trait(['t'], scope).text)
    t.same(query(`select ${printed} from IDENTITIES i order by id`).trim().split('\n'), expected)
    t.equal(
      query('select count() from IDENTITIES i where dynamicType(i.traits.t) = $$Float64$$'),
      `${DOUBLES.length}\n`,
    )
  })

  t.test('integers of any size', async t => {
    storeJson(INTEGERS.map(one => JSON.stringify({ t: one })))
    const { text } = dialect.trait(['t'], scope)
    for (const operand of INTEGERS.map(BigInt)) {
      const found = verdicts(
        COMPARISONS.map(comparison => dialect.compareInteger(text, comparison, operand, scope)),
      )
      const expected = INTEGERS.map(one =>
        COMPARISONS.map(comparison => (holds(BigInt(one), comparison, operand) ? 't' : 'f')).join(''),
      )
      t.same(found, expected, String(operand))
    }
    const shortest = query(`select ${dialect.integerText(text)} from IDENTITIES i order by id`)
    t.same(
      shortest.trim().split('\n'),
      INTEGERS.map(one => String(BigInt(one))),
    )
  })

  t.test('remainders of doubles, exactly', async t => {
    storeJson(PRINTED.map(one => `{"t":${one}}`))
    const { text } = dialect.trait(['t'], scope)
    for (const divisor of DIVISORS) {
      const remainders = DOUBLES.map(value => pythonModulo(value, divisor))
      const some = remainders.filter((_, index) => index % 9 === 0)
      // And their neighbours, which are none.
      const asked = some.flatMap(one => [one, one === 0 ? 5e-324 : one * (1 + 2 ** -52)])
      const found = verdicts(asked.map(one => dialect.pythonRemainderIs(text, divisor, one)))
      const expected = remainders.map(one => asked.map(other => (one === other ? 't' : 'f')).join(''))
      t.same(found, expected, String(divisor))
    }
  })

  t.test('names that lead elsewhere in ClickHouse, and NUL', async t => {
    const identities = NAMES.flatMap((name): Identity[] => [
      { identifier: `text ${name}`, traits: { [name]: `a\0${name}` } },
      { identifier: `object ${name}`, traits: { [name]: { inner: 'a' } } },
      { identifier: `float ${name}`, traits: { [name]: 0.5 } },
    ])
    clickHouse.store(identities.concat({ identifier: 'a', traits: { a: 'a', z: 'z' } }))
    const segments = NAMES.flatMap(name => [
      segmentOf({ property: name, operator: 'EQUAL', value: `a\0${name}` }),
      segmentOf({ property: name, operator: 'EQUAL', value: '0.5' }),
      segmentOf({ property: name, operator: 'IS_SET', value: '' }),
      segmentOf({
        property: `$.identity.traits[${JSON.stringify(name)}].inner`,
        operator: 'EQUAL',
        value: 'a',
      }),
    ])
    const found = verdicts(conditionsOf(segments) as string[])
    for (const [row, identity] of identities.entries()) {
      const expected = evaluated(identity, segments)
      // A trait is an object too when another name goes on behind a dot.
      const [name = ''] = Object.keys(identity.traits ?? {})
      const isOther = (index: number) => name.includes('.') && NAMES[Math.floor(index / 4)] !== name
      const wrong = segments.filter((_, index) => found[row]?.[index] !== expected[index] && !isOther(index))
      t.same(wrong, [], JSON.stringify(identity))
    }
  })

  t.test('what the column refuses or loses', async t => {
    for (const number of ['18446744073709551616', '-9223372036854775809', '1e400']) {
      t.throws(() => storeJson([`{"t":${number}}`]), /Cannot parse JSON object/, number)
    }
    t.throws(() => storeJson(['{"t":"\\ud800"}']), /Cannot parse JSON object/, 'half a surrogate pair')
    t.throws(() => storeJson(['{"a":{"b":1},"a.b":2}']), /Duplicate path/)
    const stored = (json: string) => {
      storeJson([json])
      return query('select traits from IDENTITIES').trim()
    }
    t.equal(stored('{"t":{},"u":null,"v":{"w":{}}}'), '{}', 'empty objects and null')
    t.equal(stored('{"a.b":1}'), '{"a":{"b":1}}', 'a dot leads into an object')
    t.equal(
      stored('{"t":"2020-01-01T00:00:00Z"}'),
      '{"t":"2020-01-01T00:00:00Z"}',
      'with the settings that the dialect asks for',
    )
    query('set input_format_try_infer_dates = 1, input_format_try_infer_datetimes = 1')
    t.equal(stored('{"t":"2020-01-01T00:00:00Z"}'), '{"t":"2020-01-01 00:00:00"}', 'a text became a date')
    storeJson(['{"t":"2020-01-01"}'])
    const asked = conditionsOf([segmentOf({ property: 't', operator: 'EQUAL', value: '2020-01-01' })])
    t.same(verdicts(asked as string[]), ['t'], 'a date of that form is still the same text')
  })
})

function holds(left: bigint, comparison: Comparison, right: bigint): boolean {
  if (left === right) return ['=', '<=', '>='].includes(comparison)
  return comparison === '<>' || comparison.startsWith(left < right ? '<' : '>')
}
