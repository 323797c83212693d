import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const SHORTEST = 8

/** Nobody guesses it: 96 bits. */
export function makePassword(): string {
  return randomBytes(12).toString('base64url')
}

/** @throws when it is too short to be one */
export function checkPassword(password: string): string {
  if (password.length < SHORTEST) {
    throw new Error(`ADMIN_PASSWORD is too short: use ${SHORTEST} characters or more`)
  }
  return password
}

/** How long it takes tells nothing about the right one, not even its length. */
export function isSamePassword(given: string, right: string): boolean {
  return timingSafeEqual(digest(given), digest(right))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
