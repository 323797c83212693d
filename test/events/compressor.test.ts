import { inflateSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { brotli, deflate } from '../../plugins/events/compressor.ts'

const state = Buffer.from(JSON.stringify({ data: { name: 'Fido '.repeat(100) } }))

for (const [name, make] of Object.entries({ deflate, brotli })) {
  t.test(`${name}: all bytes come back, whatever they are`, async t => {
    for (const compressor of [make(), make({ minimum: 0 })]) {
      fc.assert(
        fc.property(
          fc.oneof(
            fc.uint8Array(),
            fc.json().map(text => Buffer.from(text)),
          ),
          bytes => {
            t.same([...compressor.decompress(compressor.compress(bytes))], [...bytes])
          },
        ),
        { numRuns: 300 },
      )
      t.same(Buffer.from(compressor.decompress(compressor.compress(state))), state)
    }
  })

  t.test(`${name}: states become smaller, and never larger`, async t => {
    const compressor = make()
    t.ok(compressor.compress(state).length < state.length / 5)
    const short = Buffer.from(`{"data":"${'x'.repeat(150)}"}`)
    t.same(Buffer.from(compressor.compress(short)), short)
    t.ok(make({ minimum: 100 }).compress(short).length < short.length)
    const small = Buffer.from('{"data":{"name":"Fido"}}')
    t.same(Buffer.from(compressor.compress(small)), small)
    t.same(Buffer.from(make({ minimum: 0 }).compress(small)), small)
  })

  t.test(`${name}: states from before it was turned on are read`, async t => {
    t.same(Buffer.from(make().decompress(state)), state)
  })

  t.test(`${name}: what is cut is refused`, async t => {
    const compressed = make().compress(state)
    for (const length of [0, 1, 2, compressed.length - 1]) {
      t.throws(() => make().decompress(compressed.subarray(0, length)))
    }
  })
}

t.test('deflate writes what every zlib reads', async t => {
  t.same(inflateSync(deflate().compress(state)), state)
})

t.test('levels and qualities that there are not are refused', async t => {
  const refused = { code: 'SQLA_ERR_INVALID_OPTION' }
  for (const level of [0, 10, 1.5, Number.NaN, '6' as unknown as number])
    t.throws(() => deflate({ level }), refused)
  for (const quality of [-1, 12, 1.5, Number.NaN]) t.throws(() => brotli({ quality }), refused)
  t.ok(deflate({ level: 1 }) && deflate({ level: 9 }) && brotli({ quality: 0 }) && brotli({ quality: 11 }))
})
