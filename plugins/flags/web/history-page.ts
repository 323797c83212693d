import { type Html, html } from '../../web/html.ts'
import type { FlagData } from '../flag-data.ts'
import type { HistoryAction, HistoryEntry } from '../store.ts'
import { compare } from './compare.ts'
import { formOf } from './form.ts'
import { actionForm, editUrl, historyUrl, layout, type Message, time, type View } from './layout.ts'
import { badge } from './list-page.ts'
import { liveList } from './live.ts'

/** How many changes a page has. */
export const HISTORY_PAGE = 50

/** What was done to a flag. */
export interface FlagHistory {
  readonly name: string
  /** What it is now; undefined when it is gone. */
  readonly flag: FlagData | undefined
  /** The newest first: those of a page, and one more if there is one, which the last of them is compared with. */
  readonly entries: readonly HistoryEntry[]
  /** Only what is older than this version is looked at. */
  readonly before: number | undefined
  readonly message: Message | undefined
}

const ACTIONS: Record<HistoryAction, string> = {
  created: 'Created',
  changed: 'Changed',
  deleted: 'Deleted',
  restored: 'Restored',
  purged: 'Deleted for ever',
}

export function historyPage(view: View, history: FlagHistory): string {
  const { name, flag, entries, before, message } = history
  const shown = entries.slice(0, HISTORY_PAGE)
  const last = shown.at(-1)
  const hasOlder = entries.length > shown.length && last !== undefined
  return layout(view.base, {
    title: `History of ${name}`,
    message,
    isLive: true,
    content: html`<h1>History of ${name}</h1>
${liveList(
  view,
  historyUrl(view.base, name, before),
  html`<p>${flag === undefined ? html`<span class="badge">Deleted for ever</span>` : html`${badge(flag)} · <a href="${editUrl(view.base, name)}">Open the flag</a>`}</p>
${
  shown.length > 0
    ? html`<ol class="entries">${shown.map((entry, index) => item(view, flag, entry, entries[index + 1]))}</ol>`
    : html`<p class="empty">${before === undefined ? 'Nothing has been written down of this flag yet.' : 'There is nothing older.'}</p>`
}
${(hasOlder || before !== undefined) && pages(view, name, before, hasOlder ? last.version : undefined)}`,
  name,
)}`,
  })
}

function item(
  view: View,
  flag: FlagData | undefined,
  entry: HistoryEntry,
  earlier: HistoryEntry | undefined,
): Html {
  const { version, action, author, at } = entry
  const isNow = version === flag?.version
  return html`<li class="entry" data-key="${version}">
  <h2>${ACTIONS[action]}${isNow && html` <span class="badge on">Now</span>`}</h2>
  <p class="quiet">${time(at)} · <bdi>${author ?? 'somebody'}</bdi> · version ${version}</p>
  ${difference(entry, earlier)}
  ${flag !== undefined && isThereAfter(entry) && !isNow && rollBack(view, flag, version)}
</li>`
}

/** A tombstone is nothing to go back to: the flag can be deleted. */
function isThereAfter({ action, data }: HistoryEntry): boolean {
  return action !== 'purged' && !data.deleted
}

function rollBack(view: View, flag: FlagData, version: number): Html {
  const target = html`<input type="hidden" name="target" value="${version}">`
  return actionForm(view, 'rollback', flag, 'Roll back to this version', 'plain', {
    fields: target,
    buttonName: `Roll back to this version, ${version}`,
  })
}

/** What a change has made different. */
function difference({ action, data }: HistoryEntry, earlier: HistoryEntry | undefined): Html | undefined {
  if (action === 'purged') return undefined
  const now = formOf(data)
  if (action === 'created') {
    // A new flag has not had another way to pick actors.
    const nothing = { ...formOf({}), name: data.name, hash: now.hash }
    return compare(nothing, now, { ...HEADINGS, caption: 'What it began with', same: 'Switched off.' })
  }
  if (earlier === undefined) return html`<p>What it was before is not written down.</p>`
  const same =
    action === 'changed' ? 'Nothing has changed that a form can show.' : 'Everything else stayed as it was.'
  return compare(formOf(earlier.data), now, { ...HEADINGS, same })
}

const HEADINGS = { caption: 'What has changed', first: 'Before', second: 'After' }

function pages(view: View, name: string, before: number | undefined, older: number | undefined): Html {
  const link = (url: string, text: string) => html`<li><a href="${url}">${text}</a></li>`
  return html`<nav class="pages" aria-label="Pages" data-key="pages"><ul>
${before !== undefined && link(historyUrl(view.base, name), 'Newest')}
${older !== undefined && link(historyUrl(view.base, name, older), 'Older')}
</ul></nav>`
}
