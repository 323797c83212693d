import t from 'tap'
import { JsonPath, valueAt } from '../../plugins/segments/json-path.ts'
import { rawJson } from '../../plugins/segments/raw-json.ts'

const parsed = (text: string): JsonPath => {
  const path = JsonPath.parse(text)
  if (path === undefined) throw new Error(`${text} is no path`)
  return path
}

const context = {
  environment: { key: 'e', name: 'Test' },
  identity: {
    identifier: 'id',
    traits: {
      age: 47,
      score: rawJson('1.0'),
      address: { city: 'Oslo', 'post code': '0150' },
      tags: ['a', 'b'],
    },
  },
}

t.test('only what begins with $. and can be parsed is a path', async t => {
  for (const text of [
    '',
    'age',
    '$',
    '$age',
    '$[0]',
    "$['identity']",
    '$.',
    '$.  a',
    '$.a b',
    '$.a.',
    '$.a[',
    '$.-',
    '$.a.0',
  ]) {
    t.equal(JsonPath.parse(text), undefined, text)
  }
  for (const text of ['$.a', '$.a.b', "$.a['b c']", '$.a[0]', '$.*', '$..a', '$.a[?@.b==1]', '$.é']) {
    t.not(JsonPath.parse(text), undefined, encodeURIComponent(text))
  }
})

t.test('the names of a path, however they are spelled', async t => {
  t.same(parsed('$.identity.traits.age').names, ['identity', 'traits', 'age'])
  t.same(parsed(`$.identity['traits']["post code"]`).names, ['identity', 'traits', 'post code'])
  t.same(parsed("$.identity.traits['it\\'s']").names, ['identity', 'traits', "it's"])
  t.same(parsed('$.a["\\u0041\\ud83d\\ude00"]').names, ['a', 'A😀'])
  for (const text of ['$.a[0]', '$.a.*', '$..a', '$.a..b', "$.a['b','c']", '$.a[?@.b]', '$.a[0:1]']) {
    t.equal(parsed(text).names, undefined, text)
  }
})

t.test('a path is constant when it begins with another name than identity', async t => {
  for (const text of ['$.environment.name', '$.segments.*.key', '$.features..name', '$.x[0]']) {
    t.ok(parsed(text).isConstant, text)
  }
  for (const text of ['$.identity.identifier', '$.*', '$..name', "$.identity['key']"]) {
    t.notOk(parsed(text).isConstant, text)
  }
  t.notOk(
    parsed('$.environment[?$.identity.traits.age > 40]').isConstant,
    'a filter that leads to the identity',
  )
})

t.test('what a path finds', async t => {
  const found: readonly (readonly [path: string, value: unknown])[] = [
    ['$.environment.name', 'Test'],
    ['$.identity.traits.age', 47],
    ['$.identity.traits.address.city', 'Oslo'],
    ['$.identity.traits.address["post code"]', '0150'],
    ['$.identity.traits.tags[1]', 'b'],
    ['$.identity.traits.tags[-1]', 'b'],
    ['$.identity.traits.tags.length', undefined],
    ['$.identity.traits.nothing', undefined],
    ['$.identity.traits.constructor', undefined],
    ['$.identity.traits.__proto__', undefined],
    ['$.identity.traits.age.toFixed', undefined],
    ['$..city', 'Oslo'],
    ['$.identity.traits[?@ == 47]', 47],
    ['$.identity.traits.tags[?@ == "b"]', 'b'],
    ['$.environment[?$.identity.traits.age > 40]', 'e'],
  ]
  for (const [path, value] of found) {
    t.equal(parsed(path).find(context), value, path)
  }
})

t.test('numbers keep their spelling, and are nothing that a path leads into', async t => {
  const { score } = context.identity.traits
  t.equal(parsed('$.identity.traits.score').find(context), score)
  t.equal(parsed('$.identity.traits[?@ == 1]').find(context), score)
  t.equal(parsed('$.identity.traits.score.rawJSON').find(context), undefined)
  t.equal(parsed('$..rawJSON').find(context), undefined)
})

t.test('what is inherited is not there', async t => {
  t.equal(valueAt({}, ['toString']), undefined)
  t.equal(valueAt({}, ['__proto__']), undefined)
  t.equal(valueAt(JSON.parse('{"__proto__":{"a":1}}'), ['__proto__', 'a']), 1)
  t.equal(valueAt([1], ['0']), undefined)
  t.equal(valueAt({ 0: 1 }, [0]), undefined)
  t.equal(valueAt(null, ['a']), undefined)
  t.equal(valueAt('text', ['length']), undefined)
})
