import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyReply } from 'fastify'
import { Html, html } from './html.ts'

/** What a page has of its own. */
export interface Content {
  readonly title: string
  readonly main: Html
  readonly footer: Html
  /** A module, and styles behind those of all pages; `asPage` must be told of both as well. */
  readonly script?: string
  readonly css?: string
}

const common = readFileSync(new URL('./page.css', import.meta.url), 'utf8')

/** One script or none at all, style sheets of ours, forms to ourselves. */
function contentSecurityPolicy(script: string | undefined, css: string): string {
  return [
    "default-src 'none'",
    // Ours, and that of the toolbar's button.
    `style-src ${hashOf(common + css)} 'self'`,
    ...(script === undefined ? [] : [`script-src ${hashOf(script)}`, "connect-src 'self'"]),
    'img-src data:',
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%230f766e'/%3E%3Cpath d='M4 5h8M4 8h8M4 11h5' stroke='white' stroke-width='1.5'/%3E%3C/svg%3E"

/** The headers of every page: also those that come with an error. */
export function asPage(reply: FastifyReply, script?: string, css = ''): FastifyReply {
  return reply.type('text/html; charset=utf-8').headers({
    'content-security-policy': contentSecurityPolicy(script, css),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cache-control': 'no-store',
  })
}

/** A whole document. */
export function layout({ title, main, footer, script, css = '' }: Content): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${icon}">
${new Html(`<style>${common}${css}</style>`)}
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top">
  <div class="wide">
    <p class="brand"><a href="/">Notes</a> <span>an example of fastify-sqlassist</span></p>
    <nav aria-label="Service"><a href="/notes-page">All notes</a> <a href="/applause">Applause</a> <a href="/docs">API documentation</a> <a href="/health">Health</a> <a href="/admin/flags/">Feature flags</a></nav>
  </div>
</header>
<main id="content" class="wide">
${main}
</main>
<footer class="wide">${footer}</footer>${
    script !== undefined &&
    new Html(`
<script type="module">${script}</script>`)
  }
</body>
</html>
`.text
}
