import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { cuttingProxy } from './cutting-proxy.ts'
import { both, decisionsIn, isClean, janitorOf, preparedIn, warnings } from './left-behind.ts'
import { twoDatabases } from './two-databases.ts'

// Connections that are lost, and a janitor that comes, in the middle of a commit in two phases.

const TWO_PHASE = { twoPhase: true } as const

t.test('a connection that is lost at COMMIT PREPARED: another one does it', async t => {
  for (const point of ['before', 'during', 'after'] as const) {
    await t.test(point, async t => {
      const { two, proxy } = await throughProxy(t, 'b')
      proxy.cutNext(point)
      await two.run(db => both(db, 1, 2))
      t.equal(proxy.cuts, 1)
      if (point !== 'during') {
        t.same(await two.balances(2), [1, 2])
        t.same(warnings(two), [])
      }
      // The server may still be at it on the connection that was lost; then it is the janitor's.
      for (let tries = 0; tries < 100 && (await two.balances(2))[1] === undefined; tries++) {
        await two.app.sqlAssist.prepared?.resolve({ force: true })
        await sleep(20)
      }
      t.same(await two.balances(2), [1, 2])
      await two.app.sqlAssist.prepared?.resolve({ force: true })
      await isClean(t, two)
    })
  }
})

t.test('a server that is gone at COMMIT PREPARED: the request succeeds, the janitor finishes', async t => {
  const { two, proxy } = await throughProxy(t, 'b')
  await two.run(async db => {
    await both(db, 1, 2)
    await db.a.flush()
    await db.b.flush()
    proxy.cutNext('before')
    proxy.refuse(true)
  })
  t.same(await two.balances(2), [1, undefined])
  t.equal((await preparedIn(two)).length, 1)
  t.match(await decisionsIn(two), [{ outcome: 'commit' }])
  t.match(warnings(two)[0], { level: 40, engine: 'b', msg: /COMMIT PREPARED failed after the decision/ })
  const { janitor } = janitorOf(t, two)
  await janitor.start()
  t.match(await decisionsIn(two), [{ outcome: 'commit' }], 'the decision stays while b cannot be asked')
  proxy.refuse(false)
  for (let tries = 0; tries < 200 && (await preparedIn(two)).length > 0; tries++) await sleep(20)
  t.same(await two.balances(2), [1, 2], "the plugin's own janitor has been called")
})

t.test('a connection that is lost with the decision: it is found out', async t => {
  for (const point of ['before', 'during', 'after'] as const) {
    await t.test(point, async t => {
      const { two, proxy } = await throughProxy(t, 'a')
      proxy.cutNext(point, 'into "sqlassist_decisions"')
      await two.run(db => both(db, 1, 2))
      t.equal(proxy.cuts, 1)
      t.same(await two.balances(2), [1, 2])
      await two.app.sqlAssist.prepared?.resolve({ force: true })
      await isClean(t, two)
    })
  }
})

t.test('a connection that is lost at PREPARE: nothing is saved', async t => {
  for (const point of ['before', 'during', 'after'] as const) {
    await t.test(point, async t => {
      const { two, proxy } = await throughProxy(t, 'b')
      proxy.cutNext(point, 'prepare transaction')
      await t.rejects(two.run(db => both(db, 1, 2)))
      t.equal(proxy.cuts, 1)
      proxy.forget()
      await two.app.sqlAssist.prepared?.resolve({ force: true })
      t.same(await two.balances(2), [undefined, undefined])
      t.same(await preparedIn(two), [])
    })
  }
})

t.test('a janitor that comes between PREPARE and the decision is obeyed', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  // The PREPARE of b waits until this lock is given back.
  await two.b.sql(`create function wait_at_commit() returns trigger language plpgsql as $$ begin
    perform pg_advisory_xact_lock(1); return null; end $$`)
  await two.b.sql(`create constraint trigger wait_at_commit after insert on account deferrable initially deferred
    for each row execute function wait_at_commit()`)
  await two.b.sql('select pg_advisory_lock(1)')
  const committing = two.run(db => both(db, 1, 2))
  committing.catch(() => {})
  for (let tries = 0; tries < 500 && (await preparedIn(two)).length === 0; tries++) await sleep(10)
  const { janitor } = janitorOf(t, two)
  t.match(await janitor.resolve(), [{ engine: 'a', outcome: 'rolled back' }])
  await two.b.sql('select pg_advisory_unlock(1)')
  await t.rejects(committing, { code: 'SQLA_ERR_TWO_PHASE_ABORTED', statusCode: 503 })
  t.same(await two.balances(2), [undefined, undefined])
  t.same(await preparedIn(two), [])
  t.match(await decisionsIn(two), [{ outcome: 'rollback' }])
})

t.test('the decision is on disk, whatever synchronous_commit is', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await two.a.sql(`alter role app_writer in database ${two.a.name} set synchronous_commit = off`)
  await two.app.sqlAssist.reinit('a' as never)
  await two.a.sql('create table seen (setting text)')
  await two.a.sql('grant insert on seen to public')
  await two.a.sql(`create function see() returns trigger language plpgsql as $$ begin
    insert into seen values (current_setting('synchronous_commit')); return null; end $$`)
  await two.a.sql(
    'create trigger see after insert on sqlassist_decisions for each row execute function see()',
  )
  await two.run(async db => {
    await both(db, 1, 2)
    const [row]: { is: string }[] = await db.a.execute("select current_setting('synchronous_commit') as is")
    t.equal(row?.is, 'off')
  })
  t.same(await two.a.sql('select * from seen'), [{ setting: 'on' }])
})

async function throughProxy(t: Test, engine: 'a' | 'b') {
  let proxy: Awaited<ReturnType<typeof cuttingProxy>> | undefined
  const two = await twoDatabases(t, {}, TWO_PHASE, undefined, async (a, b) => {
    proxy = await cuttingProxy(t, a.writerUrl)
    return [
      engine === 'a' ? proxy.url(a.writerUrl) : a.writerUrl,
      engine === 'b' ? proxy.url(b.writerUrl) : b.writerUrl,
    ]
  })
  return { two, proxy: proxy as Awaited<ReturnType<typeof cuttingProxy>> }
}
