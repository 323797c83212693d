import { randomUUID } from 'node:crypto'
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import sqlAssist from '../../src/index.ts'
import { testCluster } from '../support/cluster.ts'
import { type PgBouncer, startPgBouncer, withoutPgBouncer } from '../support/pgbouncer.ts'
import { cuttingProxy } from '../transactions/cutting-proxy.ts'
import { inDoubt } from '../transactions/in-doubt.ts'
import {
  both,
  decisionsIn,
  isClean,
  janitorOf,
  leaveBehind,
  namesOf,
  preparedIn,
  warnings,
} from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'

// Two-phase commit, and a COMMIT without an answer, behind a pooler: what is prepared belongs to no server connection, and the
// server behind a client's connection may be another one than before.

/** Server connections for each database: fewer than there are clients, so that they change hands at every chance. */
const POOL_SIZE = 2
const CROWD = 30

async function behindPgBouncer(t: Test) {
  let bouncer: PgBouncer | undefined
  const two = await twoDatabases(
    t,
    {},
    { twoPhase: true },
    () => {},
    async (a, b) => {
      const started = await startPgBouncer(t, [a.writerUrl], { poolSize: POOL_SIZE })
      bouncer = started
      return [started.through(a.writerUrl), started.through(b.writerUrl)]
    },
    8,
  )
  return { two, bouncer: bouncer as PgBouncer }
}

async function serverConnections(bouncer: PgBouncer, database: string): Promise<number> {
  const rows = await bouncer.show('servers')
  return rows.filter(row => row.database === database).length
}

async function twoPhase(t: Test): Promise<void> {
  t.test('more commits at once than there are server connections', async t => {
    const { two, bouncer } = await behindPgBouncer(t)
    const outcomes = await Promise.allSettled(
      Array.from({ length: CROWD }, (_, index) =>
        two.run(async db => {
          // One in three is refused when the second database prepares it.
          const balance = index % 3 === 0 ? 666 : index
          await db.a.execute('insert into account values (?, ?)', [100 + index, index])
          await db.b.execute('insert into account values (?, ?)', [100 + index, balance])
        }),
      ),
    )
    for (const [index, { status }] of outcomes.entries()) {
      t.equal(status, index % 3 === 0 ? 'rejected' : 'fulfilled')
      const [inA, inB] = await two.balances(100 + index)
      t.same([inA, inB], index % 3 === 0 ? [undefined, undefined] : [index, index])
    }
    await isClean(t, two)
    t.same(warnings(two), [])
    for (const { name } of [two.a, two.b]) t.ok((await serverConnections(bouncer, name)) <= POOL_SIZE)
  })

  t.test('server connections that are lost between PREPARE and COMMIT PREPARED are no loss', async t => {
    const { two } = await behindPgBouncer(t)
    // The pooler notices nothing until it uses them.
    await two.b.sql(`create function cut() returns trigger language plpgsql as $$ begin
      perform pg_terminate_backend(pid) from pg_stat_activity
        where datname = '${two.a.name}' and usename = 'app_writer' and pid <> pg_backend_pid();
      return null; end $$`)
    await two.b.sql('alter function cut() security definer')
    await two.b.sql(
      'create constraint trigger cut after insert on account deferrable initially deferred for each row execute function cut()',
    )
    // Whether `a` has been prepared by then is a matter of chance: both outcomes are right, if it is the same one in both.
    let failures = 0
    for (let round = 0; round < 20; round++) {
      const id = 200 + round
      const error = await two
        .run(async db => {
          await db.a.execute('insert into account values (?, 1)', [id])
          await db.b.execute('insert into account values (?, 1)', [id])
        })
        .then(
          () => undefined,
          (failure: { code?: string }) => failure,
        )
      if (error !== undefined) failures++
      await janitorOf(t, two).janitor.resolve({ force: true })
      const [inA, inB] = await two.balances(id)
      t.equal(inA, inB, 'one outcome')
      t.equal(inA, error === undefined ? 1 : undefined, `what was said: ${error?.code ?? 'success'}`)
    }
    t.comment(`${failures} of 20 have failed`)
    t.same(await preparedIn(two), [])
  })

  t.test('a janitor ends what processes have left, through the pooler', async t => {
    const { two, bouncer } = await behindPgBouncer(t)
    const nameOf = await namesOf(two)
    const [lost, decided] = [randomUUID(), randomUUID()]
    const url = bouncer.through(two.b.writerUrl)
    await leaveBehind(t, two.b, nameOf('b', lost), { account: 50, url })
    await leaveBehind(t, two.b, nameOf('b', decided), { account: 51, url })
    await two.a.sql(
      "insert into sqlassist_decisions (id, application, outcome, engines) values ($1, 'app', 'commit', $2)",
      [decided, ['b']],
    )
    const { janitor } = janitorOf(t, two)
    await janitor.resolve({ force: true })
    t.same(await preparedIn(two), [])
    t.same(await two.balances(50), [undefined, undefined])
    t.same(await two.balances(51), [undefined, 1 + 4])
    t.match(await decisionsIn(two), [{ id: lost, outcome: 'rollback' }])
  })

  for (const point of ['before', 'during', 'after'] as const) {
    t.test(`a decision whose connection to the pooler is lost ${point} it`, async t => {
      let proxy: Awaited<ReturnType<typeof cuttingProxy>> | undefined
      const two = await twoDatabases(t, {}, { twoPhase: true }, undefined, async (a, b) => {
        const bouncer = await startPgBouncer(t, [a.writerUrl], { poolSize: POOL_SIZE })
        proxy = await cuttingProxy(t, bouncer.through(a.writerUrl))
        return [proxy.url(a.writerUrl), bouncer.through(b.writerUrl)]
      })
      await two.run(async db => {
        await both(db, 1, 1)
        await db.a.flush()
        await db.b.flush()
        proxy?.cutNext(point, 'into "sqlassist_decisions"')
      })
      proxy?.forget()
      t.equal(proxy?.cuts, 1)
      t.same(await two.balances(2), [1, 1])
      await isClean(t, two)
    })
  }
}

async function withoutAnAnswer(t: Test): Promise<void> {
  t.test('the answer is what the database has', async t => {
    const { write, proxy, used } = await inDoubt(t, 2, {}, async url => {
      const bouncer = await startPgBouncer(t, [url], { poolSize: POOL_SIZE })
      return bouncer.through(url)
    })
    for (const path of ['/entity', '/bound', '/function']) {
      t.same(await write('before', path), { status: 503, code: 'SQLA_ERR_COMMIT_LOST', isThere: false }, path)
      t.same(await write('after', path), { status: 200, isThere: true }, path)
      const { status, isThere } = await write('during', path)
      t.equal(status, isThere ? 200 : 503, path)
    }
    t.equal(proxy.cuts, 9)
    t.equal(used(), 0)
  })

  t.test(
    'a server that was restarted behind a connection: in doubt, and known again from then on',
    async t => {
      const { primary } = await testCluster(t)
      const owner = new pg.Client({ connectionString: primary.url })
      await owner.connect()
      await owner.query('create table item (id serial primary key, name text not null)')
      await owner.end()
      const Item = defineEntity({
        name: 'Item',
        properties: { id: p.integer().primary(), name: p.string() },
      })
      const bouncer = await startPgBouncer(t, [primary.url], { poolSize: POOL_SIZE })
      const proxy = await cuttingProxy(t, bouncer.through(primary.url))
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(sqlAssist, {
        engines: {
          writer: {
            orm: defineConfig({
              clientUrl: proxy.url(primary.url),
              entities: [Item],
              pool: { min: 0, max: 2 },
            }),
          },
        },
      })
      await app.ready()
      let last = 0
      const write = () =>
        app.sqlAssist
          .run(async db => void db.get('writer').create(Item, { name: `item ${++last}` }))
          .then(
            () => 'committed',
            (error: { code?: string }) => error.code,
          )
      t.same(await Promise.all([write(), write()]), ['committed', 'committed'])
      // The client's connections to the pooler survive it: they hold no server connection.
      await primary.kill()
      await primary.start()
      t.same(await Promise.all([write(), write()]), ['committed', 'committed'])
      proxy.cutNext('after')
      t.equal(await write(), 'SQLA_ERR_COMMIT_IN_DOUBT', 'the server that was known is gone')
      proxy.cutNext('after')
      t.equal(await write(), 'committed', 'on the other connection')
      proxy.cutNext('before')
      t.equal(await write(), 'SQLA_ERR_COMMIT_LOST')
      proxy.forget()
      t.equal(proxy.cuts, 3)
    },
  )
}

if (withoutPgBouncer) {
  t.comment(`SKIPPED: ${withoutPgBouncer}, so nothing was committed behind it`)
  t.pass(`skipped: ${withoutPgBouncer}`)
} else {
  t.test('two-phase commit behind PgBouncer', twoPhase)
  t.test('a COMMIT without an answer behind PgBouncer', withoutAnAnswer)
}
