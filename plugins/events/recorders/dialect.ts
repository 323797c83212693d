import { BaseMySqlPlatform, BasePostgreSqlPlatform } from '@mikro-orm/sql'
import type { SqlEm } from '../../../src/index.ts'

// Where the databases differ, for all tables of events.

export type Dialect = 'postgresql' | 'mysql' | 'sqlite'

export function dialectOf(em: SqlEm): Dialect {
  const platform = em.getPlatform()
  if (platform instanceof BasePostgreSqlPlatform) return 'postgresql'
  return platform instanceof BaseMySqlPlatform ? 'mysql' : 'sqlite'
}
