import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * Tells forms of ours from those of other sites, twice: by where the browser says that the form was, and by a token that is
 * signed for a random cookie of this browser. (OWASP's "signed double-submit cookie" and "Fetch Metadata".)
 */
export class CsrfGuard {
  readonly #cookie: string
  readonly #secret: string
  readonly #path: string

  /**
   * @param cookie its name: letters, digits and `_`
   * @param secret signs the tokens; processes behind one address need the same one
   * @param path where the cookie is sent
   */
  constructor(cookie: string, secret: string, path: string) {
    this.#cookie = cookie
    this.#secret = secret
    this.#path = path
  }

  /** The token for a form in this answer; sets the cookie when the browser has none. */
  token(request: FastifyRequest, reply: FastifyReply): string {
    const known = this.#nonceOf(request)
    if (known !== undefined) return this.#sign(known)
    const nonce = randomBytes(32).toString('base64url')
    const secure = request.protocol === 'https' ? '; Secure' : ''
    reply.header(
      'set-cookie',
      `${this.#cookie}=${nonce}; Path=${this.#path}; HttpOnly; SameSite=Lax${secure}`,
    )
    return this.#sign(nonce)
  }

  /** Whether a form has the token that belongs to the browser's cookie. */
  accepts(request: FastifyRequest, token: string): boolean {
    const nonce = this.#nonceOf(request)
    if (nonce === undefined) return false
    const given = Buffer.from(token)
    const right = Buffer.from(this.#sign(nonce))
    return given.length === right.length && timingSafeEqual(given, right)
  }

  #sign(nonce: string): string {
    return createHmac('sha256', this.#secret).update(nonce).digest('base64url')
  }

  #nonceOf(request: FastifyRequest): string | undefined {
    return new RegExp(`(?:^|;\\s*)${this.#cookie}=([\\w-]{43})(?:;|$)`).exec(
      request.headers.cookie ?? '',
    )?.[1]
  }
}

/**
 * Whether a form came from a page of this origin. Another site can make a visitor's browser post a form here, but it cannot
 * keep that browser from saying where the form was. Clients that say nothing are judged by the token alone.
 */
export function isSameOrigin(request: FastifyRequest): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = request.headers
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === request.host)
}
