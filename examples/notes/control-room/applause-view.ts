import { type Html, html } from '../html.ts'
import type { Projected } from './room.ts'

const SHOWN = 3
/** Of the last events there are so many in the picture. */
const EVENTS = 10

/** What the projection has made of the events, and how far it has come. */
export function applauseView({ notes, events, position, end }: Projected): Html {
  const first = Math.max(1, end - EVENTS + 1)
  const topics = new Map(events.map(({ id, topic }) => [id, topic]))
  const ids = Array.from({ length: end === 0 ? 0 : end - first + 1 }, (_, index) => first + index)
  const most = Math.max(1, ...notes.map(({ claps }) => claps))
  return html`
<p class="position">Event <strong>${end}</strong> is the newest; the projection has counted up to <strong>${position}</strong>.</p>
${
  ids.length > 0 &&
  html`<svg class="tape" viewBox="0 0 ${EVENTS * 24} 24" aria-hidden="true">${ids.map(
    (id, index) =>
      html`<rect class="${id <= position ? 'counted' : 'waiting'} ${topics.get(id)?.split('.')[1] ?? ''}" x="${index * 24 + 2}" y="4" width="20" height="16" rx="4"/>`,
  )}</svg>`
}
${
  notes.length > 0
    ? html`<ol class="top-notes">${notes
        .slice(0, SHOWN)
        .map(
          ({ title, claps }) =>
            html`<li><span class="title">${title}</span> <strong>${claps}</strong><svg class="bar" aria-hidden="true"><rect width="${Math.round((claps / most) * 100)}%" height="100%" rx="2"/></svg></li>`,
        )}</ol>`
    : html`<p class="empty">No note to applaud yet.</p>`
}`
}
