import { type Html, html } from '../../web/html.ts'
import type { Field, FlagForm } from './form.ts'

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
  variantOtherwise: 'Variant for the others',
  segments: 'Segments',
  requires: 'Required flags',
  from: 'On from',
  until: 'Off from',
}

/** What a table that compares two sides says. */
export interface Headings {
  readonly caption: string
  readonly first: string
  readonly second: string
  /** Instead of the table, when they do not differ. */
  readonly same: string
}

/** Two sides of a flag, field by field, where they differ. */
export function compare(first: FlagForm, second: FlagForm, headings: Headings): Html {
  const fields = (Object.keys(LABELS) as Field[]).filter(
    field => shown(first, field) !== shown(second, field),
  )
  if (fields.length === 0) return html`<p>${headings.same}</p>`
  return html`<div class="card table"><table>
<caption>${headings.caption}</caption>
<thead><tr><th scope="col">Field</th><th scope="col">${headings.first}</th><th scope="col">${headings.second}</th></tr></thead>
<tbody>${fields.map(
    field =>
      html`<tr><th scope="row">${LABELS[field]}</th><td>${shown(first, field) || '–'}</td><td>${shown(second, field) || '–'}</td></tr>`,
  )}</tbody></table></div>`
}

function shown(form: FlagForm, field: Field): string {
  if (field === 'enabled') return form.enabled ? 'yes' : 'no'
  if (field !== 'variants') return form[field]
  return form.variants.map(({ name, weight, value }) => `${name} (${weight}): ${value}`).join('\n')
}
