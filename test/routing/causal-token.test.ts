import { createHmac } from 'node:crypto'
import t from 'tap'
import { type Positions, TokenSigner } from '../../src/routing/causal-token.ts'
import type { Position } from '../../src/routing/position.ts'
import { random } from '../support/random.ts'

const SECRET = 'the first secret of the tests'
const OTHER = 'the second secret of the tests'
const MAX_AGE = 60_000
const NOW = 1_790_000_000_000
const LONGEST = 1_024
/** What a cookie or a header can bring along, and what they cannot. */
const ALPHABET =
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+/= "\\;,%\u0000\n\u00e4\u{1f600}'

const next = random(4_711)
const below = (limit: number): number => Math.floor(next() * limit)
const digits = (bits: number): bigint => {
  let value = 0n
  for (let at = 0; at < bits; at += 16) value = (value << 16n) | BigInt(below(2 ** 16))
  return value
}
const position = (): Position => ({
  system: digits(64).toString(),
  timeline: 1 + below(2 ** 32 - 1),
  lsn: digits(64),
})
const positions = (): Position[] => Array.from({ length: 1 + below(4) }, position)

const signer = new TokenSigner([SECRET], MAX_AGE)
const known = positions()
const token = signer.sign(known, NOW)

/** What it says to a token that must not count. */
function refused(text: string, by = signer, now = NOW): Positions | string {
  return by.verify(text, now)
}

t.test('2,000 tokens say what was signed, and fit into a cookie and a header', async t => {
  const wrong: string[] = []
  for (let i = 0; i < 2_000; i++) {
    const said = positions()
    const text = signer.sign(said, NOW - below(MAX_AGE))
    t.same(signer.verify(text, NOW), said)
    // RFC 6265 cookie-octet and RFC 9110 token at once
    if (!/^[\w.~-]+$/.test(text)) wrong.push(text)
  }
  const extremes = [{ system: (2n ** 64n - 1n).toString(), timeline: 2 ** 32 - 1, lsn: 2n ** 64n - 1n }]
  t.same(signer.verify(signer.sign(extremes, NOW), NOW), extremes)
  t.same(signer.verify(signer.sign([], NOW), NOW), [], 'also when it says nothing')
  t.same(wrong, [])
})

t.test('no other character counts, at no place', async t => {
  const wrong: string[] = []
  for (let at = 0; at < token.length; at++) {
    for (const character of ALPHABET) {
      if (character === token[at]) continue
      const changed = token.slice(0, at) + character + token.slice(at + 1)
      if (typeof refused(changed) !== 'string') wrong.push(`'${character}' at ${at} of ${token.length}`)
    }
  }
  t.same(wrong, [])
})

t.test('no character more counts, at no place', async t => {
  const wrong: string[] = []
  for (let at = 0; at <= token.length; at++) {
    for (const character of ALPHABET) {
      const changed = token.slice(0, at) + character + token.slice(at)
      if (typeof refused(changed) !== 'string') wrong.push(`'${character}' before ${at} of ${token.length}`)
    }
  }
  t.same(wrong, [])
})

t.test('no part of a token counts', async t => {
  const wrong: string[] = []
  for (let at = 0; at < token.length; at++) {
    if (typeof refused(token.slice(0, at)) !== 'string') wrong.push(`the first ${at} characters`)
    if (at > 0 && typeof refused(token.slice(at)) !== 'string')
      wrong.push(`without the first ${at} characters`)
    const without = token.slice(0, at) + token.slice(at + 1)
    if (typeof refused(without) !== 'string') wrong.push(`without the character ${at}`)
  }
  t.same(wrong, [])
})

t.test('parts of two tokens are no token', async t => {
  const second = signer.sign(positions(), NOW)
  const [version, text, mac] = token.split('.')
  const [, otherText, otherMac] = second.split('.')
  t.equal(refused([version, text, otherMac].join('.')), 'forged')
  t.equal(refused([version, otherText, mac].join('.')), 'forged')
  t.equal(refused(`${token}.${mac}`), 'forged')
  t.equal(refused(`${token}${second}`), 'forged')
  t.equal(refused(token.replace('v1.', 'v2.')), 'malformed')
})

t.test('whatever comes is ignored, and nothing throws', async t => {
  const wrong: string[] = []
  const odd: unknown[] = [
    '',
    '.',
    '..',
    'v1',
    'v1.',
    'v1..',
    'v1.~',
    'v1.~~~.',
    'v1.0.',
    `v1.${'.'.repeat(40)}`,
  ]
  odd.push(
    'null',
    '{}',
    '"',
    `"${token}"`,
    ` ${token}`,
    `${token} `,
    token.toUpperCase(),
    encodeURIComponent(`${token}=`),
  )
  // JavaScript, and a transport of one's own, may bring anything.
  odd.push(undefined, null, 7, {}, [], [token], Symbol('token'), Buffer.from(token))
  for (const text of odd) t.equal(refused(text as string), 'malformed', String(text).slice(0, 40))
  for (let i = 0; i < 5_000; i++) {
    const text = Array.from({ length: below(120) }, () => ALPHABET[below(ALPHABET.length)]).join('')
    if (typeof refused(i % 2 === 0 ? text : `v1.${text}`) !== 'string') wrong.push(text)
  }
  t.same(wrong, [])
})

t.test('what is longer than any token is not even looked at', async t => {
  const many = Array.from({ length: 40 }, position)
  const long = signer.sign(many, NOW)
  t.ok(long.length > LONGEST)
  t.equal(refused(long), 'malformed')
  t.equal(refused('v1.'.padEnd(10_000_000, '~')), 'malformed')
  const fits = many.slice(0, 20)
  t.ok(signer.sign(fits, NOW).length <= LONGEST)
  t.same(signer.verify(signer.sign(fits, NOW), NOW), fits, '20 clusters are no problem')
})

t.test('a token counts until maxAge has passed, and not a millisecond longer', async t => {
  t.same(signer.verify(token, NOW + MAX_AGE), known)
  t.equal(refused(token, signer, NOW + MAX_AGE + 1), 'expired')
  t.same(signer.verify(token, NOW - 5_000), known, 'the clock of another process may be ahead')
  t.same(new TokenSigner([SECRET], 2 * MAX_AGE).verify(token, NOW + MAX_AGE + 1), known)
  t.same(signer.verify(signer.sign(known)), known, 'the clock is the system clock')
})

t.test('secrets can be changed', async t => {
  const old = new TokenSigner([OTHER], MAX_AGE)
  const both = new TokenSigner([SECRET, OTHER], MAX_AGE)
  const turned = new TokenSigner([OTHER, SECRET], MAX_AGE)
  const oldToken = old.sign(known, NOW)
  t.equal(refused(oldToken), 'forged', 'not with a secret that one does not have')
  t.same(both.verify(oldToken, NOW), known)
  t.same(both.verify(token, NOW), known)
  t.same(turned.verify(token, NOW), known, 'in whatever order')
  t.equal(both.sign(known, NOW), token, 'the first one signs')
  t.equal(turned.sign(known, NOW), oldToken)
  t.equal(refused(both.sign(known, NOW), old), 'forged')
})

t.test('what was signed with the same secret for another purpose does not count', async t => {
  const wrong: string[] = []
  const text = token.slice(0, token.lastIndexOf('.'))
  const hmac = (value: string): Buffer => createHmac('sha256', SECRET).update(value).digest()
  // As @fastify/cookie and cookie-signature do it: value, dot, base64 without padding
  const cookie = (value: string): string => `${value}.${hmac(value).toString('base64').replace(/=+$/, '')}`
  t.equal(refused(cookie(text)), 'malformed')
  for (const purpose of [
    '',
    'fastify-sqlassist:',
    'fastify-sqlassist',
    'fastify-sqlassist causal token:',
    'v1.',
  ]) {
    const whole = hmac(`${purpose}${text}`)
    for (const mac of [whole, whole.subarray(0, 16), whole.subarray(16)]) {
      for (const encoding of ['base64url', 'base64', 'hex'] as const) {
        const forged = `${text}.${mac.toString(encoding)}`
        if (typeof refused(forged) !== 'string')
          wrong.push(`'${purpose}' in front, ${mac.length} bytes, ${encoding}`)
      }
    }
  }
  t.same(wrong, [])
})
