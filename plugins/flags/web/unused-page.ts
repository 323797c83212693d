import { type Html, html, type Part } from '../../web/html.ts'
import type { UnusedFlag } from '../edits.ts'
import { time } from './layout.ts'

/** After how many days without a question a flag is one that nobody needs. */
export const UNUSED_DAYS = 30

/** What the list of the unused flags says of itself. @param since since when it is written down who asks: seconds since 1970 */
export function unusedIntro(since: number | undefined): Html {
  if (since === undefined) {
    return html`<p>Nothing is recorded yet. While the application runs it writes down which flags it is asked for; after ${UNUSED_DAYS} days this list says which nobody needs.</p>`
  }
  if (since > Date.now() / 1000 - UNUSED_DAYS * 86_400) {
    return html`<p>Recorded since ${time(since)}: too short to tell. After ${UNUSED_DAYS} days this list says which flags nobody needs.</p>`
  }
  return html`<p>Nobody has asked for these flags for ${UNUSED_DAYS} days, and nobody has changed them. Recorded since ${time(since)}.</p>`
}

/** When somebody asked for a flag last. */
export function askedNote({ askedAt }: UnusedFlag): Part {
  return askedAt === undefined
    ? 'Nobody has ever asked for it since that is recorded'
    : html`Last asked for ${time(askedAt)}`
}
