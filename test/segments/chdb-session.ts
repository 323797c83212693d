import { createRequire } from 'node:module'
import { join } from 'node:path'

// ClickHouse inside of this process, by the npm package `chdb`. It is large, so it is no dependency: it is used when it is
// installed, or where CHDB_PATH says (a directory with node_modules in it).

interface Session {
  query(sql: string, format?: string): string
}

/** @returns undefined when the package is not installed */
export function openClickHouse(): Session | undefined {
  const places = [import.meta.url]
  const { CHDB_PATH } = process.env
  if (CHDB_PATH !== undefined) places.unshift(join(CHDB_PATH, 'package.json'))
  for (const place of places) {
    try {
      const { Session } = createRequire(place)('chdb') as { Session: new () => Session }
      return new Session()
    } catch (error) {
      if ((error as { code?: string }).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return undefined
}
