import { type Html, html, type Part } from '../../web/html.ts'
import type { Field, FlagForm, Problems } from './form.ts'

export const BLANK_ROWS = 2

/** Everything of a flag that can be typed. */
export function fields({
  form,
  problems = {},
  blankRows = BLANK_ROWS,
  isNew,
}: {
  readonly form: FlagForm
  readonly problems?: Problems | undefined
  readonly blankRows?: number | undefined
  readonly isNew: boolean
}): Html {
  const one = (field: TextField, label: string, hint?: Part, attributes?: Html) =>
    input(form, problems, field, label, hint, attributes)
  const many = (field: TextField, label: string, hint?: Part) => textarea(form, problems, field, label, hint)
  return html`<fieldset class="card"><legend>Flag</legend>
  ${isNew && one('name', 'Name', 'It cannot be changed later.', html`required maxlength="255"`)}
  <p class="check"><input type="checkbox" id="enabled" name="enabled"${form.enabled && html` checked`}><label for="enabled">Switched on</label></p>
  ${many('description', 'Description')}
  ${one('owner', 'Owner')}
</fieldset>
<fieldset class="card"><legend>Who gets it</legend>
  <p class="quiet">All conditions must hold. Without any, everybody gets it.</p>
  <div class="group" role="group" aria-labelledby="g-actors"><h2 id="g-actors">Only these actors</h2><div class="pair">
  ${one('actorKey', 'Entry that holds the actor', 'Such as user_id. Empty: this condition is off.')}
  ${many('actorIds', 'Actors', 'One per line.')}</div></div>
  <div class="group" role="group" aria-labelledby="g-share"><h2 id="g-share">A share of the actors</h2><div class="pair">
  ${one('shareKey', 'Entry that tells actors apart', 'Such as user_id.')}
  ${one('percentage', 'Percentage', '0 to 100. Empty: this condition is off.', html`inputmode="decimal"`)}</div>
  ${hash(form)}</div>
  <div class="group pair">
  ${many('segments', 'Segments', 'One per line. An actor must be in one of them.')}
  ${many('requires', 'Required flags', 'One per line. All of them must be on, too.')}</div>
  <div class="group pair">
  ${one('from', 'On from', 'UTC', html`type="datetime-local" step="any"`)}
  ${one('until', 'Off from', 'UTC', html`type="datetime-local" step="any"`)}</div>
</fieldset>
<fieldset class="card"><legend>Variants</legend>
  <p class="quiet" id="variants-hint">Several values instead of on and off. Weights are relative to each other; values are JSON and of one type.</p>
  ${problems.variants !== undefined && html`<p class="error" id="variants-error">${problems.variants}</p>`}
  ${one('variantKey', 'Entry that tells actors apart for variants', 'Empty, with no rows below: no variants.')}
  <div id="variants" tabindex="-1">${[
    ...form.variants,
    ...Array.from({ length: blankRows }, () => ({ name: '', weight: '', value: '' })),
  ].map((row, index) => variant(row, index + 1, problems.variants !== undefined))}</div>
  ${one('variantOtherwise', 'Variant for whom the flag is not meant', 'The name of one of them, which those get whom the conditions leave out. Empty: they get what the program has for that case.')}
</fieldset>`
}

type TextField = Exclude<Field, 'enabled' | 'variants' | 'hash'>

/** The hint and the error of a field, and the attributes that link them to it. */
function around(field: string, problem: string | undefined, hint: Part): { links: Html; after: Html } {
  const ids = [hint && `${field}-hint`, problem && `${field}-error`].filter(Boolean).join(' ')
  return {
    links: html`${ids !== '' && html` aria-describedby="${ids}"`}${problem !== undefined && html` aria-invalid="true"`}`,
    after: html`${hint && html`<p class="hint" id="${field}-hint">${hint}</p>`}${
      problem !== undefined && html`<p class="error" id="${field}-error">${problem}</p>`
    }`,
  }
}

function input(
  form: FlagForm,
  problems: Problems,
  field: TextField,
  label: string,
  hint: Part,
  attributes?: Html,
): Html {
  const { links, after } = around(field, problems[field], hint)
  return html`<div class="field"><label for="${field}">${label}</label><input id="${field}" name="${field}" value="${form[field]}" autocomplete="off"${links} ${attributes}>${after}</div>`
}

function textarea(form: FlagForm, problems: Problems, field: TextField, label: string, hint: Part): Html {
  const { links, after } = around(field, problems[field], hint)
  // The parser of HTML drops a line break right behind the tag.
  return html`<div class="field"><label for="${field}">${label}</label><textarea id="${field}" name="${field}" rows="3"${links}>
${form[field]}</textarea>${after}</div>`
}

function hash(form: FlagForm): Html {
  const option = (value: string, text: string) =>
    html`<option value="${value}"${form.hash === value && html` selected`}>${text}</option>`
  return html`<div class="field"><label for="hash">How actors are picked</label><select id="hash" name="hash" aria-describedby="hash-hint">${[
    option('salted', 'Differently for each flag'),
    option('flypper', 'As flypper does: the same actors for each flag'),
  ]}</select><p class="hint" id="hash-hint">Another choice picks other actors.</p></div>`
}

function variant(
  { name, weight, value }: FlagForm['variants'][number],
  number: number,
  isInvalid: boolean,
): Html {
  const links = html` aria-describedby="variants-hint${isInvalid && ' variants-error'}"`
  const id = `variant-${number}`
  return html`<div class="variant" role="group" aria-label="Variant ${number}">
  <div class="field"><label for="${id}-name">Name</label><input id="${id}-name" name="variantName" value="${name}" autocomplete="off"${links}></div>
  <div class="field"><label for="${id}-weight">Weight</label><input id="${id}-weight" name="variantWeight" value="${weight}" inputmode="decimal" autocomplete="off"${links}></div>
  <div class="field"><label for="${id}-value">Value (JSON)</label><textarea id="${id}-value" name="variantValue" rows="1" spellcheck="false"${links}>
${value}</textarea></div>
</div>`
}
