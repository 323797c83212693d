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

t.test('a network that swallows everything: nobody waits for ever', async t => {
  const { write, proxy, used } = await inDoubt(t, 2)
  // Both connections are open, and idle.
  await Promise.all([write(undefined), write(undefined)])
  proxy.fallSilent(true)
  const begun = performance.now()
  const { status, code } = await write('after')
  t.same([status, code], [503, 'SQLA_ERR_COMMIT_IN_DOUBT'])
  t.ok(performance.now() - begun < 20_000, 'five seconds, and the time that it takes to get a connection')
  t.equal(used(), 0)
  proxy.fallSilent(false)
  t.equal((await write(undefined)).status, 200, 'the engine goes on')
})
