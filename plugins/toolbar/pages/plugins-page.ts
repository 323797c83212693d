import { type Html, html } from '../../web/html.ts'
import { clock, count, shortened } from './format.ts'
import { layout } from './layout.ts'
import type { Site } from './site.ts'

// The plugins are known by what they decorate the application with: this one imports none of them.

interface FlagsLike {
  readonly stale?: unknown
  flags(): ReadonlyMap<
    string,
    {
      readonly version: number
      readonly data: { readonly enabled?: unknown; readonly description?: unknown }
    }
  >
}

interface SegmentsLike {
  segmentList(): readonly { readonly key: string; readonly name?: unknown }[]
}

/** What the other plugins are doing: flags, segments, subscriptions. */
export function pluginsPage(site: Site): string {
  const { base } = site
  return layout(base, {
    title: 'Plugins',
    current: 'plugins',
    live: { url: `${base}/plugins`, kinds: ['subscription', 'clear'] },
    content: html`<h1>Plugins</h1>
<section aria-labelledby="subscriptions"><h2 id="subscriptions">Subscriptions</h2>${subscriptions(site)}</section>
<div class="columns wide-columns"><section class="card" aria-labelledby="flags"><h2 id="flags">Flags</h2>${flags(site)}</section>
<section class="card" aria-labelledby="segments"><h2 id="segments">Segments</h2>${segments(site)}</section></div>`,
  })
}

const STATES: Record<string, string> = { running: 'good', waiting: '', stopped: 'warn', failed: 'bad' }

function subscriptions({ records }: Site): Html {
  const list = records.subscriptions()
  if (list.length === 0)
    return html`<p class="empty">No subscription, projection or outbox has said anything yet.</p>`
  return html`<div class="card flush"><table><caption class="unseen">Subscriptions</caption><thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col" class="number">Position</th><th scope="col">Error</th><th scope="col" class="number">At</th></tr></thead>
<tbody>${list.map(
    ({ name, state, position, error, at }) =>
      html`<tr><th scope="row">${name}</th><td><span class="chip ${STATES[state] ?? ''}">${state}</span></td><td class="number">${position ?? '–'}</td><td>${error === undefined ? '–' : shortened(error, 500)}</td><td class="number quiet">${clock(at)}</td></tr>`,
  )}</tbody></table></div>`
}

function flags({ root }: Site): Html {
  const client = (root as { flags?: Partial<FlagsLike> }).flags
  if (typeof client?.flags !== 'function') return html`<p class="quiet">The plugin is not registered.</p>`
  const all = [...client.flags()].sort(([a], [b]) => (a < b ? -1 : 1))
  if (all.length === 0) return html`<p class="quiet">There are no flags.</p>`
  return html`${client.stale === true && html`<p class="notice warn">They could not be read lately: these may be old.</p>`}<table class="small"><caption class="unseen">Flags</caption><thead><tr><th scope="col">Flag</th><th scope="col">Is</th><th scope="col" class="number">Version</th></tr></thead><tbody>${all.map(
    ([name, { version, data }]) =>
      html`<tr><th scope="row">${name}${typeof data.description === 'string' && html` <span class="quiet">${shortened(data.description, 120)}</span>`}</th><td><span class="chip${data.enabled === true && ' good'}">${data.enabled === true ? 'on' : 'off'}</span></td><td class="number">${version}</td></tr>`,
  )}</tbody></table>`
}

function segments({ root }: Site): Html {
  const known = (root as { segments?: Partial<SegmentsLike> }).segments
  if (typeof known?.segmentList !== 'function')
    return html`<p class="quiet">The plugin is not registered.</p>`
  const list = known.segmentList()
  if (list.length === 0) return html`<p class="quiet">There are no segments.</p>`
  return html`<p class="quiet">${count(list.length, 'segment')} known to this process</p><ul class="lines">${list.map(
    ({ key, name }) =>
      html`<li><strong>${key}</strong>${typeof name === 'string' && name !== key && html` <span class="quiet">${name}</span>`}</li>`,
  )}</ul>`
}
