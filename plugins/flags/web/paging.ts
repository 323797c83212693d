import { type Html, html } from '../../web/html.ts'

/** How many flags a page of a list has. */
const PAGE = 100
/** How many neighbours of a page have a link. */
const NEAR = 2

/** A part of a list. */
export interface Page<T> {
  readonly items: readonly T[]
  /** From 1 on. */
  readonly page: number
  readonly pages: number
  /** The number of the first item, from 1 on. */
  readonly first: number
  readonly total: number
}

/** @param page from 1 on; a page behind the last is the last */
export function pageOf<T>(all: readonly T[], page: number): Page<T> {
  const pages = Math.max(1, Math.ceil(all.length / PAGE))
  const at = Math.min(page, pages)
  const start = (at - 1) * PAGE
  return { items: all.slice(start, start + PAGE), page: at, pages, first: start + 1, total: all.length }
}

/** What an address says; nonsense is the first page. */
export function pageNumber(text: unknown): number {
  return typeof text === 'string' && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 1
}

/** "230 flags", "1–100 of 230 flags". */
export function countText({ items, first, total, pages }: Page<unknown>): string {
  const all = total === 1 ? '1 flag' : `${total} flags`
  return pages === 1 ? all : `${first}–${first + items.length - 1} of ${all}`
}

/** Links to the other pages, if there are any. */
export function pageLinks({ page, pages }: Page<unknown>, urlOf: (page: number) => string): Html | undefined {
  if (pages === 1) return undefined
  const link = (to: number, text: string, label?: string) =>
    html`<li><a href="${urlOf(to)}"${label !== undefined && html` aria-label="${label}"`}${to === page && html` aria-current="page"`}>${text}</a></li>`
  const numbers = Array.from({ length: pages }, (_, index) => index + 1).filter(
    number => number === 1 || number === pages || Math.abs(number - page) <= NEAR,
  )
  return html`<nav class="pages" aria-label="Pages" data-key="pages"><ul>
${page > 1 && link(page - 1, 'Previous', 'Previous page')}
${numbers.map((number, index) => [
  number - (numbers[index - 1] ?? 0) > 1 && html`<li aria-hidden="true">…</li>`,
  link(number, String(number), `Page ${number}`),
])}
${page < pages && link(page + 1, 'Next', 'Next page')}
</ul></nav>`
}
