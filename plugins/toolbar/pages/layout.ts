import { type Html, html, type Part } from '../../web/html.ts'
import { liveScriptHash } from './live-script.ts'
import { cssHash } from './style.ts'

export type Place = 'requests' | 'engines' | 'replicas' | 'plugins'

/** The part of a page that is replaced when something has changed. It has no fields: what somebody types would be lost. */
export interface Live {
  /** Where it is found, with its query. */
  readonly url: string
  /** What it is about: kinds of changes. */
  readonly kinds: readonly ('entry' | 'replica' | 'subscription' | 'clear')[]
  /** The one entry that it is about. */
  readonly id?: number
}

/** What a page has of its own. */
export interface Content {
  readonly title: string
  readonly current?: Place
  /** Between the heading and what is live; fields may be here. */
  readonly before?: Html
  readonly live?: Live
  readonly content: Html
}

const PLACES: Record<Place, [path: string, text: string]> = {
  requests: ['/', 'Requests'],
  engines: ['/engines', 'Engines'],
  replicas: ['/replicas', 'Replicas'],
  plugins: ['/plugins', 'Plugins'],
}

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%233b5bdb'/%3E%3Cpath d='M3 5h7M3 8h10M3 11h5' stroke='white' stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E"

/** A whole document. */
export function layout(base: string, { title, current, before, live, content }: Content): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – SQLAssist</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="${base}/toolbar.css?v=${cssHash}">
<script src="${base}/toolbar.js?v=${liveScriptHash}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top"><div class="wide">
<p class="brand"><a href="${base}/"><svg class="logo" width="18" height="18" viewBox="0 0 16 16" aria-hidden="true"><rect width="16" height="16" rx="4"/><path d="M3 5h7M3 8h10M3 11h5"/></svg>SQLAssist</a></p>
<nav aria-label="Toolbar">${Object.entries(PLACES).map(
    ([place, [path, text]]) =>
      html`<a href="${base}${path}"${place === current && html` aria-current="page"`}>${text}</a>`,
  )}</nav>
${live !== undefined && html`<button type="button" id="pause" class="pause" aria-pressed="false" hidden><span class="dot"></span><span class="word">Live</span></button>`}
</div></header>
<main id="content" class="wide">
${before}
${live === undefined ? content : liveRegion(live, content)}
</main>
<p id="status" class="unseen" role="status"></p>
</body>
</html>
`.text
}

function liveRegion({ url, kinds, id }: Live, content: Html): Html {
  return html`<div id="live" tabindex="-1" data-url="${url}" data-kinds="${kinds.join(' ')}"${id !== undefined && html` data-id="${id}"`}>${content}</div>`
}

/** A page that says why there is nothing to see. */
export function noticePage(base: string, title: string, text: Part): string {
  return layout(base, {
    title,
    content: html`<h1>${title}</h1><p class="notice">${text}</p><p><a href="${base}/">All requests</a></p>`,
  })
}
