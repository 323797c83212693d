import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Transcoder } from '../../plugins/events/transcoder.ts'
import { decimal, type Transcoding } from '../../plugins/events/transcodings.ts'

function refuse(...args: unknown[]): never {
  throw args
}

/** What comes back. */
function through(value: unknown, transcoder = new Transcoder()): unknown {
  const text = transcoder.stringify(value, refuse)
  if (text === undefined) return undefined
  const plain = JSON.parse(Buffer.from(text).toString())
  return Transcoder.isMarked(text) ? transcoder.revive(plain, refuse) : plain
}

/** Why it is refused, and where. */
function refusal(value: unknown, transcoder = new Transcoder()): unknown[] {
  try {
    transcoder.stringify(value, refuse)
  } catch (reason) {
    if (Array.isArray(reason)) return reason
    throw reason
  }
  return []
}

/** Why it cannot be read. */
function unreadable(plain: unknown, transcoder = new Transcoder()): unknown[] {
  try {
    transcoder.revive(plain, refuse)
  } catch (reason) {
    if (Array.isArray(reason)) return reason
    throw reason
  }
  return []
}

class Money {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  valueOf() {
    return this.text
  }
}

const key = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', '_type_', '_data_', 'toJSON', 'constructor', '', '0', '\ud800', 'a\udc00b'),
)
const { value: anything } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.string({ unit: 'binary' }),
    fc.constantFrom('date', 'object', '\ud800', '"_type_":', '\u2028', '\0'),
    fc.double(),
    fc.integer(),
    fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53, 5e-324),
    fc.boolean(),
    fc.constant(null),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.uint8Array().map(bytes => Buffer.from(bytes)),
    fc.array(fc.oneof(tie('value'), fc.constant(undefined))),
    fc.array(fc.tuple(key, tie('value'))).map(entries => Object.fromEntries(entries)),
    fc.array(fc.tuple(key, tie('value'))).map(entries => ownFields(entries)),
    fc.array(fc.tuple(tie('value'), tie('value'))).map(entries => new Map(entries)),
    fc.array(tie('value')).map(members => new Set(members)),
    fc.record(
      { _type_: fc.constantFrom('date', 'object', 'nothing', 'map'), _data_: tie('value') },
      { noNullPrototype: true },
    ),
    fc.string().map(text => new Money(text)),
  ),
}))

/** Also one that is called __proto__. */
function ownFields(entries: readonly [string, unknown][]): object {
  const object = {}
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  }
  return object
}

t.test('whatever JSON and the transcodings know comes back as it was', async () => {
  const transcoder = new Transcoder([decimal(Money, 'money')])
  fc.assert(
    fc.property(anything, value => {
      deepStrictEqual(typed(through(value, transcoder)), typed(value))
    }),
    { numRuns: 1_000 },
  )
})

/** Each value with its type, so that nothing is taken for something else that looks like it. */
function typed(value: unknown): unknown {
  if (typeof value === 'number') return ['number', Object.is(value, -0) ? '-0' : String(value)]
  if (typeof value !== 'object' || value === null) return [typeof value, String(value)]
  const name = Object.getPrototypeOf(value)?.constructor.name
  if (value instanceof Date) return [name, value.getTime()]
  if (value instanceof Uint8Array) return [name, [...value].join()]
  if (value instanceof Money) return [name, value.text]
  if (value instanceof Map) return [name, [...value].map(typed)]
  if (Array.isArray(value) || value instanceof Set) return [name, Array.from(value, typed)]
  return [name, Object.entries(value).map(([field, member]) => [field, typed(member)])]
}

t.test('what looks like a mark is none', async t => {
  for (const value of [
    { _type_: 'date', _data_: '2026-01-31' },
    { _type_: 'date' },
    { _type_: { _type_: 'object', _data_: [] } },
    { _data_: 1 },
    { a: [{ _type_: 'nobody knows it', _data_: new Date(0) }] },
    { '\\"_type_': 1 },
    '{"_type_":"date"}',
    ['"_type_":'],
  ]) {
    t.strictSame(typed(through(value)), typed(value))
  }
  t.strictSame(through({ _type_: undefined, a: 1 }), { a: 1 })
  t.strictSame(through({ _type_: 1, a: undefined }), { _type_: 1 })
})

t.test('undefined is left out of objects, and keeps its place in arrays, Maps and Sets', async t => {
  t.equal(through(undefined), undefined)
  t.strictSame(Object.keys(through({ a: undefined, b: 1 }) as object), ['b'])
  t.strictSame(through([undefined, 1]), [undefined, 1])
  // biome-ignore lint/suspicious/noSparseArray: that is the question
  t.strictSame(through([, 1]), [undefined, 1])
  t.strictSame(through(new Map([[undefined, undefined]])), new Map([[undefined, undefined]]))
  t.strictSame(through(new Set([undefined])), new Set([undefined]))
})

t.test('a Date that is none comes back as one that is none', async t => {
  const { at } = through({ at: new Date(Number.NaN) }) as { at: Date }
  t.ok(at instanceof Date && Number.isNaN(at.getTime()))
})

t.test('a field called __proto__ is data, never a prototype', async t => {
  const read = through(JSON.parse('{"__proto__": {"isAdmin": true}, "at": 1}')) as { isAdmin?: boolean }
  t.equal(read.isAdmin, undefined)
  t.equal(Object.getPrototypeOf(read), Object.prototype)
  const dated = through(ownFields([['__proto__', { at: new Date(0) }]])) as object
  t.equal(Object.getPrototypeOf(dated), Object.prototype)
  t.strictSame(Object.getOwnPropertyDescriptor(dated, '__proto__')?.value, { at: new Date(0) })
  const marked = through(
    ownFields([
      ['_type_', 1],
      ['__proto__', { isAdmin: true }],
    ]),
  ) as { isAdmin?: boolean }
  t.equal(marked.isAdmin, undefined)
})

t.test('data of a few hundred levels is stored, deeper data is refused', async t => {
  const deep = (levels: number, wrap: (inner: unknown) => unknown) => {
    let value: unknown = new Date(0)
    for (let level = 1; level < levels; level++) value = wrap(value)
    return value
  }
  for (const wrap of [(a: unknown) => ({ a }), (a: unknown) => [a], (_type_: unknown) => ({ _type_ })]) {
    const value = deep(1_000, wrap)
    t.equal(JSON.stringify(through(value)), JSON.stringify(value))
    t.match(refusal(deep(1_001, wrap)), ['data', 'is more than 1000 objects deep'])
    t.match(refusal(deep(100_000, wrap)), ['data', 'is more than 1000 objects deep'])
  }
  t.match(through(deep(300, a => new Map([[1, a]]))), Map)
})

t.test('what cannot be stored is named, with its path', async t => {
  class Trick {}
  class Tricks extends Array {}
  class Place extends Map {}
  const loop: { inner: { outer?: unknown } } = { inner: {} }
  loop.inner.outer = loop
  const list: unknown[] = []
  list.push(new Map([['a', list]]))
  const cases: [unknown, string, RegExp][] = [
    [() => {}, 'data', /^is a function/],
    [{ a: Symbol('x') }, 'data.a', /^is a symbol/],
    [{ tricks: [{}, { last: new Trick() }] }, 'data.tricks[1].last', /^is an instance of Trick/],
    [{ 'two words': new (class {})() }, 'data["two words"]', /^is an instance of a class/],
    [new Tricks(), 'data', /^is an instance of Tricks/],
    [{ a: new Place() }, 'data.a', /^is an instance of Place/],
    [{ at: new (class Day extends Date {})() }, 'data.at', /^is an instance of Day/],
    [new Map([['key', /x/]]), 'data[0][1]', /^is an instance of RegExp/],
    [[new Set([Promise.resolve()])], 'data[0][0]', /^is an instance of Promise/],
    [{ toJSON: () => 1 }, 'data.toJSON', /^is a function/],
    [new Float64Array(1), 'data', /Float64Array/],
    [Object(1), 'data', /^is an instance of Number/],
    [loop, 'data.inner.outer', /^contains itself/],
    [{ list }, 'data.list[0][0][1]', /^contains itself/],
  ]
  for (const [value, path, reason] of cases) t.match(refusal(value), [path, reason])
})

t.test('what is there twice is no cycle', async t => {
  const twice = { city: 'Bern' }
  t.strictSame(through({ a: twice, b: [twice, twice] }), { a: twice, b: [twice, twice] })
})

t.test('the value that is written is not changed', async t => {
  const value = {
    at: new Date(0),
    list: [1n, { _type_: 'x', n: Number.NaN }],
    m: new Map([[1, new Set([-0])]]),
  }
  const before = structuredClone(value)
  through(value)
  t.strictSame(value, before)
})

t.test('a registered transcoding is asked before those that are built in', async t => {
  const day: Transcoding<Date, string> = {
    name: 'day',
    is: value => value instanceof Date,
    encode: value => value.toISOString().slice(0, 10),
    decode: text => new Date(`${text}T00:00:00Z`),
  }
  const value = { at: new Date('2026-01-31T12:00:00Z') }
  t.strictSame(through(value, new Transcoder([day])), { at: new Date('2026-01-31T00:00:00Z') })
})

t.test('a transcoding may make something that needs another one', async t => {
  class Stay {
    readonly from: Date
    readonly price: Money
    constructor(from: Date, price: Money) {
      this.from = from
      this.price = price
    }
  }
  const stay: Transcoding<Stay, { from: Date; price: Money }> = {
    name: 'stay',
    is: value => value instanceof Stay,
    encode: value => ({ ...value }),
    decode: ({ from, price }) => new Stay(from, price),
  }
  const transcoder = new Transcoder([decimal(Money), stay])
  t.strictSame(through([new Stay(new Date(7), new Money('1.10'))], transcoder), [
    new Stay(new Date(7), new Money('1.10')),
  ])
  t.match(refusal([new Stay(new Date(7), new Money('1.10'))], new Transcoder([stay])), ['data[0].price'])
})

t.test('a transcoding that fails is named', async t => {
  const failure = new RangeError('no')
  const fail = () => {
    throw failure
  }
  const money = { name: 'money', is: (value: unknown): value is Money => value instanceof Money }
  const writing = new Transcoder([{ ...money, encode: fail, decode: fail }])
  t.match(refusal({ a: new Money('1') }, writing), ['data.a', /'money'/, failure])
  const reading = new Transcoder([{ ...money, encode: String, decode: fail }])
  t.match(unreadable({ _type_: 'money', _data_: '1' }, reading), [/'money'/, failure])
  const itself = new Transcoder([{ ...money, encode: (value: Money) => value, decode: fail }])
  t.match(refusal({ a: new Money('1') }, itself), ['data.a', /encoded as itself/])
  const big: Transcoding<bigint> = {
    name: 'big',
    is: value => typeof value === 'bigint',
    encode: value => value,
    decode: BigInt,
  }
  t.match(refusal({ a: 1n }, new Transcoder([big])), ['data.a', /encoded as itself/])
})

t.test('a mark that nobody knows is refused, also by the names of what every object has', async t => {
  for (const name of ['money', 'constructor', '__proto__', 1, null, { toString: 1 }]) {
    t.match(unreadable({ a: { _type_: name, _data_: '1' } }), [/no transcoding/])
  }
})

t.test('what JavaScript says of a damaged value is not passed on: it would quote it', async t => {
  for (const [name, data] of [
    ['bigint', 'secret'],
    ['map', 'secret'],
    ['object', 7],
    ['set', 7],
    ['buffer', null],
  ]) {
    t.strictSame(unreadable({ _type_: name, _data_: data }), [
      `the transcoding '${name}' does not understand it`,
      undefined,
    ])
  }
})

t.test('transcodings have names of their own', async t => {
  const named = (name: string): Transcoding => ({ ...decimal(Money), name })
  const refused = { code: 'SQLA_ERR_INVALID_OPTION' }
  t.throws(() => new Transcoder([named('a'), named('a')]), refused)
  t.throws(() => new Transcoder([named('date')]), refused)
  t.throws(() => new Transcoder([named('object')]), refused)
  t.ok(new Transcoder([named('a'), named('b')]))
})
