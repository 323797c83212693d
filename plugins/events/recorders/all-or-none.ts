import type { SqlEm } from '../../../src/index.ts'
import type { Datastore } from '../datastore.ts'
import { dialectOf } from './dialect.ts'

/**
 * Runs several statements, so that all of them have an effect or none has. In somebody else's transaction a failed statement
 * of PostgreSQL ends that; MariaDB and SQLite would go on with what came before it, if the error were caught: there it is a
 * savepoint.
 */
export function allOrNone<R>(datastore: Datastore, work: (em: SqlEm) => Promise<R>): Promise<R> {
  return datastore.isJoined && dialectOf(datastore.em) !== 'postgresql'
    ? datastore.transaction(work)
    : datastore.together(work)
}
