/** The part of the optional peer `sql-formatter` that is used. */
type Format = (
  sql: string,
  options: { language: string; keywordCase: 'preserve'; paramTypes?: { numbered: '$'[] } },
) => string

/** Characters. Longer statements are hardly read, and formatting takes longer the longer they are. */
const LONGEST = 10_000
const CACHED = 500

const LANGUAGES: Record<string, string> = {
  postgresql: 'postgresql',
  mysql: 'mysql',
  mariadb: 'mariadb',
  sqlite: 'sqlite',
}

let loading: Promise<void> | undefined
let format: Format | undefined
/** The same statements are shown again and again. */
const known = new Map<string, string>()

/** Loads `sql-formatter`; without it nothing is formatted. */
export function loadFormatter(): Promise<void> {
  loading ??= import('sql-formatter').then(
    formatter => {
      format = formatter.format as Format
    },
    () => {},
  )
  return loading
}

/** The SQL on several lines; as it was where it cannot be formatted. */
export function formatted(sql: string, dialect: string): string {
  if (format === undefined || sql.length > LONGEST) return sql
  const key = `${dialect}\0${sql}`
  const before = known.get(key)
  if (before !== undefined) return before
  const text = attempt(format, sql, LANGUAGES[dialect] ?? 'sql')
  if (known.size >= CACHED) known.clear()
  known.set(key, text)
  return text
}

function attempt(formatWith: Format, sql: string, language: string): string {
  try {
    return formatWith(sql, { language, keywordCase: 'preserve', paramTypes: { numbered: ['$'] } })
  } catch {
    return sql
  }
}
