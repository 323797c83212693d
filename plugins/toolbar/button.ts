import { createHash } from 'node:crypto'
import { html } from '../web/html.ts'

// A link and a stylesheet of this origin: whatever an application's Content-Security-Policy allows, no more is asked of it. Where
// it forbids the stylesheet, a link stays at the end of the page.

const ID = 'sqlassist-toolbar-button'

/** Says what the button looks like, whatever the page's own styles are. */
export const buttonCss = `#${ID}{all:initial;position:fixed;right:12px;bottom:12px;z-index:2147483647;padding:6px 10px;border-radius:6px;background:#1f2937;color:#fff;font:600 13px/1.4 system-ui,sans-serif;text-decoration:none;cursor:pointer;box-shadow:0 1px 4px rgb(0 0 0/.4)}
#${ID}:hover{background:#3b5bdb}
#${ID}:focus-visible{outline:3px solid #fff;outline-offset:-5px;box-shadow:0 0 0 3px #3b5bdb}
@media print{#${ID}{display:none}}
`
const hash = createHash('sha256').update(buttonCss).digest('hex').slice(0, 16)

/** What the button tells of a request. */
export interface ButtonFigures {
  readonly id: number
  /** Milliseconds until its answer was ready. */
  readonly elapsed: number
  readonly statements: number
}

/** The button as HTML, in ASCII: it fits into a page of every usual encoding. */
export function buttonHtml(base: string, { id, elapsed, statements }: ButtonFigures): string {
  const queries = statements === 1 ? '1 statement' : `${statements} statements`
  const duration = elapsed < 10 ? elapsed.toFixed(1) : String(Math.round(elapsed))
  return html`<link rel="stylesheet" href="${base}/button.css?v=${hash}"><a id="${ID}" href="${base}/requests/${id}" aria-label="SQLAssist toolbar: ${duration} ms, ${queries}">${duration} ms, ${queries}</a>`
    .text
}

/** Whether a page has one already. */
export function hasButton(page: string): boolean {
  return page.includes(`id="${ID}"`)
}
