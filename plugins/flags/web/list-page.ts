import { type Html, html, type Part } from '../../web/html.ts'
import type { FlagData } from '../flag-data.ts'
import { actionForm, editUrl, layout, type Message, time, type View } from './layout.ts'
import { type ListQuery, type ListView, listUrl, queryText } from './list-url.ts'
import { liveList } from './live.ts'
import { countText, type Page, pageLinks } from './paging.ts'

/** A flag, and what there is to say of it in this list. */
export interface Listed {
  readonly flag: FlagData
  readonly note?: Part
}

/** A list, as much of it as a page has. */
export interface Listing {
  readonly query: ListQuery
  readonly page: Page<Listed>
  readonly message: Message | undefined
  /** What the list is about. */
  readonly intro?: Html | undefined
}

const TITLES: Record<ListView, string> = {
  active: 'Active flags',
  deleted: 'Deleted flags',
  unused: 'Unused flags',
}

const EMPTY: Record<ListView, string> = {
  active: 'No flags yet. Make the first one.',
  deleted: 'No flag has been deleted.',
  unused: 'No flag is known to be unused.',
}

/** The flags of a list that a search has found. */
export function listPage(view: View, { query, page, message, intro }: Listing): string {
  const { view: list, search } = query
  const title = TITLES[list]
  const here = { ...query, page: page.page }
  return layout(view.base, {
    title,
    message,
    current: list,
    isLive: true,
    content: html`<div class="title"><h1>${title}</h1>${list === 'active' && html`<a class="button primary" href="${view.base}/new">New flag</a>`}</div>
<form class="search" role="search" action="${view.base}/">
  ${list !== 'active' && html`<input type="hidden" name="view" value="${list}">`}
  <label for="q">Search by name, description or owner</label>
  <div><input id="q" name="q" type="search" value="${search}" autocomplete="off"><button class="plain">Search</button></div>
</form>
${liveList(
  view,
  listUrl(view.base, here),
  html`${intro}
<p class="quiet">${countText(page)}${search !== '' && html` with “${search}” · <a href="${listUrl(view.base, { view: list })}">Show all</a>`}</p>
${
  page.total > 0
    ? html`<ul class="flags">${page.items.map(listed => item(view, here, listed))}</ul>`
    : html`<p class="empty">${search === '' ? EMPTY[list] : 'No flag matches.'}</p>`
}
${pageLinks(page, to => listUrl(view.base, { ...query, page: to }))}`,
)}`,
  })
}

function item(view: View, query: ListQuery, { flag, note }: Listed): Html {
  // So that the way back leads to what was looked at.
  const back = html`<input type="hidden" name="list" value="${queryText(query)}">`
  const button = (action: string, label: string) =>
    actionForm(view, action, flag, label, 'plain', { fields: back })
  const action = flag.deleted
    ? button('restore', 'Restore')
    : flag.enabled
      ? button('disable', 'Disable')
      : button('enable', 'Enable')
  return html`<li class="card flag" data-key="${flag.name}">
  <div class="what">
    <h2><a href="${editUrl(view.base, flag.name)}">${flag.name}</a> ${badge(flag)}</h2>
    ${flag.description ? html`<p>${flag.description}</p>` : undefined}
    ${note !== undefined && html`<p class="quiet">${note}</p>`}
    <p class="quiet">${summary(flag)}</p>
  </div>
  ${action}
</li>`
}

/** In words too, not by colour alone. */
export function badge(flag: FlagData): Html {
  if (flag.deleted) return html`<span class="badge">Deleted</span>`
  return flag.enabled ? html`<span class="badge on">On</span>` : html`<span class="badge">Off</span>`
}

function summary(flag: FlagData): Html {
  const { enabled_for_actors: actors, enabled_for_percentage_of_actors: share, variants } = flag
  const conditions = [
    actors && `${actors.actor_ids.length} of ${actors.actor_key}`,
    share && `${share.percentage} % of ${share.actor_key}`,
    variants && `${variants.options.length} variants`,
    flag.segments?.length && `segments: ${flag.segments.join(', ')}`,
    flag.requires?.length && `requires ${flag.requires.join(', ')}`,
    (flag.from || flag.until) && 'scheduled',
  ].filter(Boolean)
  const words = [conditions.join(' · ') || 'Everybody', ...(flag.owner ? [flag.owner] : [])].join(' · ')
  return html`${words} · changed ${time(flag.updated_at)}`
}
