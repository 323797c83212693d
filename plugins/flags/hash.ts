import { hash } from 'node:crypto'

/**
 * Where an actor is on flypper's scale: the MD5 of its id, as a big-endian number, modulo 10,000. The same actor is at
 * the same place in every flag.
 *
 * @returns hundredths of a percent, 0 to 9,999
 * @see https://github.com/nicoolas25/flypper
 */
export function flypperBucket(actorId: string): number {
  const digest = hash('md5', actorId, 'buffer')
  let rest = 0
  // 32 bits at a time: a remainder below 10,000 and 32 bits behind it are an exact number.
  for (let at = 0; at < 16; at += 4) rest = (rest * 4_294_967_296 + digest.readUInt32BE(at)) % 10_000
  return rest
}

/**
 * MurmurHash3, x86, 32 bits, seed 0, of the UTF-8 bytes of a text.
 *
 * @returns a whole number from 0 to 2³² - 1
 * @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
export function murmur3(text: string): number {
  const bytes = isAscii(text) ? undefined : Buffer.from(text)
  const length = bytes?.length ?? text.length
  const at = (index: number): number =>
    bytes === undefined ? text.charCodeAt(index) : (bytes[index] as number)
  let h = 0
  const whole = length & ~3
  for (let index = 0; index < whole; index += 4) {
    let k = at(index) | (at(index + 1) << 8) | (at(index + 2) << 16) | (at(index + 3) << 24)
    k = Math.imul(k, 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let index = length - 1; index >= whole; index--) tail = (tail << 8) | at(index)
  if (length > whole) {
    tail = Math.imul(tail, 0xcc9e2d51)
    tail = (tail << 15) | (tail >>> 17)
    h ^= Math.imul(tail, 0x1b873593)
  }
  h ^= length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 127) return false
  return true
}

/** Where an actor is, for one purpose of one flag: from 0 up to, not including, 1. */
export function saltedShare(salt: string, actorId: string): number {
  return murmur3(`${salt}:${actorId}`) / 4_294_967_296
}
