import fc from 'fast-check'
import t from 'tap'
import {
  pythonFloat,
  pythonFloatText,
  pythonInt,
  pythonModulo,
} from '../../plugins/segments/python-numbers.ts'

// The expectations are what Python 3.11 prints.

t.test('int() of a text', async t => {
  const read: readonly (readonly [text: string, number: bigint | undefined])[] = [
    ['1', 1n],
    ['+1', 1n],
    ['-1', -1n],
    ['00', 0n],
    ['0_0', 0n],
    ['1_0', 10n],
    [' 1\n', 1n],
    ['\u00851\u00a0', 1n],
    ['\u30001\u2028', 1n],
    ['１２', 12n],
    ['1١', 11n],
    ['𝟏', 1n],
    ['𝟗𝟘𝟙', 901n],
    ['12345678901234567890', 12345678901234567890n],
    ['', undefined],
    [' ', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['1__0', undefined],
    ['_1', undefined],
    ['1_', undefined],
    ['+ 1', undefined],
    ['1 2', undefined],
    ['1\u0000', undefined],
    ['\u001c1', undefined],
    ['1\u200b', undefined],
    ['\ufeff1', undefined],
    ['²', undefined],
    ['1:semver', undefined],
  ]
  for (const [text, number] of read) t.equal(pythonInt(text), number, encodeURIComponent(text))
})

t.test('int() refuses more than 4,300 digits', async t => {
  t.equal(pythonInt('9'.repeat(4300)), 10n ** 4300n - 1n)
  t.equal(pythonInt('9'.repeat(4301)), undefined)
  t.equal(pythonInt(`-${'9'.repeat(4300)}`), 1n - 10n ** 4300n)
})

t.test('float() of a text', async t => {
  const read: readonly (readonly [text: string, number: number | undefined])[] = [
    ['1', 1],
    ['.5', 0.5],
    ['5.', 5],
    ['-1.5e3', -1500],
    ['1E+5', 100_000],
    ['1_0.0_1', 10.01],
    ['1e1_0', 1e10],
    ['1e400', Number.POSITIVE_INFINITY],
    ['-inf', Number.NEGATIVE_INFINITY],
    ['+Infinity', Number.POSITIVE_INFINITY],
    ['iNf', Number.POSITIVE_INFINITY],
    ['nan', Number.NaN],
    ['-NaN', Number.NaN],
    [' 1.5\t', 1.5],
    ['\u30001.5', 1.5],
    ['١.٥', 1.5],
    ['１e２', 100],
    ['', undefined],
    ['.', undefined],
    ['1_.0', undefined],
    ['1._0', undefined],
    ['1e_1', undefined],
    ['1e5.', undefined],
    ['0x10', undefined],
    ['infin', undefined],
    ['1 2', undefined],
    ['١e', undefined],
    ['- 1', undefined],
    ['1.0:semver', undefined],
  ]
  for (const [text, number] of read) t.ok(Object.is(pythonFloat(text), number), encodeURIComponent(text))
})

t.test('str() of a float', async t => {
  const printed: readonly (readonly [number: number, text: string])[] = [
    [1e16, '1e+16'],
    [1e15, '1000000000000000.0'],
    [9999999999999998, '9999999999999998.0'],
    [123456789012345680, '1.2345678901234568e+17'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [2.5e-5, '2.5e-05'],
    [1.5e-7, '1.5e-07'],
    [1e22, '1e+22'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [5e-324, '5e-324'],
    [0.1, '0.1'],
    [100, '100.0'],
    [-2.5, '-2.5'],
    [-1e-5, '-1e-05'],
    [123456.789, '123456.789'],
    [0, '0.0'],
    [-0, '-0.0'],
    [Number.POSITIVE_INFINITY, 'inf'],
    [Number.NEGATIVE_INFINITY, '-inf'],
    [Number.NaN, 'nan'],
  ]
  for (const [number, text] of printed) t.equal(pythonFloatText(number), text)
  fc.assert(
    fc.property(fc.double(), number => Object.is(pythonFloat(pythonFloatText(number)), number)),
    { numRuns: 2000 },
  )
})

t.test('the remainder has the sign of the divisor', async t => {
  const remainders: readonly (readonly [dividend: number, divisor: number, remainder: number])[] = [
    [5, 3, 2],
    [-5, 3, 1],
    [5, -3, -1],
    [-5, -3, -2],
    [5.5, 2, 1.5],
    [-0.5, 1.5, 1],
    [5, Number.POSITIVE_INFINITY, 5],
    [-5, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    [5, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
    [1e300, 3.3, 0.6893925374809653],
    [-1, 0.1, 5.551115123125783e-17],
  ]
  for (const [dividend, divisor, remainder] of remainders) {
    t.equal(pythonModulo(dividend, divisor), remainder, `${dividend} % ${divisor}`)
  }
  t.ok(Number.isNaN(pythonModulo(1, 0)))
})
