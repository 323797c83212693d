import { redact } from '../../src/index.ts'

// Texts as they are kept: never longer than they may be.

/**
 * At most `most` characters of a text. A copy: V8 would otherwise keep the whole text for as long as anybody has its beginning.
 */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text
  return Buffer.from(`${text.slice(0, most)}…`).toString()
}

/** A URL without the values of its query string, and without credentials. */
export function withoutQueryValues(url: string): string {
  // Most have neither.
  if (!/[?@=:]/.test(url)) return cut(url, MOST_URL)
  const [path = '', ...query] = redact(url).split('?')
  if (query.length === 0) return cut(path, MOST_URL)
  const names = query
    .join('?')
    .split('&')
    .map(pair => pair.split('=', 1)[0])
  return cut(`${path}?${names.join('&')}`, MOST_URL)
}

const MOST_URL = 2_000

/** A value for people: as JSON, where there is JSON for it. */
export function shownValue(value: unknown, most = 500): string {
  if (value instanceof Uint8Array) return `<${value.byteLength} bytes>`
  if (typeof value === 'bigint') return String(value)
  // A longer one takes long, and is cut anyway.
  if (typeof value === 'string') return cut(JSON.stringify(value.slice(0, most + 1)), most)
  try {
    return cut(JSON.stringify(value) ?? String(value), most)
  } catch {
    return `<${typeof value}>`
  }
}
