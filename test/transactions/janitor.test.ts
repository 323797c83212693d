import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t from 'tap'
import sqlAssist from '../../src/index.ts'
import { cuttingProxy } from './cutting-proxy.ts'
import { decisionsIn, janitorOf, leaveBehind, namesOf, preparedIn } from './left-behind.ts'
import { type TwoDatabases, twoDatabases } from './two-databases.ts'

// What crashes have left prepared, and who ends it.

const TWO_PHASE = { twoPhase: true } as const

async function decide(
  { a }: Pick<TwoDatabases, 'a'>,
  id: string,
  outcome: 'commit' | 'rollback',
  { engines = ['a', 'b'], application = 'app', age = '1 minute' } = {},
): Promise<void> {
  await a.sql(
    `insert into sqlassist_decisions (id, application, outcome, engines, decided_at)
    values ($1, $2, $3, $4, now() - $5::interval)`,
    [id, application, outcome, engines, age],
  )
}

t.test('without a decision it is rolled back, and the decision to do so is written down first', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const id = randomUUID()
  await leaveBehind(t, two.a, nameOf('a', id))
  await leaveBehind(t, two.b, nameOf('b', id))
  const { janitor, logs } = janitorOf(t, two)
  t.same(await janitor.resolve(), [
    { engine: 'a', gid: nameOf('a', id), outcome: 'rolled back' },
    { engine: 'b', gid: nameOf('b', id), outcome: 'rolled back' },
  ])
  t.same(await preparedIn(two), [])
  t.same(await two.balances(2), [undefined, undefined])
  t.same(await decisionsIn(two), [{ id, outcome: 'rollback' }], 'whoever commits it later is refused')
  t.match(logs, [{ fields: { engine: 'a', outcome: 'rolled back' } }, { fields: { engine: 'b' } }])
})

t.test('with the decision to commit it is committed, and the decision removed', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const id = randomUUID()
  await leaveBehind(t, two.b, nameOf('b', id))
  await decide(two, id, 'commit')
  const { janitor } = janitorOf(t, two)
  t.match(await janitor.resolve(), [{ engine: 'b', outcome: 'committed' }])
  t.same(await two.balances(2), [undefined, 5])
  t.same(await decisionsIn(two), [])
})

t.test('what was prepared only now is left to whoever may be about to commit it', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const gid = await leaveBehind(t, two.b, nameOf('b'))
  const { janitor } = janitorOf(t, two, { grace: 10_000 })
  t.same(await janitor.resolve(), [{ engine: 'b', gid, outcome: 'waiting' }])
  t.same(await preparedIn(two), [gid])
  t.same(await decisionsIn(two), [])
  t.match(await janitor.resolve({ force: true }), [{ outcome: 'rolled back' }])
})

t.test("another application's, and what is named otherwise, is not touched", async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const id = randomUUID()
  const names = [
    nameOf('a', id, 'application'),
    nameOf('a', id, 'other'),
    nameOf('a', id, 'app', '0123abcd'),
    `sqlassist:app:not-a-uuid:${two.a.name}`,
    `somebody's ${two.a.name}`.replace("'", "''"),
  ]
  for (const [n, name] of names.entries()) await leaveBehind(t, two.a, name, { account: 50 + n })
  await decide(two, id, 'commit', { application: 'other' })
  const { janitor } = janitorOf(t, two)
  t.same(await janitor.resolve({ force: true }), [])
  t.equal((await preparedIn(two)).length, 5)
  t.equal((await decisionsIn(two)).length, 1, "nor are its application's decisions")
  const { prepared } = await janitor.list()
  t.same(
    prepared.map(({ id }) => id),
    [undefined, undefined, undefined, undefined, undefined],
  )
})

t.test("another role's cannot be ended, is listed, and keeps the decision", async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const id = randomUUID()
  const gid = await leaveBehind(t, two.b, nameOf('b', id), { url: two.b.superUrl })
  await decide(two, id, 'commit')
  const { janitor } = janitorOf(t, two)
  t.same(await janitor.resolve(), [])
  t.match((await janitor.list()).prepared, [{ engine: 'b', gid, id, isMine: false, decision: 'commit' }])
  t.equal((await decisionsIn(two)).length, 1)
})

t.test('a decision stays until all that it names have been asked', async t => {
  let proxy: Awaited<ReturnType<typeof cuttingProxy>> | undefined
  const two = await twoDatabases(t, {}, TWO_PHASE, undefined, async (a, b) => {
    proxy = await cuttingProxy(t, b.writerUrl)
    return [a.writerUrl, proxy.url(b.writerUrl)]
  })
  const nameOf = await namesOf(two)
  const [elsewhere, away, left] = [randomUUID(), randomUUID(), randomUUID()]
  await decide(two, elsewhere, 'commit', { engines: ['a', 'archive'] })
  await decide(two, away, 'commit')
  await leaveBehind(t, two.b, nameOf('b', away))
  await leaveBehind(t, two.a, nameOf('a', left))
  // An idle connection must not stand for a server that is away.
  await two.app.sqlAssist.reinit('b' as never)
  proxy?.refuse(true)
  await two.b.sql(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = $2',
    [two.b.name, 'app_writer'],
  )
  const { janitor, logs } = janitorOf(t, two)
  await janitor.start()
  await janitor.start()
  t.same(await preparedIn(two), [nameOf('b', away)], 'an engine that is away does not stop the others')
  t.same((await decisionsIn(two)).map(({ id }) => id).sort(), [elsewhere, away, left].sort())
  t.equal(
    logs.filter(({ message }) => /could not be looked after/.test(message)).length,
    1,
    'it is told once',
  )
  proxy?.refuse(false)
  await janitor.start()
  t.same(await two.balances(2), [undefined, 5])
  t.same((await decisionsIn(two)).map(({ id }) => id).sort(), [elsewhere, left].sort())
})

t.test('a decision whose process may still be at it stays', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await decide(two, randomUUID(), 'commit', { age: '1 second' })
  const { janitor } = janitorOf(t, two, { grace: 10_000 })
  await janitor.resolve()
  t.equal((await decisionsIn(two)).length, 1)
})

t.test('a decision to roll back stays for a day', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const [old, young] = [randomUUID(), randomUUID()]
  await decide(two, old, 'rollback', { age: '25 hours' })
  await decide(two, young, 'rollback', { age: '23 hours' })
  await janitorOf(t, two).janitor.resolve({ force: true })
  t.same(await decisionsIn(two), [{ id: young, outcome: 'rollback' }])
})

t.test('a commit that comes later than an hour is refused by the clock of the coordinator', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const { decisions } = janitorOf(t, two)
  const lease = await decisions.acquire()
  t.teardown(() => lease.release())
  const id = randomUUID()
  t.equal(await decisions.decide(lease, id, 'commit', ['a'], Date.now() - 3_601_000), undefined)
  t.same(await decisionsIn(two), [])
  t.equal(await decisions.decide(lease, id, 'commit', ['a'], Date.now() - 3_590_000), 'commit')
  t.equal(await decisions.decide(lease, id, 'rollback', []), 'commit', 'the first decision stands')
})

t.test('what has been prepared for long is warned of once, whoever it is', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const foreign = await leaveBehind(t, two.a, `foreign ${two.a.name}`, { account: 50 })
  await leaveBehind(t, two.b, nameOf('b'))
  const { janitor, logs } = janitorOf(t, two, { warnAfter: 50, grace: 60_000 })
  await janitor.start()
  await sleep(60)
  await janitor.start()
  await janitor.start()
  const warned = logs.filter(({ message }) => /prepared for long/.test(message))
  t.equal(warned.length, 2)
  // Each age is of the moment when its database was asked, so either may be the older one.
  t.match(
    new Map(warned.map(({ fields }) => [(fields as { engine: string }).engine, fields])),
    new Map([
      ['a', { gid: foreign, owner: 'app_writer', age: Number }],
      ['b', { age: Number }],
    ]),
  )
})

t.test('the application ends at its start what is left, before it is ready', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const id = randomUUID()
  await leaveBehind(t, two.b, nameOf('b', id))
  await decide(two, id, 'commit')
  const logs: object[] = []
  const app = Fastify({
    logger: { level: 'warn', stream: { write: (line: string) => logs.push(JSON.parse(line)) } },
  })
  t.teardown(() => app.close())
  const orm = (clientUrl: string) =>
    defineConfig({ clientUrl, entities: [], discovery: { warnWhenNoEntities: false } })
  await app.register(sqlAssist, {
    twoPhase: true,
    engines: { a: { orm: orm(two.a.writerUrl) }, b: { orm: orm(two.b.writerUrl) } },
  })
  t.equal((await preparedIn(two)).length, 1, 'not while it is only registered, as by a command')
  await app.ready()
  t.same(await preparedIn(two), [])
  t.same(await two.balances(2), [undefined, 5])
  t.match(logs, [{ engine: 'b', outcome: 'committed', msg: /left behind has been ended/ }])
})

t.test('several janitors at once come to the same end', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const nameOf = await namesOf(two)
  const [lost, decided] = [randomUUID(), randomUUID()]
  for (const [n, id] of [lost, decided].entries()) {
    await leaveBehind(t, two.a, nameOf('a', id), { account: 50 + n })
    await leaveBehind(t, two.b, nameOf('b', id), { account: 50 + n })
  }
  await decide(two, decided, 'commit')
  const all = await Promise.all([1, 2, 3, 4].map(() => janitorOf(t, two).janitor.resolve()))
  t.notOk(
    all.flat().some(({ outcome }) => outcome === 'failed' || outcome === 'waiting'),
    'one that is faster is no failure',
  )
  t.same(await preparedIn(two), [])
  t.same(await two.balances(50), [undefined, undefined])
  t.same(await two.balances(51), [5, 5])
})
