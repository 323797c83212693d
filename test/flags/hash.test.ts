import { createHash } from 'node:crypto'
import t from 'tap'
import { flypperBucket, murmur3, saltedShare } from '../../plugins/flags/hash.ts'

t.test('murmur3 gives what is published for it', async t => {
  t.equal(murmur3(''), 0)
  t.equal(murmur3('hello'), 0x248bfa47)
  t.equal(murmur3('hello, world'), 0x149bbb7f)
  t.equal(murmur3('19 Jan 2038 at 3:14:07 AM'), 0xe31e8a70)
  t.equal(murmur3('The quick brown fox jumps over the lazy dog.'), 0xd5c48bfc)
})

t.test('murmur3 is that of the bytes in UTF-8, with any number of bytes at the end', async t => {
  // By the reference algorithm over the bytes.
  const hashes: Record<string, number> = {
    a: 0x3c2569b2,
    aa: 0x371091a9,
    aaa: 0xb4d05fb7,
    aaaa: 0x7eeed987,
    é: 0x10110787,
    日本: 0xc4d9f942,
    ππππππππ: 0xec72b6e8,
    '😀ab': 0x36badd9a,
    'new-checkout:42': 0xf40b6da9,
  }
  for (const [text, hash] of Object.entries(hashes)) t.equal(murmur3(text), hash, text)
})

t.test('flypper takes the whole digest as one number', async t => {
  // int.from_bytes(md5(b'42').digest(), 'big') % 10_000
  for (const id of ['42', '', 'é5', '😀']) {
    const digest = createHash('md5').update(id).digest('hex')
    t.equal(flypperBucket(id), Number(BigInt(`0x${digest}`) % 10_000n))
  }
})

t.test('a share is from 0 to below 1', async t => {
  const shares = Array.from({ length: 1_000 }, (_none, id) => saltedShare('f', String(id)))
  t.ok(Math.max(...shares) < 1)
  t.ok(Math.min(...shares) >= 0)
})
