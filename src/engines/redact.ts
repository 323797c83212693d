/** Removes what could be a password from a text that came out of a driver: credentials of URLs, `password=…`. */
export function redact(text: string): string {
  return text
    .replace(/\/\/[^/@\s]*@/g, '//***@')
    .replace(/(password\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&]+)/gi, '$1***')
}

/**
 * A copy of an error that is safe to log: message and codes, no driver's fields (a `TypeError` of a bad URL
 * carries the whole URL in `input`).
 */
export function redactedCause(error: unknown): Error {
  const source = error instanceof Error ? error : new Error(String(error))
  const safe = new Error(redact(messageOf(source)))
  safe.name = source.name
  const { code } = source as { code?: unknown }
  if (typeof code === 'string') Object.assign(safe, { code })
  safe.stack = redact(source.stack ?? '')
  return safe
}

/** An AggregateError (every address of a host refused) has an empty message of its own. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ')
  }
  return error instanceof Error ? error.message : String(error)
}
