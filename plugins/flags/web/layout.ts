import { createHash } from 'node:crypto'
import { Html, html, type Part } from './html.ts'
import { css } from './style.ts'

/** What every page needs. */
export interface View {
  /** Where the pages are mounted, without a slash at the end. */
  readonly base: string
  /** Goes into every form. */
  readonly token: string
}

/** Good news or bad. */
export interface Message {
  readonly kind: 'success' | 'problem'
  readonly text: Part
}

/** No script at all, this one style sheet, forms to ourselves, in nobody's frame. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(css).digest('base64')}'`,
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
  readonly current?: 'active' | 'deleted'
}

/** A whole document. */
export function layout(base: string, { title, message, content, current }: Content): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${message?.kind === 'problem' && 'Problem – '}${title} – Feature flags</title>
<link rel="icon" href="${icon}">
${style}
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top"><div class="wide">
  <p class="brand"><a href="${base}/">Feature flags</a></p>
  <nav aria-label="Flags">${link(`${base}/`, 'Active', current === 'active')} ${link(`${base}/?view=deleted`, 'Deleted', current === 'deleted')}</nav>
</div></header>
<main id="content" class="wide">
${
  message &&
  html`<div class="banner ${message.kind}" role="${message.kind === 'success' ? 'status' : 'alert'}">${message.text}</div>`
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

/** A button that does one thing to one flag. */
export function actionForm(
  view: View,
  action: string,
  flag: { readonly name: string; readonly version: number },
  label: string,
  kind: 'plain' | 'primary' | 'danger' = 'plain',
): Html {
  return html`<form method="post" action="${view.base}/${action}">${hidden(view, flag)}<button class="${kind}" aria-label="${label} ${flag.name}">${label}</button></form>`
}

/** The fields that nobody sees. */
export function hidden(view: View, flag?: { readonly name: string; readonly version: number }): Html {
  return html`<input type="hidden" name="_csrf" value="${view.token}">${
    flag &&
    html`<input type="hidden" name="name" value="${flag.name}"><input type="hidden" name="version" value="${flag.version}">`
  }`
}

/** A link to a flag's own page. Names go into the query, where every character may be. */
export function editUrl(base: string, name: string): string {
  return `${base}/edit?name=${encodeURIComponent(name)}`
}
