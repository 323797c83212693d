import type { FlagData, FlagInput, JsonValue, Variant } from '../flag-data.ts'

/** A row of the table of variants, as it is typed. */
export interface VariantRow {
  readonly name: string
  readonly weight: string
  readonly value: string
}

/** A flag as it is typed: every field is text. */
export interface FlagForm {
  readonly name: string
  readonly enabled: boolean
  readonly description: string
  readonly owner: string
  readonly actorKey: string
  readonly actorIds: string
  readonly shareKey: string
  readonly percentage: string
  readonly hash: string
  readonly variantKey: string
  readonly variants: readonly VariantRow[]
  readonly variantOtherwise: string
  readonly segments: string
  readonly requires: string
  readonly from: string
  readonly until: string
}

export type Field = keyof FlagForm

/** Field → what is wrong with it; `form` for what belongs to no field. */
export type Problems = Partial<Record<Field | 'form', string>>

/** What the form of a stored flag shows. */
export function formOf(data: Partial<FlagData>): FlagForm {
  const { enabled_for_actors: actors, enabled_for_percentage_of_actors: share, variants } = data
  return {
    name: data.name ?? '',
    enabled: data.enabled ?? false,
    description: lines(data.description ?? ''),
    owner: line(data.owner ?? ''),
    actorKey: line(actors?.actor_key ?? ''),
    actorIds: lines(actors?.actor_ids.join('\n') ?? ''),
    shareKey: line(share?.actor_key ?? ''),
    percentage: share == null ? '' : String(share.percentage),
    hash: data.hash ?? (data.name === undefined ? 'salted' : 'flypper'),
    variantKey: line(variants?.actor_key ?? ''),
    variants: (variants?.options ?? []).map(({ name, weight, value }) => ({
      name: line(name),
      weight: String(weight),
      value: JSON.stringify(value),
    })),
    variantOtherwise: line(variants?.otherwise ?? ''),
    segments: lines(data.segments?.join('\n') ?? ''),
    requires: lines(data.requires?.join('\n') ?? ''),
    from: localTime(data.from),
    until: localTime(data.until),
  }
}

/** What a browser has sent. */
export function readForm(body: URLSearchParams): FlagForm {
  const text = (field: string) => lines(body.get(field) ?? '')
  const [names, weights, values] = ['variantName', 'variantWeight', 'variantValue'].map(field =>
    body.getAll(field).map(lines),
  )
  return {
    name: body.get('name') ?? '',
    enabled: body.has('enabled'),
    description: text('description'),
    owner: text('owner'),
    actorKey: text('actorKey'),
    actorIds: text('actorIds'),
    shareKey: text('shareKey'),
    percentage: text('percentage').trim(),
    hash: text('hash'),
    variantKey: text('variantKey'),
    variants: (names ?? [])
      .map((name, index) => ({ name, weight: weights?.[index] ?? '', value: values?.[index] ?? '' }))
      .filter(row => [row.name, row.weight, row.value].some(cell => cell.trim() !== '')),
    variantOtherwise: text('variantOtherwise'),
    segments: text('segments'),
    requires: text('requires'),
    from: text('from'),
    until: text('until'),
  }
}

/**
 * What a form says, or what is wrong with it. Fields that are as they were shown are left out: a flag may have what a form
 * cannot show exactly, such as an actor with a line break or a time with milliseconds, and saving must not change that.
 */
export function parseForm(
  form: FlagForm,
  shown: FlagForm,
): { readonly change: Omit<FlagInput, 'name'>; readonly problems: Problems } {
  const problems: Problems = {}
  const isSame = (...fields: Field[]) =>
    fields.every(field => JSON.stringify(form[field]) === JSON.stringify(shown[field]))
  const change: Omit<FlagInput, 'name'> = {
    ...(isSame('enabled') ? {} : { enabled: form.enabled }),
    ...(isSame('description') ? {} : { description: form.description || null }),
    ...(isSame('owner') ? {} : { owner: form.owner || null }),
    ...(isSame('actorKey', 'actorIds') ? {} : { enabled_for_actors: actorsOf(form, problems) }),
    ...(isSame('shareKey', 'percentage')
      ? {}
      : { enabled_for_percentage_of_actors: shareOf(form, problems) }),
    ...(isSame('hash') ? {} : { hash: form.hash === 'flypper' ? 'flypper' : 'salted' }),
    ...(isSame('variantKey', 'variants', 'variantOtherwise') ? {} : { variants: variantsOf(form, problems) }),
    ...(isSame('segments') ? {} : { segments: namesIn(form.segments) }),
    ...(isSame('requires') ? {} : { requires: namesIn(form.requires) }),
    ...(isSame('from') ? {} : { from: timeOf(form, 'from', problems) }),
    ...(isSame('until') ? {} : { until: timeOf(form, 'until', problems) }),
  }
  return { change, problems }
}

function actorsOf({ actorKey, actorIds }: FlagForm, problems: Problems) {
  const ids = actorIds.split('\n').filter(id => id !== '')
  if (actorKey !== '') return { actor_key: actorKey, actor_ids: ids }
  if (ids.length > 0) problems.actorKey = 'Say which entry holds the actor, such as user_id.'
  return null
}

function shareOf({ shareKey, percentage }: FlagForm, problems: Problems) {
  if (shareKey === '' && percentage === '') return null
  if (shareKey === '') problems.shareKey = 'Say which entry holds the actor, such as user_id.'
  const number = Number(percentage)
  if (!/^\d+(\.\d+)?$/.test(percentage) || number > 100) {
    problems.percentage = 'A percentage is a number from 0 to 100, such as 12.5.'
  }
  return { actor_key: shareKey, percentage: number }
}

function variantsOf({ variantKey, variants, variantOtherwise }: FlagForm, problems: Problems) {
  if (variants.length === 0 && variantKey === '' && variantOtherwise === '') return null
  if (variants.length === 0) problems.variants = 'Fill in one variant at least, or clear the entry.'
  else if (variantKey === '') problems.variantKey = 'Say which entry holds the actor, such as user_id.'
  const options = variants.map((row, index): Variant => {
    const problem = (text: string) => {
      problems.variants ??= `Variant ${index + 1}: ${text}`
    }
    const weight = row.weight.trim()
    if (row.name.trim() === '') problem('it needs a name.')
    if (!/^\d+(\.\d+)?$/.test(weight)) problem('its weight is a number, 0 or more.')
    let value: JsonValue = null
    try {
      value = JSON.parse(row.value)
    } catch {
      problem('its value is not JSON. Texts have quotation marks: "blue".')
    }
    return { name: row.name, weight: Number(weight), value }
  })
  if (variantOtherwise === '') return { actor_key: variantKey, options }
  if (!options.some(({ name }) => name === variantOtherwise)) {
    problems.variantOtherwise = 'There is no variant of this name.'
  }
  return { actor_key: variantKey, options, otherwise: variantOtherwise }
}

function timeOf(form: FlagForm, field: 'from' | 'until', problems: Problems): string | null {
  const text = form[field].trim()
  if (text === '') return null
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?$/.test(text)
  if (!isTime || Number.isNaN(Date.parse(`${text}Z`))) {
    problems[field] = 'A time looks like 2026-01-31T12:00.'
  }
  return `${text}Z`
}

function namesIn(text: string): string[] | null {
  const names = text.split('\n').filter(name => name.trim() !== '')
  return names.length > 0 ? names : null
}

/** As browsers send `datetime-local`: in its shortest form. */
function localTime(time: string | null | undefined): string {
  const date = new Date(time ?? Number.NaN)
  if (Number.isNaN(date.getTime())) return ''
  return date.toISOString().slice(0, date.getUTCSeconds() === 0 ? 16 : 19)
}

/** Browsers send every line break as CR LF. */
function lines(text: string): string {
  return text.replace(/\r\n?/g, '\n')
}

/** Fields of one line lose line breaks. */
function line(text: string): string {
  return text.replace(/[\r\n]/g, '')
}
