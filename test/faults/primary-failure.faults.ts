import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { eventually, NOTHING, type TestApp } from '../support/app.ts'
import { failingRoutes } from '../support/failing.ts'
import { databaseOf, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'

const PROBE = { interval: 100, timeout: 500 }
/** The default of the engines. */
const ACQUIRE_TIMEOUT = 10_000
const UNAVAILABLE = 'SQLA_ERR_PRIMARY_UNAVAILABLE'

async function write(test: TestApp, tag: string) {
  const from = performance.now()
  const { status, body } = await test.ask('POST', `/notes/${tag}`, { body: {} })
  return { status, code: (JSON.parse(body) as { code?: string }).code, ms: performance.now() - from }
}

/** Writes until that is answered with success. */
function acceptsWrites(test: TestApp, tag: string): Promise<boolean> {
  let n = 0
  return eventually(async () => (await write(test, `${tag}${n++}`)).status === 201, 10_000)
}

t.test('a primary that is gone', async t => {
  const cluster = await replicatedCluster(t, 1)
  const { primary, replicas } = cluster
  const [replica] = replicas
  const test = await routedApp(t, cluster, {
    routes: failingRoutes,
    max: 2,
    routing: { probe: PROBE },
  })
  const online = { replica1: 'online' }
  t.same(await statesBecome(test, online), online)

  for (const how of ['stop', 'kill', 'pause'] as const) {
    await t.test(`${how}: writes fail fast, reads go on, and it is found again`, async t => {
      t.equal((await write(test, `before-${how}`)).status, 201)
      // More than there are connections: some run, the others wait for one.
      const inFlight = Array.from({ length: 6 }, (_, n) => write(test, `in-flight-${how}-${n}`))
      await primary[how]()
      const answers = await Promise.race([Promise.all(inFlight), sleep(ACQUIRE_TIMEOUT, undefined)])
      t.ok(answers, 'all of them are answered')
      for (const { status, ms, code } of answers ?? []) {
        t.ok(status === 201 || status === 500 || status === 503, `${status} ${code}`)
        t.ok(ms < ACQUIRE_TIMEOUT / 2, `nobody waits for what does not come: ${ms.toFixed(0)} ms`)
      }
      t.ok(
        await eventually(async () => (await write(test, `after-${how}`)).code === UNAVAILABLE),
        UNAVAILABLE,
      )
      const waits: number[] = []
      for (let n = 0; n < 10; n++) {
        const { status, code, ms } = await write(test, `gone-${how}-${n}`)
        t.same([status, code], [503, UNAVAILABLE])
        waits.push(ms)
        const read = await test.ask('GET', '/read')
        t.same([read.status, JSON.parse(read.body).port], [200, replica?.port], 'reads go on')
      }
      t.ok(Math.max(...waits) < 500, `at once: ${Math.max(...waits).toFixed(0)} ms at most`)
      t.equal((await test.ask('GET', '/primary')).status, 503, 'a read that needs the primary is told, too')
      await (how === 'pause' ? primary.unpause() : primary.start())
      t.ok(await acceptsWrites(test, `again-${how}`), 'writes are accepted again')
      const lines = test.logs.filter(({ msg }) => /accepts writes/.test(msg)).map(({ msg }) => msg)
      t.same(lines, ['no server accepts writes', 'the primary accepts writes again'])
      test.logs.length = 0
    })
  }
  t.same(await test.remains(), NOTHING)
})

t.test('a primary that has become read-only is none', async t => {
  const cluster = await replicatedCluster(t, 1)
  const test = await routedApp(t, cluster, { routes: failingRoutes, routing: { probe: PROBE } })
  const { sql } = databaseOf(cluster, t)
  const set = async (value: 'on' | 'off') => {
    await sql('set default_transaction_read_only = off')
    await sql(`alter system set default_transaction_read_only = ${value}`)
    await sql('select pg_reload_conf()')
  }
  t.equal((await write(test, 'before')).status, 201)
  await set('on')
  t.ok(await eventually(async () => (await write(test, 'turning')).code === UNAVAILABLE), 'noticed')
  for (let n = 0; n < 5; n++) {
    const { status, code } = await write(test, 'read-only')
    t.same([status, code], [503, UNAVAILABLE])
  }
  t.equal((await test.ask('GET', '/read')).status, 200, 'reads go on')
  await set('off')
  t.ok(await acceptsWrites(test, 'after'), 'and back')
  const rows = await sql<{ tag: string }>(`select tag from note where tag = 'read-only'`)
  t.same(rows, [])
  t.same(await test.remains(), NOTHING)
})
