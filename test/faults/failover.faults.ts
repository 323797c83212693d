import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { EmbeddedCluster, EmbeddedServer } from '../../plugins/embedded/index.ts'
import { eventually, ormConfig, type TestApp } from '../support/app.ts'
import type { Teardown } from '../support/cluster.ts'
import { failingRoutes } from '../support/failing.ts'
import { Load } from '../support/load.ts'
import { Browser, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'

const PROBE = { interval: 100, timeout: 500 }

async function onServer(server: EmbeddedServer, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(server.url)
  client.on('error', () => {})
  await client.connect()
  let rows: Record<string, unknown>[] = []
  try {
    for (const statement of statements) rows = (await client.query(statement)).rows
  } finally {
    await client.end()
  }
  return rows
}

async function tagsOn(server: EmbeddedServer): Promise<Set<string>> {
  const rows = await onServer(server, 'select tag from note')
  return new Set(rows.map(({ tag }) => tag as string))
}

/** Whether no session and no connection is in use; the first primary is not there to be asked. */
function isAtRest({ app }: TestApp): Promise<boolean> {
  return eventually(() => {
    const { scopes, open } = app.sqlAssist.sessions
    return (
      scopes + open === 0 &&
      [...app.sqlAssist.engines].every(({ figures }) => figures.used + figures.waiting === 0)
    )
  })
}

/** What stands behind `clientUrl`: every server, as a list or as libpq writes it. */
function writerUrls(cluster: EmbeddedCluster): string[] {
  return [cluster.primary, ...cluster.replicas].map(server => cluster.url('app_writer', server))
}

function multiHostUrl(cluster: EmbeddedCluster): string {
  const url = new URL(cluster.url('app_writer', cluster.primary))
  const hosts = [cluster.primary, ...cluster.replicas].map(({ port }) => `127.0.0.1:${port}`).join(',')
  return `postgresql://${url.username}:${url.password}@${hosts}${url.pathname}?target_session_attrs=read-write`
}

function failoverApp(t: Teardown, cluster: EmbeddedCluster, clientUrl: string | string[]): Promise<TestApp> {
  return routedApp(t, cluster, {
    routes: failingRoutes,
    routing: { probe: PROBE },
    engines: {
      writer: { orm: { ...ormConfig(writerUrls(cluster)[0] as string), clientUrl: clientUrl as string } },
    },
  })
}

for (const mayReadStats of [true, false]) {
  const right = mayReadStats ? 'with' : 'without'
  t.test(`a synchronous standby takes over (app_reader ${right} pg_read_all_stats)`, async t => {
    const cluster = await replicatedCluster(t, 2)
    const { primary, replicas } = cluster
    const [heir, other] = replicas as unknown as [(typeof replicas)[0], (typeof replicas)[0]]
    if (mayReadStats) await onServer(primary, 'grant pg_read_all_stats to app_reader')
    await onServer(
      primary,
      `alter system set synchronous_standby_names = 'replica1'`,
      'select pg_reload_conf()',
    )
    const test = await failoverApp(t, cluster, writerUrls(cluster))
    const both = { replica1: 'online', replica2: 'online' }
    t.same(await statesBecome(test, both), both)
    const browser = new Browser(test)
    const writes = new Load(test, {
      clients: 20,
      pause: 20,
      next: n => ({ method: 'POST', path: `/notes/n${n}`, body: {} }),
    })
    await writes.answers(200)
    t.equal((await browser.ask('POST', '/notes/mine', {})).status, 201)

    await primary.kill()
    await heir.promote()
    const promoted = performance.now()
    const following = other.follow(heir)
    t.ok(
      await eventually(() => writes.samples.some(({ at, status }) => at > promoted && status === 201)),
      'writes are accepted again',
    )
    const gap = performance.now() - promoted
    t.ok(gap < 5_000, `${gap.toFixed(0)} ms after the promotion`)
    const first = await browser.ask('GET', '/notes/mine')
    t.equal(first.status, 200, `what a client wrote before, it finds after: ${first.body}`)
    await writes.answers(200)
    const samples = await writes.stop()
    await following

    const saved = await tagsOn(heir)
    const acknowledged = samples.filter(({ status }) => status === 201)
    const lost = acknowledged.filter(({ path }) => !saved.has(path.slice('/notes/'.length)))
    t.same(lost, [], `all of ${acknowledged.length} acknowledged writes are there`)
    const wrong = samples.filter(({ status }) => status !== 201 && status !== 500 && status !== 503)
    t.same(wrong, [], 'the others have failed, and said so')

    // A standby tells its timeline by itself only with its next restartpoint, unless the role may see more.
    const follows = performance.now()
    if (!mayReadStats) {
      const [, state] = test.app.sqlAssist.engines.get('reader').replicas
      t.match(state, {
        state: 'lagging',
        reason: 'it replays timeline 1, and the primary writes timeline 2',
      })
      t.equal((await browser.ask('GET', '/notes/mine')).status, 200, 'until then reads go to the primary')
      await onServer(heir, 'checkpoint')
      await other.caughtUp()
      await onServer(other, 'checkpoint')
    }
    const after = { replica1: 'draining', replica2: 'online' }
    t.same(await statesBecome(test, after), after)
    t.comment(`the other standby counted ${(performance.now() - follows).toFixed(0)} ms later`)
    await other.caughtUp()
    const leftThePrimary = await eventually(async () => {
      const { status, body } = await browser.ask('GET', '/notes/mine')
      t.equal(status, 200)
      return JSON.parse(body).port === other.port
    })
    t.ok(leftThePrimary, 'reads leave the primary')
    for (let n = 0; n < 10; n++) {
      t.equal((await browser.ask('POST', `/notes/after${n}`, {})).status, 201)
      t.equal((await browser.ask('GET', `/notes/after${n}`)).status, 200)
    }

    if (mayReadStats) {
      await t.test('a former primary that comes back is not written to', async t => {
        await primary.start()
        await onServer(
          primary,
          'set synchronous_commit = local',
          'alter system reset synchronous_standby_names',
          'select pg_reload_conf()',
          `insert into note (tag, body) values ('proof', 'it accepts writes')`,
        )
        const before = await tagsOn(primary)
        for (let n = 0; n < 10; n++) {
          t.equal((await browser.ask('POST', `/notes/returned${n}`, {})).status, 201)
          await sleep(30)
        }
        // Now the former primary is the only one that could be written to.
        await heir.stop()
        let refused = 0
        for (let n = 0; n < 20; n++) {
          const { status } = await browser.ask('POST', `/notes/alone${n}`, {})
          t.ok(status === 503 || status === 500, `${status}`)
          if (status === 503) refused++
          await sleep(50)
        }
        t.ok(refused > 10)
        t.match(test.logs.find(({ msg }) => msg === 'no server accepts writes')?.reason, /./)
        await heir.start()
        t.ok(
          await eventually(async () => (await browser.ask('POST', '/notes/again', {})).status === 201),
          'the new primary is back',
        )
        t.same(await tagsOn(primary), before, 'nothing of it is on the former primary')
      })
    }
    t.ok(await isAtRest(test), 'nothing is left open')
  })
}

t.test('an asynchronous standby that has lost the last write takes over', async t => {
  const cluster = await replicatedCluster(t, 2)
  const { primary, replicas } = cluster
  const [heir, other] = replicas as unknown as [(typeof replicas)[0], (typeof replicas)[0]]
  await onServer(primary, 'grant pg_read_all_stats to app_reader')
  for (const replica of replicas) await replica.caughtUp()
  const test = await failoverApp(t, cluster, multiHostUrl(cluster))
  const both = { replica1: 'online', replica2: 'online' }
  t.same(await statesBecome(test, both), both)
  const browser = new Browser(test)
  const idle = new Browser(test)
  t.equal((await browser.ask('POST', '/notes/kept', {})).status, 201)
  for (const replica of replicas) await replica.caughtUp()
  // Stopping their processes would not do: what is in the sockets' buffers arrives later.
  for (const replica of replicas) await replica.kill()
  t.equal((await browser.ask('POST', '/notes/lost', {})).status, 201)
  idle.cookies = { ...browser.cookies }
  await primary.kill()
  for (const replica of replicas) await replica.start()
  await heir.promote()
  t.ok(
    await eventually(async () => (await new Browser(test).ask('POST', '/notes/new', {})).status === 201),
    'writes are accepted again',
  )
  const from = performance.now()
  const read = await browser.ask('GET', '/notes/lost')
  t.equal(read.status, 404, 'the write is lost, and the answer says so')
  t.equal(JSON.parse(read.body).port, heir.port, 'the new primary answers')
  t.ok(performance.now() - from < 2_000, 'and at once')
  t.equal((await browser.ask('GET', '/notes/kept')).status, 200)
  await other.follow(heir)
  const after = { replica1: 'draining', replica2: 'online' }
  t.same(await statesBecome(test, after), after)
  await other.caughtUp()
  const kept = await browser.ask('GET', '/notes/kept')
  t.same([kept.status, JSON.parse(kept.body).port], [200, other.port], 'reads leave the primary')
  // A client that comes back only now, with a token of the timeline that is over.
  const late = await idle.ask('GET', '/notes/lost')
  t.equal(late.status, 404, late.body)
  const next = await idle.ask('GET', '/notes/kept')
  t.same([next.status, JSON.parse(next.body).port], [200, other.port], 'its next token is of the new one')
  t.ok(await isAtRest(test), 'nothing is left open')
})

t.test('a former primary that is still there gets nothing once another server has been promoted', async t => {
  const cluster = await replicatedCluster(t, 1)
  const { primary, replicas } = cluster
  const [heir] = replicas as unknown as [(typeof replicas)[0]]
  const test = await failoverApp(t, cluster, writerUrls(cluster))
  const writes = new Load(test, {
    clients: 30,
    pause: 5,
    next: n => ({ method: 'POST', path: `/notes/n${n}`, body: {} }),
  })
  await writes.answers(100)
  await heir.promote()
  const moved = () => test.logs.find(({ msg }) => msg.startsWith('another server accepts writes now'))
  t.ok(await eventually(() => moved() !== undefined), 'the engine follows')
  const movedAt = Number(moved()?.time) - performance.timeOrigin
  await eventually(
    () => writes.samples.filter(({ at, status }) => at > movedAt + 1 && status === 201).length > 50,
  )
  const samples = await writes.stop()
  const [old, now] = [await tagsOn(primary), await tagsOn(heir)]
  const tag = (path: string) => path.slice('/notes/'.length)
  const acknowledged = samples.filter(({ status }) => status === 201)
  const later = acknowledged.filter(({ at }) => at > movedAt + 1)
  t.ok(later.length > 0, `${later.length} writes were asked and acknowledged after that`)
  t.same(
    later.filter(({ path }) => !now.has(tag(path))),
    [],
    'all of them are on the new primary',
  )
  const strays = samples.filter(({ at, path }) => at > movedAt + 1 && old.has(tag(path)))
  t.same(strays, [], 'nothing that was asked later is on the former one')
  const wrong = samples.filter(({ status }) => status !== 201 && status !== 500 && status !== 503)
  t.same(wrong, [])
  t.ok(await isAtRest(test), 'nothing is left open')
})
