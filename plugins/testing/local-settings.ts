// `set local` ends with its transaction. A savepoint that is released keeps it, so what a transaction has set is put back by us.

const SET_LOCAL = /\bset\s+local\s+(?:session\s+)?([\w.]+)/gi
const SET_CONFIG = /\bset_config\s*\(\s*(?:'([^']+)'|\$(\d+))\s*,/gi

/** The settings that a statement may change until the end of its transaction. */
export function localSettingsOf(sql: string, parameters: readonly unknown[]): string[] {
  if (!/\bset(?:_config|\s+local)\b/i.test(sql)) return []
  const set = [...sql.matchAll(SET_LOCAL)].map(([, name = '']) => name)
  const configured = [...sql.matchAll(SET_CONFIG)].map(([, name, number]) =>
    name === undefined ? String(parameters[Number(number) - 1]) : name,
  )
  return [...set, ...configured].map(name => name.toLowerCase())
}
