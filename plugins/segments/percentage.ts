import { hash } from 'node:crypto'

/** How many remainders there are. The last one is the same as 100 percent, and is hashed again. */
const REMAINDERS = 9999
/** The last bucket. */
export const LAST_BUCKET = REMAINDERS - 2

/**
 * Where somebody is on the scale of a segment's percentage.
 *
 * @param value as Python prints it
 * @returns 0 to 9997; of 9998 that is the percentage
 */
export function bucketOf(segmentKey: string, value: string): number {
  const ids = `${segmentKey},${value}`
  // All remainders but the last one end this, so it goes on for ever with a chance of nought.
  for (let hashed = ids; ; hashed += `,${ids}`) {
    const bucket = remainderOf(hashed)
    if (bucket <= LAST_BUCKET) return bucket
  }
}

function remainderOf(text: string): number {
  const digest = hash('md5', text, 'buffer')
  let rest = 0
  // 32 bits at a time: a remainder below 10,000 and 32 bits behind it are an exact number.
  for (let at = 0; at < 16; at += 4) rest = (rest * 4_294_967_296 + digest.readUInt32BE(at)) % REMAINDERS
  return rest
}

/**
 * The greatest bucket that is within a percentage, in the arithmetic of the reference: doubles.
 *
 * @param threshold in percent; may be infinite or NaN
 * @returns -1 when none is
 */
export function mostBucket(threshold: number): number {
  if (!(threshold >= 0)) return -1
  if (threshold >= 100) return LAST_BUCKET
  // Rounding may be off by one in either direction.
  let bucket = Math.min(Math.ceil((threshold / 100) * (LAST_BUCKET + 1)) + 1, LAST_BUCKET)
  while (percentage(bucket) > threshold) bucket--
  return bucket
}

function percentage(bucket: number): number {
  return (bucket / (LAST_BUCKET + 1)) * 100
}
