import { type Html, html } from '../../web/html.ts'

/** Statements on a page: as many as an entry has, unless the option `statements` says more. */
export const PAGE = 500

/** Where a statement of an entry is, on a page that shows the page of another. */
export function statementUrl(number: number, shown: number): string {
  const page = pageOf(number)
  return page === shown ? `#s${number}` : `?page=${page}#s${number}`
}

/** On which page a statement is. */
export function pageOf(number: number): number {
  return Math.floor((number - 1) / PAGE) + 1
}

export function pageLinks(page: number, pages: number): Html {
  const links = Array.from({ length: pages }, (_none, index) => index + 1)
  return html`<nav class="pages" aria-label="Statements">${links.map(
    one =>
      html`<a href="?page=${one}#statements"${one === page && html` aria-current="page"`}>${(one - 1) * PAGE + 1}–</a>`,
  )}</nav>`
}
