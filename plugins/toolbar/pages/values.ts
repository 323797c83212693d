import { tokensOf } from '../../../src/index.ts'
import type { StatementRecord } from '../records.ts'

// The recorder keeps bound parameters as JSON, for people. Here they become SQL again, where that is certainly the same.

/**
 * A statement with its values in it, to be explained.
 *
 * @returns undefined when not all of them are known
 */
export function withValues({ text, parameters = [], dialect }: StatementRecord): string | undefined {
  if (text === undefined || parameters.length === 0) return text
  if (dialect !== 'postgresql') return undefined
  const literals = parameters.map(literalOf)
  const pieces = tokensOf(text, dialect).map(token =>
    token.kind === 'parameter' ? literals[Number(token.text.slice(1)) - 1] : token.text,
  )
  return pieces.includes(undefined) ? undefined : pieces.join('')
}

/** A statement with NULL in the place of its parameters. */
export function withNulls(sql: string, dialect: string): string {
  return tokensOf(sql, dialect)
    .map(({ kind, text }) => (kind === 'parameter' ? 'NULL' : text))
    .join('')
}

/** Whether the recorder has kept the beginning only. */
export function isCut(text: string): boolean {
  return text.endsWith('…')
}

/** Of a list nobody knows whether it was an array or JSON; of bytes there is only their number; what was cut is no JSON. */
function literalOf(json: string): string | undefined {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return undefined
  }
  switch (typeof value) {
    case 'string':
      return quoted(value)
    case 'number':
    case 'boolean':
      return quoted(String(value))
    default:
      return value === null ? 'NULL' : Array.isArray(value) ? undefined : quoted(json)
  }
}

/** Without a type, as the server takes a bound parameter. (As `E'…'` a backslash means the same whatever the server's settings.) */
function quoted(text: string): string {
  return ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}' `
}
