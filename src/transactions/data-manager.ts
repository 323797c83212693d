/**
 * Something besides databases that is to have the same outcome as a request's transaction: a file, a message to a queue.
 *
 * One that can say beforehand whether it will succeed has `vote`; after it, `commit` should not fail any more. One without
 * `vote` can only be tried, and comes last: when it fails, the rest is committed already (`SQLA_ERR_PARTIAL_COMMIT`).
 * (The protocol is that of Zope's and Python's `transaction` package.)
 *
 * @example
 * ```ts
 * const manager: DataManager = {
 *   name: 'invoice.pdf',
 *   vote: () => access(directory, constants.W_OK),
 *   commit: () => rename(temporary, final),
 *   rollback: () => rm(temporary, { force: true }),
 * }
 * request.db.transaction.join(manager)
 * ```
 */
export interface DataManager {
  /** Names it in errors and logs. */
  readonly name: string
  /** Called when everything has been flushed and nothing is committed yet. When it throws, all is rolled back. */
  vote?(): unknown
  /** Called when the databases have committed. */
  commit(): unknown
  /** Called once when the transaction is rolled back, whether or not it has voted. */
  rollback(): unknown
  /** For savepoints: remembers what there is now. Without it, a request that this has joined can have none. */
  savepoint?(): { rollback(): unknown } | Promise<{ rollback(): unknown }>
}
