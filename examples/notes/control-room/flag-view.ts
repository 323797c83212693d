import type { FlagDetails } from 'fastify-sqlassist/flags'
import type { Note } from '../entities.ts'
import { type Html, html } from '../html.ts'

/** What the flag `latest-notes` is for a visitor, and what it brings. */
export interface FlagData {
  readonly flag: FlagDetails<boolean>
  /** The newest notes; undefined where the flag is off. */
  readonly latest: readonly Note[] | undefined
  readonly visitor: string
  /** The keys of the segments that the visitor is in. */
  readonly segments: readonly string[]
}

/** @param hasSwitch whether everybody may flip it here; else who knows the password does, on the page of the flags */
export function flagView(data: FlagData, hasSwitch: boolean): Html {
  const { flag, latest } = data
  return html`
<section class="card" aria-labelledby="flag">
  <h2 id="flag">A feature flag</h2>
  <p>With it, this page has the newest notes. It is asked in memory: no statement, nobody waits.</p>
  ${hasSwitch && flagSwitch(flag)}
  ${flagLine(data)}
</section>
${latest && latestNotes(latest)}`
}

function flagSwitch({ flagKey, value }: FlagDetails<boolean>): Html {
  return html`
  <form class="switch-form" method="post" action="/flag">
    <button class="switch" id="switch" role="switch" aria-checked="${String(value)}" name="enabled" value="${value ? 'off' : 'on'}"><span class="knob"></span><code>${flagKey}</code></button>
  </form>`
}

/** What the flag is for this visitor, and why: so that a rollout to some can be watched. */
function flagLine({ flag, visitor, segments }: FlagData): Html {
  return html`<p class="hint">The feature flag <code>${flag.flagKey}</code> is ${flag.value ? 'on' : 'off'} for you (<code>${flag.reason}</code>), visitor <code>${visitor.slice(0, 8)}</code>, segment ${segments.map(key => html`<code>${key}</code>`)}. <a href="/admin/flags/">Change flags</a>, <a href="/admin/login">log in or out</a>.</p>`
}

function latestNotes(notes: readonly Note[]): Html {
  return html`
  <section aria-labelledby="latest">
    <h2 id="latest">Latest notes <span class="badge">preview</span></h2>
    ${
      notes.length > 0
        ? html`<div class="latest">${notes.map(latestCard)}</div>`
        : html`<p class="empty">No notes yet.</p>`
    }
  </section>`
}

function latestCard({ title, text, author, createdAt }: Note): Html {
  const [day = '', time = ''] = createdAt.toISOString().split('T')
  return html`
<article class="card">
  <h3>${title}</h3>
  <p class="byline">${author.name}, <time datetime="${createdAt.toISOString()}">${day} ${time.slice(0, 5)}</time> UTC</p>
  ${text && html`<p class="excerpt">${text}</p>`}
</article>`
}
