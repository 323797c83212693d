import type { FlagData } from '../flag-data.ts'
import { type Html, html } from './html.ts'
import { actionForm, editUrl, layout, type Message, type View } from './layout.ts'

/** The flags, active or deleted, of those that a search has found. */
export function listPage(
  view: View,
  {
    flags,
    search,
    isDeleted,
    message,
  }: {
    readonly flags: readonly FlagData[]
    readonly search: string
    readonly isDeleted: boolean
    readonly message: Message | undefined
  },
): string {
  const title = isDeleted ? 'Deleted flags' : 'Active flags'
  return layout(view.base, {
    title,
    message,
    current: isDeleted ? 'deleted' : 'active',
    content: html`<div class="title"><h1>${title}</h1>${!isDeleted && html`<a class="button primary" href="${view.base}/new">New flag</a>`}</div>
<form class="search" role="search" action="${view.base}/">
  ${isDeleted && html`<input type="hidden" name="view" value="deleted">`}
  <label for="q">Search by name, description or owner</label>
  <div><input id="q" name="q" type="search" value="${search}" autocomplete="off"><button class="plain">Search</button></div>
</form>
<p class="quiet">${flags.length === 1 ? '1 flag' : `${flags.length} flags`}${search !== '' && html` with “${search}” · <a href="${view.base}/${isDeleted && '?view=deleted'}">Show all</a>`}</p>
${flags.length > 0 ? html`<ul class="flags">${flags.map(flag => item(view, flag))}</ul>` : nothing(search, isDeleted)}`,
  })
}

function item(view: View, flag: FlagData): Html {
  const action = flag.deleted
    ? actionForm(view, 'restore', flag, 'Restore')
    : flag.enabled
      ? actionForm(view, 'disable', flag, 'Disable')
      : actionForm(view, 'enable', flag, 'Enable')
  return html`<li class="card flag">
  <div class="what">
    <h2><a href="${editUrl(view.base, flag.name)}">${flag.name}</a> ${badge(flag)}</h2>
    ${flag.description ? html`<p>${flag.description}</p>` : undefined}
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

function summary(flag: FlagData): string {
  const { enabled_for_actors: actors, enabled_for_percentage_of_actors: share, variants } = flag
  const conditions = [
    actors && `${actors.actor_ids.length} of ${actors.actor_key}`,
    share && `${share.percentage} % of ${share.actor_key}`,
    variants && `${variants.options.length} variants`,
    flag.segments?.length && `segments: ${flag.segments.join(', ')}`,
    flag.requires?.length && `requires ${flag.requires.join(', ')}`,
    (flag.from || flag.until) && 'scheduled',
  ].filter(Boolean)
  const changed = `changed ${time(flag.updated_at)}`
  const owner = flag.owner ? [flag.owner] : []
  return [conditions.join(' · ') || 'Everybody', ...owner, changed].join(' · ')
}

export function time(seconds: number): string {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? 'never' : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

function nothing(search: string, isDeleted: boolean): Html {
  if (search !== '') return html`<p class="empty">No flag matches.</p>`
  return isDeleted
    ? html`<p class="empty">No flag has been deleted.</p>`
    : html`<p class="empty">No flags yet. Make the first one.</p>`
}
