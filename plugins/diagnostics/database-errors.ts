interface DatabaseError {
  readonly code?: unknown
  readonly errno?: unknown
  readonly sqlState?: unknown
}

/** The code of an error, whoever gave it: SQLSTATE, `ECONNRESET`, `SQLA_ERR_…`; undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as DatabaseError | undefined)?.code
  return typeof code === 'string' && code !== '' ? code : undefined
}

/** The code that the database answered with: SQLSTATE of PostgreSQL, the number of MySQL and MariaDB, the name of SQLite. */
export function statusOf(error: unknown): string | undefined {
  const { errno, sqlState } = (error ?? {}) as DatabaseError
  if (typeof errno === 'number' && typeof sqlState === 'string') return String(errno)
  const code = codeOf(error)
  // `EPIPE` has five capital letters as well, and is none of the database's.
  return code !== undefined && (/^(?=.*\d)[0-9A-Z]{5}$/.test(code) || code.startsWith('SQLITE_'))
    ? code
    : undefined
}

/** A class of errors with few members: the code, else the name of the class. */
export function typeOf(error: unknown): string {
  return statusOf(error) ?? codeOf(error) ?? (error instanceof Error ? error.constructor.name : '_OTHER')
}
