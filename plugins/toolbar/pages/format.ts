import { type Html, html } from '../../web/html.ts'

/** Milliseconds with about three digits; a dash for what is not known. */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return '–'
  if (ms === 0) return '0 ms'
  if (ms >= 60_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(count: number): string {
  const unit = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), UNITS.length - 1)
  return `${unit === 0 ? count : (count / 1024 ** unit).toFixed(1)} ${UNITS[unit]}`
}

/** `1 statement`, `2 statements`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}

/** The time of the day where the server is, as its logs have it; with the date for programs. */
export function clock(at: number): Html {
  const date = new Date(at)
  const two = (part: number): string => String(part).padStart(2, '0')
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return html`<time datetime="${date.toISOString()}" title="${date.toISOString()}">${text}</time>`
}

/** A text of somebody's, at most `most` characters of it. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}… (${text.length - most} more characters)`
}
