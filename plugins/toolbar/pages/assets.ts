import type { FastifyInstance } from 'fastify'
import { liveScript, liveScriptHash } from './live-script.ts'
import { css, cssHash } from './style.ts'

/** A year, in seconds. */
const LONG = 31_536_000

/** Adds `GET /toolbar.css` and `GET /toolbar.js`; with the hash in their query they may be kept for ever. */
export function addAssets(app: FastifyInstance): void {
  const assets = [
    ['/toolbar.css', 'text/css; charset=utf-8', css, cssHash],
    ['/toolbar.js', 'text/javascript; charset=utf-8', liveScript, liveScriptHash],
  ] as const
  for (const [path, type, text, hash] of assets) {
    const etag = `"${hash}"`
    app.get<{ Querystring: { v?: unknown } }>(path, async (request, reply) => {
      const isThisOne = request.query.v === hash
      reply.headers({
        'cache-control': isThisOne ? `private, max-age=${LONG}, immutable` : 'no-cache',
        etag,
      })
      if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).send()
      return reply.type(type).send(text)
    })
  }
}
