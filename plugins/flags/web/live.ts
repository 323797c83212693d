import type { FastifyInstance } from 'fastify'
import { type Html, html } from '../../web/html.ts'
import { addEvents } from '../events.ts'
import type { FlagData } from '../flag-data.ts'
import { editUrl, type View } from './layout.ts'
import { liveScript, liveScriptHash } from './live-script.ts'

/** A year, in seconds. */
const LONG = 31_536_000

/** Adds `GET /events` and `GET /live.js`, the script that listens to them. */
export function addLiveUpdates(app: FastifyInstance): void {
  addEvents(app)
  const etag = `"${liveScriptHash}"`
  app.get<{ Querystring: { v?: unknown } }>('/live.js', async (request, reply) => {
    const isThisOne = request.query.v === liveScriptHash
    reply.headers({
      'cache-control': isThisOne ? `private, max-age=${LONG}, immutable` : 'no-cache',
      etag,
    })
    if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).send()
    return reply.type('text/javascript; charset=utf-8').send(liveScript)
  })
}

/**
 * A part of a page that is replaced when something has changed. It must have no fields: what somebody types would be lost.
 *
 * @param url where it is found
 * @param flag the flag that it is about, if it is about one
 */
export function liveList(view: View, url: string, content: Html, flag?: string): Html {
  return html`<div id="live" tabindex="-1" data-url="${url}" data-seen="${view.seen}"${flag !== undefined && html` data-flag="${flag}"`}>${content}</div>`
}

/** Where a page with a form says that somebody else has changed the flag. */
export function liveNotice(view: View, { name, version }: FlagData): Html {
  return html`<div id="live" data-url="${editUrl(view.base, name)}" data-seen="${view.seen}" data-flag="${name}" data-version="${version}"><template><div class="banner notice">${changedText(view, name)}</div></template></div>`
}

/** Somebody has a flag before them that is not so any more. */
export function changedText(view: View, name: string): Html {
  return html`Somebody has changed this flag. <a href="${editUrl(view.base, name)}">Look at it again</a>`
}
