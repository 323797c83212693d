import type { Field, FlagForm } from './form.ts'
import { type Html, html } from './html.ts'

const LABELS: Record<Field, string> = {
  name: 'Name',
  enabled: 'Switched on',
  description: 'Description',
  owner: 'Owner',
  actorKey: 'Actors: entry',
  actorIds: 'Actors',
  shareKey: 'Percentage: entry',
  percentage: 'Percentage',
  hash: 'How actors are picked',
  variantKey: 'Variants: entry',
  variants: 'Variants',
  segments: 'Segments',
  requires: 'Required flags',
  from: 'On from',
  until: 'Off from',
}

/** Two editors have changed the same flag: both sides, where they differ. */
export function compare(mine: FlagForm, theirs: FlagForm): Html {
  const fields = (Object.keys(LABELS) as Field[]).filter(field => shown(mine, field) !== shown(theirs, field))
  if (fields.length === 0) return html`<p>Both of you have entered the same.</p>`
  return html`<div class="card table"><table>
<caption>Where the two differ</caption>
<thead><tr><th scope="col">Field</th><th scope="col">You</th><th scope="col">Saved now</th></tr></thead>
<tbody>${fields.map(
    field =>
      html`<tr><th scope="row">${LABELS[field]}</th><td>${shown(mine, field) || '–'}</td><td>${shown(theirs, field) || '–'}</td></tr>`,
  )}</tbody></table></div>`
}

function shown(form: FlagForm, field: Field): string {
  if (field === 'enabled') return form.enabled ? 'yes' : 'no'
  if (field !== 'variants') return form[field]
  return form.variants.map(({ name, weight, value }) => `${name} (${weight}): ${value}`).join('\n')
}
