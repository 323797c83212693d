import { type Html, html } from '../../web/html.ts'
import type { Entry } from '../records.ts'
import { clock, count, duration } from './format.ts'
import { layout } from './layout.ts'
import { engineName, outcomeMark, statusMark } from './marks.ts'
import { numberIn, type Site } from './site.ts'
import { type WarningKind, warningsOf } from './warnings.ts'

/** What somebody wants to see of the list. */
export interface Filter {
  /** A part of the method, the route or the path. */
  readonly text: string
  /** Only those with warnings. */
  readonly warned: boolean
  /** No scopes outside requests. */
  readonly requests: boolean
  /** Only those before the entry of this number. */
  readonly before: number | undefined
}

/** Entries on a page. */
const PAGE = 200

export function filterOf({ q, warnings, requests, before }: Record<string, unknown>): Filter {
  return {
    before: numberIn(before),
    text: typeof q === 'string' ? q.trim().slice(0, 200) : '',
    warned: warnings === '1',
    requests: requests === '1',
  }
}

/** The requests, newest first. */
export function requestsPage(site: Site, filter: Filter, token: string): string {
  const { base, records } = site
  const all = records.entries()
  const found = all.filter(entry => matches(entry, filter))
  return layout(base, {
    title: 'Requests',
    current: 'requests',
    before: html`<div class="title"><h1>Requests</h1>
<form class="filter" role="search" action="${base}/">
<label class="unseen" for="q">Route or path</label><input type="search" id="q" name="q" value="${filter.text}" placeholder="Route or path" autocomplete="off">
<label class="check"><input type="checkbox" name="warnings" value="1"${filter.warned && html` checked`}>Only with warnings</label>
<label class="check"><input type="checkbox" name="requests" value="1"${filter.requests && html` checked`}>Requests only</label>
<button>Filter</button></form>
<form method="post" action="${base}/clear"><input type="hidden" name="_csrf" value="${token}"><button class="quiet-button">Clear</button></form></div>`,
    live: { url: `${base}/${queryOf(filter)}`, kinds: ['entry', 'clear'] },
    content: found.length === 0 ? nothing(all.length, records.limit) : table(site, found, all.length, filter),
  })
}

function matches(entry: Entry, { text, warned, requests, before }: Filter): boolean {
  if (before !== undefined && entry.id >= before) return false
  if (requests && entry.kind !== 'request') return false
  if (warned && warningsOf(entry).length === 0) return false
  return `${entry.method} ${entry.route} ${entry.url}`.toLowerCase().includes(text.toLowerCase())
}

function queryOf({ text, warned, requests, before }: Filter): string {
  const query = new URLSearchParams()
  if (text !== '') query.set('q', text)
  if (warned) query.set('warnings', '1')
  if (requests) query.set('requests', '1')
  if (before !== undefined) query.set('before', String(before))
  return query.size === 0 ? '' : `?${query}`
}

function nothing(all: number, limit: number): Html {
  return html`<p class="empty">${
    all === 0
      ? `Nothing yet. Send the application a request: the last ${limit} are shown here.`
      : `None of the ${count(all, 'request')} matches.`
  }</p>`
}

function table(site: Site, found: readonly Entry[], all: number, filter: Filter): Html {
  const entries = found.slice(0, PAGE)
  const last = found.length > PAGE ? entries.at(-1) : undefined
  const longest = Math.max(1, ...entries.map(({ duration = 0 }) => duration))
  return html`<p class="quiet above">${
    found.length === all ? count(all, 'request') : `${found.length} of ${count(all, 'request')}`
  }; the last ${site.records.limit} are kept, and as many scopes outside requests.</p>
<div class="card flush"><table class="requests"><caption class="unseen">Requests, newest first</caption>
<thead><tr><th scope="col">Request</th><th scope="col">Status</th><th scope="col" class="number">Duration</th><th scope="col" class="number">SQL</th><th scope="col">Engines</th><th scope="col">Outcome</th><th scope="col">Warnings</th><th scope="col" class="number">At</th></tr></thead>
<tbody>${entries.map(entry => row(site, entry, longest))}</tbody></table></div>${last !== undefined && html`<p><a href="${site.base}/${queryOf({ ...filter, before: last.id })}">Older</a></p>`}`
}

function row({ base, sqlAssist }: Site, entry: Entry, longest: number): Html {
  const { id, method, route, url, kind, statements, sessions, dropped, startedAt } = entry
  // Of a path that says no more than its route, only the query.
  const more = url.startsWith(route) ? url.slice(route.length) : url
  const sqlTime = statements.reduce((sum, { duration = 0 }) => sum + duration, 0)
  return html`<tr data-key="${id}">
<th scope="row" class="what"><a href="${base}/requests/${id}"><span class="method">${kind === 'scope' ? 'run' : method}</span> <span class="route">${route}</span></a>${
    more !== '' && html` <span class="url">${more}</span>`
  }</th>
<td>${statusMark(entry)}</td>
<td class="number">${entry.duration === undefined ? html`<span class="quiet">running</span>` : duration(entry.duration)}${bar(entry.duration ?? 0, sqlTime, longest)}</td>
<td class="number">${statements.length + dropped > 0 ? html`<strong>${statements.length + dropped}</strong> <span class="quiet">${duration(sqlTime)}</span>` : html`<span class="quiet">none</span>`}</td>
<td><span class="chips">${sessions.map(({ engine }) => engineName(sqlAssist, engine))}</span></td>
<td class="outcome${entry.outcome === undefined && ' none'}">${outcomeMark(sqlAssist, entry)}</td>
<td class="warned"><span class="chips">${chips(entry)}</span></td>
<td class="number quiet">${clock(startedAt)}</td></tr>`
}

/** How long it took compared with the others, and how much of it was SQL. (The numbers beside it say the same.) */
function bar(took: number, sql: number, longest: number): Html {
  const share = (ms: number): string => `${((Math.min(ms, longest) / longest) * 100).toFixed(1)}%`
  return html`<svg class="share" width="64" height="4" aria-hidden="true"><rect class="track" width="100%" height="4" rx="2"/><rect class="took" width="${share(took)}" height="4" rx="2"/><rect class="sql" width="${share(Math.min(sql, took))}" height="4" rx="2"/></svg>`
}

function chips(entry: Entry): Html[] {
  const kinds = new Map<WarningKind, string[]>()
  for (const { kind, text } of warningsOf(entry)) kinds.set(kind, [...(kinds.get(kind) ?? []), text])
  return [...kinds].map(
    ([kind, texts]) =>
      html`<span class="chip ${kind === 'error' ? 'bad' : 'warn'}" title="${texts.join('\n').slice(0, 500)}">${kind}${texts.length > 1 && ` ×${texts.length}`}</span>`,
  )
}
