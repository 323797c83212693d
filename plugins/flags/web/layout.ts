import { createHash } from 'node:crypto'
import { Html, html, type Part } from '../../web/html.ts'
import type { ListView } from './list-url.ts'
import { liveScriptHash } from './live-script.ts'
import { css } from './style.ts'

/** What every page needs. */
export interface View {
  /** Where the pages are mounted, without a slash at the end. */
  readonly base: string
  /** Goes into every form. */
  readonly token: string
  /** The newest change that this process knew of when the page was begun. */
  readonly seen: number
}

/** Good news or bad. */
export interface Message {
  readonly kind: 'success' | 'problem' | 'notice'
  readonly text: Part
}

/** Scripts and events of ours alone, this one style sheet, forms to ourselves, in nobody's frame. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(css).digest('base64')}'`,
  "script-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const style = new Html(`<style>${css}</style>`)
const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%233451b2'/%3E%3Cpath d='M5 13V3h7l-2 2.5L12 8H5' fill='none' stroke='white' stroke-width='1.5'/%3E%3C/svg%3E"

/** What a page has of its own. */
export interface Content {
  readonly title: string
  readonly message?: Message | undefined
  readonly content: Html
  /** Which list it is. */
  readonly current?: ListView
  /** Whether it has a place that is kept up to date; see `live.ts`. */
  readonly isLive?: boolean
}

/** A whole document. */
export function layout(base: string, { title, message, content, current, isLive }: Content): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${message?.kind === 'problem' && 'Problem – '}${title} – Feature flags</title>
<link rel="icon" href="${icon}">
${style}${
  isLive &&
  html`
<script src="${base}/live.js?v=${liveScriptHash}" defer></script>`
}
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top"><div class="wide">
  <p class="brand"><a href="${base}/">Feature flags</a></p>
  <nav aria-label="Flags">${link(`${base}/`, 'Active', current === 'active')} ${link(`${base}/?view=deleted`, 'Deleted', current === 'deleted')} ${link(`${base}/?view=unused`, 'Unused', current === 'unused')}</nav>
</div></header>
<main id="content" class="wide">
${
  message &&
  html`<div class="banner ${message.kind}" role="${message.kind === 'problem' ? 'alert' : 'status'}">${message.text}</div>`
}
${content}
</main>
<footer class="wide"><p>fastify-sqlassist</p></footer>
</body>
</html>
`.text
}

function link(url: string, text: string, isCurrent: boolean): Html {
  return html`<a href="${url}"${isCurrent && html` aria-current="page"`}>${text}</a>`
}

/**
 * A button that does one thing to one flag.
 *
 * @param more `fields`: what else is sent; `buttonName`: the label, and what of, for those who do not see where it is
 */
export function actionForm(
  view: View,
  action: string,
  flag: { readonly name: string; readonly version: number },
  label: string,
  kind: 'plain' | 'primary' | 'danger' = 'plain',
  { fields, buttonName = `${label} ${flag.name}` }: { fields?: Html; buttonName?: string } = {},
): Html {
  return html`<form method="post" action="${view.base}/${action}">${hidden(view, flag)}${fields}<button class="${kind}" aria-label="${buttonName}">${label}</button></form>`
}

/** The fields that nobody sees. */
export function hidden(view: View, flag?: { readonly name: string; readonly version: number }): Html {
  return html`<input type="hidden" name="_csrf" value="${view.token}">${
    flag &&
    html`<input type="hidden" name="name" value="${flag.name}"><input type="hidden" name="version" value="${flag.version}">`
  }`
}

/** The address of a flag's own page. Names go into the query, where every character may be. */
export function editUrl(base: string, name: string): string {
  return `${base}/edit?name=${encodeURIComponent(name)}`
}

/** The address of what was done to a flag. @param before only what is older than this version */
export function historyUrl(base: string, name: string, before?: number): string {
  const older = before === undefined ? '' : `&before=${before}`
  return `${base}/history?name=${encodeURIComponent(name)}${older}`
}

/** A time as everybody reads it, and as programs do. */
export function time(seconds: number): Part {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return 'never'
  const iso = date.toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}
