import { defineConfig, type EventSubscriber } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import sqlAssist, { afterCommit, type SqlAssistOptions } from '../../src/index.ts'
import { both, isClean, warnings } from './left-behind.ts'
import { Account, type TwoDatabases, type TwoDb, twoDatabases } from './two-databases.ts'

// What a request writes to several databases, committed in two phases.

const TWO_PHASE = { twoPhase: true } as const

t.test('what a request writes to two databases is committed in both', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE, app => {
    app.post('/', async (request, reply) => {
      await both(request.db as TwoDb, 1, 2)
      return reply.code(201).send({})
    })
  })
  t.equal((await two.app.inject({ method: 'POST', url: '/' })).statusCode, 201)
  t.same(await two.balances(2), [1, 2])
  t.same(warnings(two), [])
  await isClean(t, two)
})

t.test('a session begins again after it, and commits again', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await two.run(async db => {
    await both(db, 1, 2)
    await db.commit()
    t.same(await two.balances(2), [1, 2])
    const [x, y] = [await db.a.findOneOrFail(Account, 2), await db.b.findOneOrFail(Account, 2)]
    x.balance = 3
    y.balance = 4
  })
  t.same(await two.balances(2), [3, 4])
  await isClean(t, two)
})

t.test('what the second database refuses only at PREPARE leaves nothing on the first', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await t.rejects(
    two.run(db => both(db, 1, 666)),
    { name: 'CheckConstraintViolationException', message: /refused at commit/, code: '23514' },
  )
  t.same(await two.balances(2), [undefined, undefined])
  t.same(warnings(two), [])
  await isClean(t, two)
})

t.test('a swallowed error of one database leaves nothing on the other', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await t.rejects(
    two.run(async db => {
      await db.a.insert(Account, { id: 2, balance: 1 })
      await db.b.insert(Account, { id: 2, balance: 1 })
      await db.b.execute('select 1 / 0').catch(() => {})
    }),
    { code: 'SQLA_ERR_COMMIT_ROLLED_BACK' },
  )
  t.same(await two.balances(2), [undefined, undefined])
  await isClean(t, two)
})

t.test('a decision that the coordinator refuses leaves nothing', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await two.a.sql('alter table sqlassist_decisions rename to elsewhere')
  await t.rejects(
    two.run(db => both(db, 1, 2)),
    { code: '42P01' },
  )
  await two.a.sql('alter table elsewhere rename to sqlassist_decisions')
  t.same(await two.balances(2), [undefined, undefined])
  await isClean(t, two)
})

t.test('a transaction that is doomed before its commit leaves nothing', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await t.rejects(
    two.run(async db => {
      await both(db, 1, 2)
      const vote = () => db.transaction.doom()
      db.transaction.join({ name: 'doubter', vote, commit() {}, rollback() {} })
    }),
    { code: 'SQLA_ERR_TRANSACTION_DOOMED' },
  )
  t.same(await two.balances(2), [undefined, undefined])
  await isClean(t, two)
})

t.test('a data manager that votes no leaves nothing; those that commit do so last', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await t.rejects(
    two.run(async db => {
      await both(db, 1, 2)
      const vote = () => Promise.reject(new RangeError('no room'))
      db.transaction.join({ name: 'file', vote, commit() {}, rollback() {} })
    }),
    { message: 'no room' },
  )
  t.same(await two.balances(2), [undefined, undefined])
  let seen: unknown
  await two.run(async db => {
    await both(db, 1, 2)
    const commit = async () => {
      seen = await two.balances(2)
    }
    db.transaction.join({ name: 'file', commit, rollback() {} })
  })
  t.same(seen, [1, 2])
  await isClean(t, two)
})

t.test('one that commits behind them and fails is a partial commit that names them', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await t.rejects(
    two.run(async db => {
      await both(db, 1, 2)
      const commit = () => Promise.reject(new RangeError('no room'))
      db.transaction.join({ name: 'file', commit, rollback() {} })
    }),
    { code: 'SQLA_ERR_PARTIAL_COMMIT', message: /Committed: a, b\. Not committed: file/ },
  )
  t.same(await two.balances(2), [1, 2])
})

t.test('engines whose connections Kysely makes can do it too', async t => {
  const hooked = (url: string) => ({
    orm: defineConfig({
      clientUrl: url,
      entities: [Account],
      pool: { min: 0, max: 2 },
      onCreateConnection: async () => {},
    }),
  })
  const two = await twoDatabases(t, {}, TWO_PHASE)
  const run = await applicationOf(t, { a: hooked(two.a.writerUrl), b: hooked(two.b.writerUrl) })
  await run(db => both(db, 1, 2))
  t.same(await two.balances(2), [1, 2])
  await t.rejects(
    run(async db => {
      db.a.create(Account, { id: 3, balance: 1 })
      db.b.create(Account, { id: 3, balance: 666 })
    }),
    { code: '23514' },
  )
  await t.rejects(
    run(async db => {
      await db.a.insert(Account, { id: 3, balance: 1 })
      await db.b.insert(Account, { id: 3, balance: 1 })
      await db.b.execute('select 1 / 0').catch(() => {})
    }),
    { code: 'SQLA_ERR_COMMIT_ROLLED_BACK' },
  )
  t.same(await two.balances(3), [undefined, undefined])
  await isClean(t, two)
})

t.test('the causal token is brought along behind COMMIT PREPARED', async t => {
  const routing = { primary: 'a', token: { secret: 'x'.repeat(32) } } as const
  const two = await twoDatabases(t, {}, { ...TWO_PHASE, routing })
  let before: string | undefined
  let after: string | undefined
  await two.run(async db => {
    await both(db, 1, 2)
    before = db.token
    await db.commit()
    after = db.token
  })
  t.ok(after, 'there is one')
  t.not(after, before)
})

// A transaction that has notified cannot be prepared, so one that commits was not.
const notify = (db: TwoDb) => db.a.execute("select pg_notify('somebody', 'hello')")

t.test('one writer stays in one phase, also beside a session that only reads', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await two.run(async db => {
    await notify(db)
    db.a.create(Account, { id: 2, balance: 1 })
    t.equal((await db.b.findOneOrFail(Account, 1)).balance, 100)
    await db.commit()
    t.equal(two.app.sqlAssist.sessions.holding, 0, 'both have ended')
  })
  t.same(await two.balances(2), [1, undefined])
  await isClean(t, two)
  await t.rejects(
    two.run(async db => {
      await notify(db)
      db.a.create(Account, { id: 3, balance: 1 })
      db.b.create(Account, { id: 3, balance: 1 })
    }),
    { code: '0A000' },
    'two writers are prepared',
  )
  await isClean(t, two)
})

t.test('a SELECT that writes in disguise makes a writer', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await two.b.sql(`create function add_account() returns integer language sql security definer
    as $$ insert into account values (2, 2) returning id $$`)
  await two.b.sql('create view disguised as select add_account() as id')
  await two.b.sql('grant select on disguised to public')
  const read = async (db: TwoDb) => {
    db.a.create(Account, { id: 2, balance: 1 })
    await db.b.execute('select id from disguised')
  }
  await t.rejects(
    two.run(async db => {
      await notify(db)
      await read(db)
    }),
    { code: '0A000' },
  )
  t.same(await two.balances(2), [undefined, undefined])
  await two.run(read)
  t.same(await two.balances(2), [1, 2])
})

t.test('a session that has only read and is gone at its commit leaves nothing', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await t.rejects(
    two.run(async db => {
      db.a.create(Account, { id: 2, balance: 1 })
      await db.a.flush()
      const [row]: { pid: number }[] = await db.b.execute('select pg_backend_pid() as pid')
      await two.b.sql('select pg_terminate_backend($1)', [row?.pid])
    }),
  )
  t.same(await two.balances(2), [undefined, undefined])
  await isClean(t, two)
})

t.test(
  'MikroORM tells of the commit before PREPARE and after COMMIT PREPARED, callbacks run last',
  async t => {
    const told: string[] = []
    const subscriber = (name: string): EventSubscriber => ({
      async beforeTransactionCommit() {
        told.push(`before ${name}: ${await two.balances(2)}`)
      },
      async afterTransactionCommit() {
        told.push(`after ${name}: ${await two.balances(2)}`)
      },
    })
    const two: TwoDatabases = await twoDatabases(t, {}, TWO_PHASE)
    for (const name of ['a', 'b'] as const) {
      two.app.sqlAssist.engines.get(name).orm.em.getEventManager().registerSubscriber(subscriber(name))
    }
    await two.run(async db => {
      await both(db, 1, 2)
      afterCommit(db.a, () => told.push('callback of a'))
      afterCommit(db.b, () => told.push('callback of b'))
      db.onCommit(() => told.push('callback of the request'))
    })
    t.same(told, [
      'before a: ,',
      'before b: ,',
      'after a: 1,2',
      'callback of a',
      'after b: 1,2',
      'callback of b',
      'callback of the request',
    ])
    t.same(warnings(two), [])
  },
)

t.test('what a subscriber writes before the commit into the other database is committed with it', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  await two.run(async db => {
    two.app.sqlAssist.engines
      .get('b')
      .orm.em.getEventManager()
      .registerSubscriber({
        async beforeTransactionCommit() {
          await db.a.execute('insert into account values (3, 3)')
        },
      })
    await both(db, 1, 2)
  })
  t.same(await two.balances(3), [3, undefined])
  await isClean(t, two)
})

t.test('a subscriber that fails after the commit changes nothing', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE)
  two.app.sqlAssist.engines
    .get('a')
    .orm.em.getEventManager()
    .registerSubscriber({
      async afterTransactionCommit() {
        throw new RangeError('too late')
      },
    })
  await two.run(db => both(db, 1, 2))
  t.same(await two.balances(2), [1, 2])
  t.match(warnings(two), [{ level: 50, err: { message: 'too late' } }])
  await isClean(t, two)
})

t.test('many at once need no second connection each', async t => {
  const two = await twoDatabases(t, {}, TWO_PHASE, undefined, undefined, 1)
  const before = performance.now()
  await Promise.all(
    Array.from({ length: 20 }, (_none, n) =>
      two.run(async db => {
        await db.a.insert(Account, { id: 100 + n, balance: 1 })
        await db.b.insert(Account, { id: 100 + n, balance: 1 })
      }),
    ),
  )
  t.ok(performance.now() - before < 10_000, 'nobody has waited for a time limit')
  await isClean(t, two)
})

t.test('an engine that does not join has no part in it', async t => {
  const two = await twoDatabases(t, { b: { join: false } }, TWO_PHASE)
  await two.run(async db => {
    await notify(db)
    await both(db, 1, 2)
    await db.b.commit()
  })
  t.same(await two.balances(2), [1, 2])
})

/** Another application on the same databases. */
async function applicationOf(t: Test, engines: SqlAssistOptions['engines']) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, { twoPhase: true, engines })
  await app.ready()
  return (fn: (db: TwoDb) => Promise<void>) => app.sqlAssist.run(db => fn(db as TwoDb))
}
