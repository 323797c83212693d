import { readFileSync } from 'node:fs'
import type { RecordedEvent } from 'fastify-sqlassist/events'
import { banner, type Message } from '../banner.ts'
import type { Note } from '../entities.ts'
import { type Html, html } from '../html.ts'
import { layout } from '../layout.ts'
import type { Applauded, ApplauseList } from './list.ts'

/** Keeps `#live` up to date in a browser. */
export const liveScript = readFileSync(new URL('./live.js', import.meta.url), 'utf8')

export const noteIsGone: Message = { kind: 'problem', text: 'This note is gone.' }

export const saved = (event: number): Message => ({
  kind: 'success',
  text: `Saved as event ${event} of the log, which the list below is made of.`,
})

export const alreadyApplauded = ({ id, title }: Note): Message => ({
  kind: 'problem',
  text: html`You have applauded “${title}” already; it counts once for each visitor. <form method="post" action="/applause/${id}/take-back"><button class="plain">Take it back</button></form>`,
})

export function applausePageView(list: ApplauseList, message: Message | undefined): string {
  return layout({
    title: `${message?.kind === 'problem' ? 'Not saved – ' : ''}Applause – Notes`,
    script: liveScript,
    main: html`
  <h1>Applause</h1>
  <p class="lead">Each clap is an <strong>event</strong>, committed with the request and never changed. A <strong>projection</strong> counts the events, each exactly once, into the table that the list is read from. Whoever has this page open sees it happen, whichever process was asked.</p>
  ${message && banner(message)}
  <div id="live" class="columns">${applauseList(list)}</div>
  <p class="unseen" id="news" role="status"></p>`,
    footer: html`
  <p>This page is live. Where scripts are off it works as well: reload it to see what others do. Times are UTC. <a href="/">Back to the notes</a></p>`,
  })
}

/** What is live. */
export function applauseList({ notes, events }: ApplauseList): Html {
  const most = Math.max(1, ...notes.map(({ claps }) => claps))
  const titles = new Map(notes.map(({ applause, title }) => [applause, title]))
  return html`
<section aria-labelledby="notes">
  <h2 id="notes">The most applause</h2>
  ${
    notes.length > 0
      ? html`<ol class="ranking">${notes.map(note => noteItem(note, most))}</ol>`
      : html`<p class="empty">There are no notes yet. <a href="/">Write the first one.</a></p>`
  }
</section>
<section aria-labelledby="events">
  <h2 id="events">The last events</h2>
  ${
    events.length > 0
      ? html`<ol class="card log">${events.map(event => eventItem(event, titles.get(event.originatorId)))}</ol>`
      : html`<p class="empty">Nothing has happened yet.</p>`
  }
</section>`
}

function noteItem({ id, title, author, claps, lastClapAt }: Applauded, most: number): Html {
  return html`
<li class="card" id="note-${id}" data-claps="${claps}">
  <p class="claps"><strong>${claps}</strong> ${claps === 1 ? 'clap' : 'claps'}</p>
  <div>
    <h3>${title}</h3>
    <p class="byline">${author}${lastClapAt !== null && html`, last clap ${time(new Date(lastClapAt))}`}</p>
  </div>
  <form method="post" action="/applause/${id}/clap"><button id="clap-${id}" aria-label="Clap for ${title}">Clap</button></form>
  <svg class="bar" aria-hidden="true"><rect width="${Math.round((claps / most) * 100)}%" height="100%" rx="2"/></svg>
</li>`
}

/** Not its data: a visitor's id is worth a visitor's clap. */
function eventItem(event: RecordedEvent, title = event.originatorId.slice(0, 8)): Html {
  const { id, topic, originatorVersion, timestamp } = event
  return html`
<li>
  <span class="place">${id}</span>
  <code>${topic}</code>
  <span class="byline">${time(timestamp)}</span>
  <span class="byline">“${title}”, version ${originatorVersion}</span>
</li>`
}

function time(date: Date): Html {
  const iso = date.toISOString()
  return html`<time datetime="${iso}">${iso.slice(11, 19)}</time>`
}
