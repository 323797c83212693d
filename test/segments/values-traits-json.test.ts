import t from 'tap'
import { isRawJson, rawJson } from '../../plugins/segments/raw-json.ts'
import { parseTraits, stringifyTraits } from '../../plugins/segments/traits-json.ts'

t.test('what JavaScript would change is kept', async t => {
  for (const json of [
    '{"a":1.0}',
    '{"a":-0.0}',
    '{"a":12345678901234567890}',
    '{"a":9007199254740993}',
    '{"a":-9007199254740993}',
    '{"a":[1.0,{"b":2.0}]}',
    '{"a":0.1000000000000000055511151231257827}',
  ]) {
    t.equal(stringifyTraits(parseTraits(json)), json.includes('0.1000') ? '{"a":0.1}' : json)
  }
})

t.test('all other numbers are numbers', async t => {
  t.same(parseTraits('{"a":1,"b":-2.5,"c":1e3,"d":1e-7,"e":0.10,"f":1e20,"g":-0}'), {
    a: 1,
    b: -2.5,
    c: 1000,
    d: 1e-7,
    e: 0.1,
    f: 1e20,
    g: -0,
  })
  t.ok(isRawJson(parseTraits('{"a":1.0}').a))
  t.notOk(isRawJson(parseTraits('{"a":1}').a))
})

t.test('__proto__ is a trait like any other', async t => {
  const json = '{"__proto__":{"admin":true},"constructor":"c"}'
  const traits = parseTraits(json)
  t.equal(stringifyTraits(traits), json)
  t.equal((traits as { admin?: unknown }).admin, undefined)
  t.equal(({} as { admin?: unknown }).admin, undefined)
})

t.test('texts, lists and null stay as they are', async t => {
  const json = '{"a":"1.0","b":null,"c":[true,"x"],"d":{"e":""},"f":"\\u0000"}'
  t.equal(stringifyTraits(parseTraits(json)), json)
})

t.test('a bigint is a number; what JSON has not is left out or null', async t => {
  t.equal(stringifyTraits({ a: 12345678901234567890n, b: [1n] }), '{"a":12345678901234567890,"b":[1]}')
  t.equal(stringifyTraits({ a: undefined, b: Number.NaN, c: rawJson('1.50') }), '{"b":null,"c":1.50}')
})

t.test('what is no object has no traits, what is no JSON is an error', async t => {
  for (const json of ['null', '[]', '[1]', '1', '1.0', '"a"', 'true']) t.same(parseTraits(json), {}, json)
  t.throws(() => parseTraits('{'), SyntaxError)
  t.throws(() => parseTraits(''), SyntaxError)
})
