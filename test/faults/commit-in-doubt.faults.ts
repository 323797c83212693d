import t from 'tap'
import { inDoubt } from '../transactions/in-doubt.ts'

// The network is cut around a COMMIT, many times: the client's answer always is what the database has.

const ROUNDS = 200
const PATHS = ['/entity', '/bound', '/function']

t.test('the answer always matches the database', async t => {
  const { write, proxy, used, sql } = await inDoubt(t)
  for (const point of ['before', 'during', 'after'] as const) {
    let there = 0
    const wrong: unknown[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const answer = await write(point, PATHS[round % PATHS.length])
      if (answer.isThere) there++
      if (answer.status !== (answer.isThere ? 200 : 503)) wrong.push(answer)
    }
    t.same(wrong, [], `${point}: no answer that is not true`)
    if (point === 'before') t.equal(there, 0)
    if (point === 'after') t.equal(there, ROUNDS)
    t.comment(`cut ${point} COMMIT: ${there} of ${ROUNDS} were committed`)
  }
  t.equal(proxy.cuts, 3 * ROUNDS)
  t.equal(used(), 0)
  t.same(
    await sql(
      "select pid from pg_stat_activity where datname = current_database() and state like 'idle in%'",
    ),
    [],
    'no transaction is left behind',
  )
})
