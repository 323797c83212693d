import { type Html, html } from '../../web/html.ts'
import type { FlagData } from '../flag-data.ts'
import { compare } from './compare.ts'
import type { FlagForm, Problems } from './form.ts'
import { BLANK_ROWS, fields } from './form-fields.ts'
import { actionForm, hidden, historyUrl, layout, type Message, time, type View } from './layout.ts'
import { badge } from './list-page.ts'
import { liveNotice } from './live.ts'

/** What is in a form, and what is wrong with it. */
export interface Filled {
  readonly form: FlagForm
  readonly problems?: Problems | undefined
  readonly message?: Message | undefined
  /** How many empty rows for variants. */
  readonly blankRows?: number | undefined
}

export function newPage(view: View, filled: Filled): string {
  return layout(view.base, {
    title: 'New flag',
    message: filled.message ?? problemMessage(filled.problems),
    content: html`<h1>New flag</h1>
<form method="post" action="${view.base}/new" class="edit" novalidate>
  ${hidden(view)}
  ${fields({ ...filled, isNew: true })}
  <div class="actions"><button class="primary">Create flag</button> ${moreRows(filled)} <a class="button plain" href="${view.base}/">Cancel</a></div>
</form>`,
  })
}

/** @param overtaken what somebody else has saved while this form was filled in */
export function editPage(view: View, flag: FlagData, filled: Filled, overtaken?: FlagForm): string {
  return layout(view.base, {
    title: flag.name,
    message: filled.message ?? problemMessage(filled.problems),
    isLive: true,
    content: html`${liveNotice(view, flag)}<div class="title"><h1>${flag.name} ${badge(flag)}</h1></div>
<p class="quiet">Version ${flag.version} · changed ${time(flag.updated_at)} · ${historyLink(view, flag)}</p>
${overtaken && compare(filled.form, overtaken, CONFLICT)}
<form method="post" action="${view.base}/edit" class="edit" novalidate>
  ${hidden(view, flag)}
  ${fields({ ...filled, isNew: false })}
  <div class="actions"><button class="primary">${overtaken ? 'Save mine over it' : 'Save changes'}</button> ${moreRows(filled)} <a class="button plain" href="${view.base}/">Cancel</a></div>
</form>
<section class="card aside" aria-labelledby="remove"><h2 id="remove">Delete this flag</h2>
<p>It is off for everybody then. You can restore it as it was.</p>${actionForm(view, 'delete', flag, 'Delete', 'danger')}</section>`,
  })
}

/** A flag that has been deleted. @param typed what could not be saved for that reason */
export function deletedPage(
  view: View,
  flag: FlagData,
  stored: FlagForm,
  message?: Message,
  typed?: FlagForm,
): string {
  return layout(view.base, {
    title: flag.name,
    message,
    isLive: true,
    content: html`${liveNotice(view, flag)}<div class="title"><h1>${flag.name} ${badge(flag)}</h1></div>
<p class="quiet">Deleted ${time(flag.updated_at)} · ${historyLink(view, flag)}</p>
${typed && compare(typed, stored, CONFLICT)}
<section class="card aside" aria-labelledby="restore"><h2 id="restore">Restore this flag</h2>
<p>It comes back as it was, ${flag.enabled ? 'switched on' : 'switched off'}.</p>${actionForm(view, 'restore', flag, 'Restore', 'primary')}</section>
<section class="card aside" aria-labelledby="purge"><h2 id="purge">Delete for ever</h2>
<p>Nothing of it is kept but its history.</p><a class="button danger" href="${view.base}/purge?name=${encodeURIComponent(flag.name)}">Delete for ever …</a></section>`,
  })
}

export function purgePage(view: View, flag: FlagData): string {
  return layout(view.base, {
    title: `Delete ${flag.name} for ever?`,
    isLive: true,
    content: html`${liveNotice(view, flag)}<h1>Delete ${flag.name} for ever?</h1>
<p>The flag, its description and its conditions are gone then, for everybody. This cannot be undone. Its history stays.</p>
<div class="actions">${actionForm(view, 'purge', flag, 'Delete for ever', 'danger')}<a class="button plain" href="${view.base}/edit?name=${encodeURIComponent(flag.name)}">Keep it</a></div>`,
  })
}

/** Two editors have changed the same flag. */
const CONFLICT = {
  caption: 'Where the two differ',
  first: 'You',
  second: 'Saved now',
  same: 'Both of you have entered the same.',
}

function historyLink(view: View, flag: FlagData): Html {
  return html`<a href="${historyUrl(view.base, flag.name)}">History</a>`
}

function problemMessage(problems: Problems = {}): Message | undefined {
  const found = Object.entries(problems)
  if (found.length === 0) return undefined
  return {
    kind: 'problem',
    text: html`<p>Not saved.</p><ul>${found.map(([field, text]) =>
      field === 'form' ? html`<li>${text}</li>` : html`<li><a href="#${field}">${text}</a></li>`,
    )}</ul>`,
  }
}

/** Behind the button that saves: Enter in a field presses the first one. */
function moreRows({ blankRows = BLANK_ROWS }: Filled): Html {
  return html`<button class="plain" name="_more" value="${blankRows + 3}">More rows for variants</button>`
}
