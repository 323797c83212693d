import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { Position } from './position.ts'

// v1.<issued>~<system>~<timeline>~<lsn>[~<system>~<timeline>~<lsn>…].<mac>
// Numbers as they are read fastest, the mac in base64url: all of it may stand in a cookie and in a header.

const VERSION = 'v1'
/** Characters of base64url, so 132 bits of HMAC-SHA256: RFC 2104, section 5, allows truncating to half. */
const MAC_LENGTH = 22
const MAX_LENGTH = 1_024

/** Why a token was ignored. */
export type TokenProblem = 'malformed' | 'forged' | 'expired'

/** What a token says: the latest position that its bearer has written or seen, one for each cluster. */
export type Positions = readonly Position[]

/** How many tokens are remembered: about a megabyte. */
const MAX_KNOWN = 5_000
const SECOND = 1_000

interface Known {
  /** Milliseconds since the epoch. */
  readonly issued: number
  readonly positions: Positions
}

/**
 * Signs what a client has seen and checks what it brings back. Tokens that it has signed or checked are remembered:
 * most clients bring the same one many times, and an HMAC costs a request more than all the rest of routing.
 *
 * @param secrets the first one signs, all of them are accepted, so that secrets can be changed
 * @param maxAge milliseconds after which a token says nothing any more
 */
export class TokenSigner {
  readonly #keys: readonly KeyObject[]
  readonly #maxAge: number
  readonly #known = new Map<string, Known>()
  #last: { readonly text: string; readonly token: string } | undefined

  constructor(secrets: readonly string[], maxAge: number) {
    this.#keys = secrets.map(keyOf)
    this.#maxAge = maxAge
  }

  /**
   * What is signed twice within a second has the same token.
   *
   * @param now milliseconds since the epoch
   */
  sign(positions: Positions, now = Date.now()): string {
    const issued = Math.ceil(now / SECOND)
    let text = `${VERSION}.${issued.toString(36)}`
    for (const { system, timeline, lsn } of positions) {
      text += `~${system}~${timeline.toString(36)}~${lsn.toString(16)}`
    }
    if (this.#last?.text === text) return this.#last.token
    const token = `${text}.${macOf(text, this.#keys[0] as KeyObject)}`
    this.#last = { text, token }
    this.#remember(token, { issued: issued * SECOND, positions: [...positions] })
    return token
  }

  /**
   * What a token says, or why it says nothing. Never throws: whatever a client sends is only ever ignored.
   *
   * @param now milliseconds since the epoch
   */
  verify(token: string, now = Date.now()): Positions | TokenProblem {
    const known = this.#known.get(token) ?? this.#check(token)
    if (typeof known === 'string') return known
    return now - known.issued > this.#maxAge ? 'expired' : known.positions
  }

  #check(token: string): Known | TokenProblem {
    // A transport of one's own may bring anything.
    if (typeof token !== 'string') return 'malformed'
    const end = token.lastIndexOf('.')
    if (token.length > MAX_LENGTH || end === -1 || !token.startsWith(`${VERSION}.`)) return 'malformed'
    const text = token.slice(0, end)
    // Compared as it is written: decoding base64 would skip odd characters.
    const mac = Buffer.from(token.slice(end + 1))
    if (mac.length !== MAC_LENGTH) return 'malformed'
    if (!this.#keys.some(key => timingSafeEqual(mac, Buffer.from(macOf(text, key))))) return 'forged'
    // What we have signed, we have written: from here on the form is known.
    const [issued = '', ...fields] = text.slice(VERSION.length + 1).split('~')
    const positions: Position[] = []
    for (let at = 0; at < fields.length; at += 3) {
      positions.push({
        system: fields[at] as string,
        timeline: Number.parseInt(fields[at + 1] as string, 36),
        lsn: BigInt(`0x${fields[at + 2]}`),
      })
    }
    const known = { issued: Number.parseInt(issued, 36) * SECOND, positions }
    this.#remember(token, known)
    return known
  }

  #remember(token: string, known: Known): void {
    if (token.length > MAX_LENGTH) return
    if (this.#known.size >= MAX_KNOWN) {
      const [oldest] = this.#known.keys()
      this.#known.delete(oldest as string)
    }
    this.#known.set(token, known)
  }
}

/** A key of its own: an application that signs whatever it is given with the same secret signs no token by that. */
function keyOf(secret: string): KeyObject {
  // Not bytes: Node 24 takes 20 µs more for an HMAC with them.
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', 'fastify-sqlassist causal token', 32)))
}

function macOf(text: string, key: KeyObject): string {
  return createHmac('sha256', key).update(text).digest('base64url').slice(0, MAC_LENGTH)
}
