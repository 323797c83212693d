import { pageNumber } from './paging.ts'

/** Which list. */
export type ListView = 'active' | 'deleted' | 'unused'

/** What of which list somebody looks at. */
export interface ListQuery {
  readonly view: ListView
  readonly search: string
  /** From 1 on. */
  readonly page: number
}

/** What an address or a form says of it; nonsense is what it is without. */
export function listQueryOf(query: {
  readonly view?: unknown
  readonly q?: unknown
  readonly page?: unknown
}): ListQuery {
  const { view, q, page } = query
  return {
    view: view === 'deleted' || view === 'unused' ? view : 'active',
    search: typeof q === 'string' ? q : '',
    page: pageNumber(page),
  }
}

/** The address of a list. */
export function listUrl(base: string, query: Partial<ListQuery>, more: Record<string, string> = {}): string {
  const text = queryText(query, more)
  return `${base}/${text === '' ? '' : `?${text}`}`
}

/** As it is in an address, and in the forms that lead back to the list. */
export function queryText(
  { view = 'active', search = '', page = 1 }: Partial<ListQuery>,
  more: Record<string, string> = {},
): string {
  return new URLSearchParams({
    ...(view === 'active' ? {} : { view }),
    ...(search === '' ? {} : { q: search }),
    ...(page === 1 ? {} : { page: String(page) }),
    ...more,
  }).toString()
}
