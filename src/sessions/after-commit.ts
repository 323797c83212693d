import { originOf, type SqlEm } from './entity-manager.ts'

/** What a callback of {@link afterCommit} hangs on. */
export type CommitCertainty = 'session' | 'savepoint'

/**
 * Runs `callback` once the transaction that a session has open now has been committed: by the commit rule, by
 * `db.commit()` or by `em.commit()`. It is forgotten when the transaction is rolled back. Of an autocommit engine's
 * session everything is committed already, so it runs at once.
 *
 * @param session `request.db.writer`, or the EntityManager inside its `em.transactional`
 * @param callback must not throw, and is not waited for
 * @returns `'savepoint'` inside an `em.transactional` of the session, whose work may still be undone alone while the
 *   callback runs all the same; undefined when it is no session of the plugin: then nothing was registered
 *
 * @example
 * ```ts
 * afterCommit(request.db.writer, () => cache.delete(key))
 * ```
 */
export function afterCommit(session: SqlEm, callback: () => void): CommitCertainty | undefined {
  const origin = originOf(session)
  if (origin === undefined) return undefined
  // A fork outside of the request's transaction.
  if (origin.em !== session && !session.isInTransaction()) return undefined
  origin.afterCommit(callback)
  return origin.em === session ? 'session' : 'savepoint'
}
