import t from 'tap'
import { NOTHING } from '../support/app.ts'
import {
  addNoteRoutes,
  allCurrent,
  Browser,
  PATIENT_PROBE,
  replicatedCluster,
  routedApp,
} from '../support/routed-app.ts'
import { keepReplaysPausing, writeThenRead } from '../support/write-then-read.ts'

const PAIRS = 1_000
const CLIENTS = 50

t.test('a write and the read behind it, while the replicas are late in turns', async t => {
  const cluster = await replicatedCluster(t, 2)
  const test = await routedApp(t, cluster, {
    max: 10,
    server: { logger: false },
    routing: { probe: PATIENT_PROBE },
    routes: app => {
      addNoteRoutes(app)
      addNoteRoutes(app, 'eventual', '/eventual')
    },
  })
  await allCurrent(test, cluster)

  let done = 0
  const onPair = (): void => {
    done++
  }

  await t.test(`${PAIRS} pairs by ${CLIENTS} clients: none is missed`, async t => {
    const { reads } = test.app.sqlAssist.routing
    const before = { ...reads }
    const pausing = keepReplaysPausing(cluster, () => done)
    const { stale, statuses } = await writeThenRead(test, {
      pairs: PAIRS,
      clients: CLIENTS,
      name: 'session',
      onPair,
    })
    const pauses = await pausing.end()
    t.same(stale, [], 'nobody misses what it has written')
    t.same(statuses, { 200: PAIRS, 201: PAIRS })
    t.ok(pauses >= 4, `replay was paused ${pauses} times`)
    t.comment(`${pauses} pauses`, {
      replica: reads.replica - before.replica,
      primary: reads.primary - before.primary,
    })
    t.ok(reads.replica > before.replica, 'replicas have served reads')
  })

  await t.test('the same with consistency eventual misses some: so the test can fail', async t => {
    await allCurrent(test, cluster)
    const pausing = keepReplaysPausing(cluster, () => done)
    const { stale } = await writeThenRead(test, {
      pairs: PAIRS,
      clients: CLIENTS,
      name: 'eventual',
      prefix: '/eventual',
      onPair,
    })
    await pausing.end()
    t.ok(stale.length > 0, `${stale.length} of ${PAIRS} reads missed the write`)
    t.comment(`${stale.length} stale`)
  })

  await t.test('another client, without the token, may miss it', async t => {
    await allCurrent(test, cluster)
    for (const replica of cluster.replicas) await replica.pauseReplay()
    const writer = new Browser(test)
    t.equal((await writer.ask('POST', '/notes/others', {})).status, 201)
    t.equal((await new Browser(test).ask('GET', '/notes/others')).status, 404)
    t.equal((await writer.ask('GET', '/notes/others')).status, 200)
  })

  await allCurrent(test, cluster)
  t.same(await test.remains(), NOTHING)
})
