import t from 'tap'
import { cuttingProxy } from '../transactions/cutting-proxy.ts'
import { both, decisionsIn, janitorOf, preparedIn } from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'

// The coordinator goes away with the decision, and for so long that nobody can tell what it was.

for (const [point, saved] of [
  ['before', undefined],
  ['after', 1],
] as const) {
  t.test(
    `a coordinator that is lost ${point} the decision and stays away: in doubt, until a janitor knows`,
    async t => {
      let proxy: Awaited<ReturnType<typeof cuttingProxy>> | undefined
      const two = await twoDatabases(t, {}, { twoPhase: true }, undefined, async (a, b) => {
        proxy = await cuttingProxy(t, a.writerUrl)
        return [proxy.url(a.writerUrl), b.writerUrl]
      })
      await t.rejects(
        two.run(async db => {
          await both(db, 1, 1)
          await db.a.flush()
          await db.b.flush()
          proxy?.cutNext(point, 'into "sqlassist_decisions"')
          proxy?.refuse(true)
        }),
        { code: 'SQLA_ERR_COMMIT_IN_DOUBT', statusCode: 503, message: /janitor can read the decision/ },
      )
      proxy?.forget()
      t.equal((await preparedIn(two)).length, 2, 'both stay prepared')
      const { janitor } = janitorOf(t, two)
      await t.rejects(janitor.resolve({ force: true }), 'nor does a janitor guess')
      await janitor.start()
      t.equal((await preparedIn(two)).length, 2)
      proxy?.refuse(false)
      await janitor.resolve({ force: true })
      t.same(await two.balances(2), [saved, saved])
      t.same(await preparedIn(two), [])
      t.equal((await decisionsIn(two)).length, saved === undefined ? 1 : 0)
      for (const { figures } of two.app.sqlAssist.engines) t.equal(figures.used, 0)
    },
  )
}
