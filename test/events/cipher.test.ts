import { inspect } from 'node:util'
import t from 'tap'
import { type AesGcmOptions, aesGcm } from '../../plugins/events/cipher.ts'

const aad = Buffer.from('place')
const plain = Buffer.from('what has happened')

t.test('keys of 16, 24 and 32 bytes encrypt, as bytes or as base64', async t => {
  for (const size of [16, 24, 32]) {
    const key = Buffer.alloc(size, size)
    const cipher = aesGcm({ keys: { k: key }, current: 'k' })
    for (const same of [key, new Uint8Array(key), key.toString('base64'), key.toString('base64url')]) {
      const other = aesGcm({ keys: { k: same }, current: 'k' })
      t.same(Buffer.from(other.decrypt(cipher.encrypt(plain, aad), aad)), plain)
    }
  }
})

t.test('nothing can be encrypted, too', async t => {
  const cipher = aesGcm({ keys: { k: Buffer.alloc(16) }, current: 'k' })
  t.equal(cipher.decrypt(cipher.encrypt(Buffer.of(), Buffer.of()), Buffer.of()).length, 0)
})

t.test('the same state is never encrypted to the same bytes', async t => {
  const cipher = aesGcm({ keys: { k: Buffer.alloc(16) }, current: 'k' })
  const nonces = new Set(
    Array.from({ length: 1_000 }, () => Buffer.from(cipher.encrypt(plain, aad)).toString('hex', 3, 15)),
  )
  t.equal(nonces.size, 1_000)
})

t.test('a key can be changed: what the old one has encrypted is still read', async t => {
  const [old, young] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const before = aesGcm({ keys: { old }, current: 'old' })
  const during = aesGcm({ keys: { old, young }, current: 'young' })
  const after = aesGcm({ keys: { young }, current: 'young' })
  const first = before.encrypt(plain, aad)
  const second = during.encrypt(plain, aad)
  t.same(Buffer.from(during.decrypt(first, aad)), plain)
  t.same(Buffer.from(during.decrypt(second, aad)), plain)
  t.same(Buffer.from(after.decrypt(second, aad)), plain)
  t.throws(() => after.decrypt(first, aad), { code: 'SQLA_ERR_DECRYPTION', message: /not among the keys/ })
  t.throws(() => before.decrypt(second, aad), { code: 'SQLA_ERR_DECRYPTION', message: /not among the keys/ })
})

t.test('the key id is authenticated: a state is not read by the same key of another id', async t => {
  const key = Buffer.alloc(32, 1)
  const cipher = aesGcm({ keys: { a: key, b: key }, current: 'a' })
  const secret = Uint8Array.from(cipher.encrypt(plain, aad))
  secret[2] = 'b'.charCodeAt(0)
  t.throws(() => cipher.decrypt(secret, aad), { code: 'SQLA_ERR_DECRYPTION' })
})

t.test('another place, another length of the tag and other bytes are refused', async t => {
  const cipher = aesGcm({ keys: { k: Buffer.alloc(16) }, current: 'k' })
  const secret = cipher.encrypt(plain, aad)
  const refused = { code: 'SQLA_ERR_DECRYPTION' }
  t.throws(() => cipher.decrypt(secret, Buffer.from('elsewhere')), refused)
  t.throws(() => cipher.decrypt(secret.subarray(0, -4), aad), refused)
  t.throws(() => cipher.decrypt(plain, aad), { ...refused, message: /not encrypted here/ })
  t.throws(() => cipher.decrypt(secret.subarray(0, 10), aad), {
    ...refused,
    message: /a part of it is missing/,
  })
  t.throws(() => cipher.decrypt(Buffer.of(), aad), refused)
  t.throws(() => cipher.decrypt(Buffer.of(1, 200), aad), refused)
})

t.test('a key that is none is refused at once, and the message does not have it', async t => {
  const wrong: AesGcmOptions[] = [
    { keys: {}, current: 'k' },
    { keys: { other: Buffer.alloc(16) }, current: 'k' },
    { keys: { k: Buffer.alloc(15) }, current: 'k' },
    { keys: { k: Buffer.alloc(33) }, current: 'k' },
    { keys: { k: '' }, current: 'k' },
    { keys: { k: 'topsecret' }, current: 'k' },
    // 32 bytes, if what is no base64 is passed over as Buffer.from() does
    { keys: { k: `topsecret+${'A'.repeat(20)}!${'A'.repeat(13)}=` }, current: 'k' },
    { keys: { k: `topsecret!${Buffer.alloc(32, 9).toString('base64')}` }, current: 'k' },
    { keys: { k: Buffer.alloc(16), old: 'topsecret' }, current: 'k' },
    { keys: { k: undefined as unknown as string }, current: 'k' },
    { keys: { k: 16 as unknown as string }, current: 'k' },
    { keys: { '': Buffer.alloc(16) }, current: '' },
    { keys: { ['k'.repeat(256)]: Buffer.alloc(16) }, current: 'k'.repeat(256) },
    { keys: { k: Buffer.alloc(16) }, current: 'toString' },
  ]
  for (const options of wrong) {
    try {
      aesGcm(options)
      t.fail(Object.keys(options.keys).join())
    } catch (error) {
      t.match(error, { code: 'SQLA_ERR_INVALID_OPTION' })
      t.notMatch(String(error), /topsecret/)
    }
  }
})

t.test('what happens to the bytes of a key later does not matter', async t => {
  const key = Buffer.alloc(32, 1)
  const cipher = aesGcm({ keys: { k: key }, current: 'k' })
  const secret = cipher.encrypt(plain, aad)
  key.fill(0)
  t.same(Buffer.from(cipher.decrypt(secret, aad)), plain)
})

t.test('a key does not show when a cipher is printed', async t => {
  const cipher = aesGcm({ keys: { k: Buffer.from('topsecret-topsecret-topsecret-to') }, current: 'k' })
  t.notMatch(inspect(cipher, { depth: 9, showHidden: true }), /topsecret|74 6f 70/)
})
