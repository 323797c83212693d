import type { SqlEm } from '../../src/index.ts'

/**
 * Turns off PostgreSQL's compiler (JIT) for the rest of the transaction. A segment is a long expression: compiling it takes
 * longer than it saves (twenty percentage splits: half a minute on PostgreSQL 15), and nobody can cancel that.
 */
export async function turnOffJit(em: SqlEm): Promise<void> {
  await em.execute('set local jit = off')
}
